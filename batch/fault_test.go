package batch

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestPanicInAGoroutine has a panic of a worker, of a look-up and of a cancel
// call be an error of the run, which ends in order: left alone it would end the
// process with the code that says that nothing was sent.
func TestPanicInAGoroutine(t *testing.T) {
	tests := []struct {
		reason string
		faults string
		where  func(r *http.Request, n int) bool // it panics
		run    func(w *world) (*Stop, int)
	}{
		{"of a worker", "", func(r *http.Request, _ int) bool { return isOffboard(r) }, func(w *world) (*Stop, int) {
			end := w.run(devices(3))
			return end.stop, end.code
		}},
		{"of a look-up", "lost-after=100%", func(r *http.Request, n int) bool {
			return n > 1 && strings.HasSuffix(r.URL.Path, "/machineactions") // the first is before the first call
		}, func(w *world) (*Stop, int) {
			end := w.run(devices(3))
			return end.stop, end.code
		}},
		{"of a cancel call", "", func(r *http.Request, _ int) bool { return strings.HasSuffix(r.URL.Path, "/cancel") }, func(w *world) (*Stop, int) {
			w.run(devices(3))
			end := w.cancel(w.t.Context())
			return end.stop, end.code
		}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Pending: time.Hour, Faults: tt.faults})
			w.opt.Workers = 1
			looks := 0
			w.wire.leaving = func(r *http.Request) error {
				if strings.HasSuffix(r.URL.Path, "/machineactions") {
					looks++
				}
				if tt.where(r, looks) {
					panic("boom " + r.Header.Get("Authorization"))
				}
				return nil
			}
			stop, code := tt.run(w)
			if code != CodeError || stop == nil || !strings.Contains(stop.Error(), "a fault of the program itself: boom Bearer [redacted] (fault_test.go:") {
				t.Errorf("%s: code %d, %v; want 1, and where it was, without the token", tt.reason, code, stop)
			}
			if n := len(openRuns(w)); n != 0 {
				t.Errorf("%s: %d runs have no end", tt.reason, n)
			}
			for _, task := range w.tasks() {
				if task.Status == checkpoint.Pending && w.sim.Books().Devices[task.Device] != nil && len(w.sim.Books().Devices[task.Device].Actions) > 0 {
					t.Errorf("%s: device %s is pending and has an action", tt.reason, task.Device)
				}
			}
		})
	}
}

// TestInterruptedStart interrupts while a batch is opened and while its run is
// begun: no run is left without an end.
func TestInterruptedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		all := devices(3)
		w.opt.Limit = 1
		w.run(all)
		w.opt.Limit = 0
		s, err := w.session(t.Context(), w.store())
		if err != nil {
			t.Fatal(err)
		}
		over := interruptedAfter(t, 0)
		<-over.Done()
		if _, err := s.Open(over, w.req.Name); !errors.Is(err, over.Err()) {
			t.Errorf("Open when interrupted = %v; want %v", err, over.Err())
		}
		o, err := s.Open(t.Context(), w.req.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		r, err := o.Start(over, planOf(t, listOf(all), o.Batch, o.Tasks, w.req), "run", "test", w.opt, nil)
		if err != nil {
			t.Fatalf("Start when interrupted = %v; want a run that can be ended", err)
		}
		stop := r.Run(over, over)
		if code, err := r.Finish(stop); code != CodeStopped || err != nil {
			t.Errorf("run when interrupted: code %d, %v, %v; want 4", code, stop, err)
		}
		if n := len(openRuns(w)); n != 0 {
			t.Errorf("%d runs have no end", n)
		}
	})
}
