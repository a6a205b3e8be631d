package batch

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/simulator"
)

// TestCancelWaitingRunner cancels a batch whose runner makes no call: it lets go
// of the batch all the same.
func TestCancelWaitingRunner(t *testing.T) {
	tests := []struct {
		reason string
		wait   func(w *world) // makes the next run wait
		most   time.Duration  // for the runner to stop
	}{
		{"for the hours, before its first look", func(w *world) {
			open := time.Now().Add(12 * time.Hour)
			w.opt.Wait, w.opt.Allowed = true, func(at time.Time) time.Time {
				if at.Before(open) {
					return open
				}
				return at
			}
		}, 15 * time.Second},
		{"for an answer to its first look", func(w *world) {
			until := time.Now().Add(time.Minute)
			w.wire.leaving = func(*http.Request) error {
				if time.Now().Before(until) {
					return gone
				}
				return nil
			}
		}, 15 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Pending: 100 * time.Hour})
			all := devices(10)
			w.opt.Limit = 4
			w.run(all)
			w.opt.Limit = 0
			s, err := w.session(t.Context(), w.store())
			if err != nil {
				t.Fatal(err)
			}
			calm := w.opt
			tt.wait(w)
			ran := make(chan runEnd, 1)
			go func() {
				end, err := w.tryRun(t.Context(), all)
				if err != nil {
					t.Errorf("%s: run: %v", tt.reason, err)
				}
				ran <- end
			}()
			time.Sleep(30 * time.Second)
			// The plan is made from what is known, as no answer may come.
			p := &CancelPlan{Request: CancelRequest{Name: w.req.Name}, Final: map[string]int{}, meant: map[int64]bool{}}
			if p.Batch, err = s.known(t.Context(), w.req.Name); err != nil {
				t.Fatal(err)
			}
			cancelled := make(chan *Cancelled, 1)
			began := time.Now()
			go func() {
				end, stop, err := s.Cancel(t.Context(), context.Background(), p, "test", calm, nil)
				if stop != nil || err != nil {
					t.Errorf("%s: cancel: %v, %v", tt.reason, stop, err)
				}
				cancelled <- end
			}()
			run := <-ran
			if took := time.Since(began); took > tt.most {
				t.Errorf("%s: the runner stopped after %v; want at most %v", tt.reason, took, tt.most)
			}
			if run.stop == nil || run.code != CodeGuard || !strings.Contains(run.stop.Why, "the batch was closed") {
				t.Errorf("%s: run: code %d, %v; want 5, closed", tt.reason, run.code, run.stop)
			}
			if end := <-cancelled; end == nil || end.Cancelled != 4 || end.Unsent != 6 {
				t.Errorf("%s: cancel: %+v; want 4 cancelled, 6 unsent", tt.reason, end)
			}
			w.judgeCancelled(4)
		})
	}
}

// TestCancelBeforeStart closes a batch that a runner is about to run: it has
// made its plan and waits for somebody's answer. Cancel says what to do, and the
// answer sends nothing.
func TestCancelBeforeStart(t *testing.T) {
	tests := []struct {
		reason string
		closed bool // before, so that the run is one with --again
	}{
		{"a batch that was open", false},
		{"a batch that was closed, and is to be run again", true},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Pending: 100 * time.Hour})
			all := devices(3)
			w.opt.Limit = 2
			w.run(all)
			if tt.closed {
				w.cancel(t.Context())
			}
			opt, req := w.opt, w.req
			opt.Again, req.Again = tt.closed, tt.closed
			s, err := w.session(t.Context(), w.store())
			if err != nil {
				t.Fatal(err)
			}
			o, err := s.Open(t.Context(), w.req.Name)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			p := planOf(t, listOf(all), o.Batch, o.Tasks, req)
			if stop, err := o.ClosedNow(t.Context(), req.Again); stop != nil || err != nil {
				t.Errorf("%s: ClosedNow before = %v, %v; want none", tt.reason, stop, err)
			}

			_, err = w.tryCancel(t.Context(), w.store())
			hint := ""
			if stop := asStop(err); stop != nil {
				hint = stop.Hint
			}
			if stopCode(err) != CodeOtherRunner || !strings.Contains(hint, "the batch is closed by now") || !strings.Contains(hint, "run cancel again") {
				t.Errorf("%s: cancel: %v (%s); want code 6, and what to do", tt.reason, err, hint)
			}

			if stop, err := o.ClosedNow(t.Context(), req.Again); stop == nil || err != nil {
				t.Errorf("%s: ClosedNow after = %v, %v; want that it is closed", tt.reason, stop, err)
			}
			if _, err := o.Start(t.Context(), p, "run", "typed", opt, nil); stopCode(err) != CodeUsage || !strings.Contains(err.Error(), "was closed: cancelled by test") {
				t.Errorf("%s: Start: %v; want that it was closed, code 2", tt.reason, err)
			}
			if got := w.sim.Books().Actions(); got != 2 {
				t.Errorf("%s: %d actions; want no more than 2", tt.reason, got)
			}
			o.Close()
			if b, err := s.known(t.Context(), w.req.Name); err != nil || b.Closed == "" {
				t.Errorf("%s: closed = %q, %v; want it closed", tt.reason, b.Closed, err)
			}
		})
	}
}

// TestForgottenBeforeStart takes a batch out of the checkpoint while a run of it
// waits for somebody's answer, and begins another: the run must not go on with
// that one.
func TestForgottenBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		all := devices(6)
		w.run(all[:3])
		time.Sleep(3 * time.Hour)
		store := w.store()
		s, err := w.session(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(t.Context(), "list")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		w.opt.Again, w.req.Again = true, true
		p := planOf(t, listOf(all[:3]), o.Batch, o.Tasks, w.req)

		var other *ErrOtherRunner
		if _, err := LockBatch(t.Context(), store, o.Batch); !errors.As(err, &other) {
			t.Errorf("LockBatch of a batch that is taken = %v; want another runner", err)
		}
		if err := w.store().Forget(o.Batch.ID, time.Now()); err != nil { // as one who did not ask
			t.Fatal(err)
		}
		w.req.Name = "other"
		end := w.run(all[3:])
		if end.tasks[0].Batch == o.Batch.ID {
			t.Errorf("the new batch has the id %d of the forgotten one", o.Batch.ID)
		}
		if _, err := o.Start(t.Context(), p, "run", "typed", w.opt, nil); stopCode(err) != CodeUsage {
			t.Errorf("Start of a forgotten batch = %v; want a stop, code 2", err)
		}
		if got := w.sim.Books().Actions(); got != 6 {
			t.Errorf("%d actions; want 6", got)
		}
	})
}
