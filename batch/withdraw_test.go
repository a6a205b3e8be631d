package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestCancelOnlyInDoubt takes a device back whose call was lost on its way: it is
// not called again, whenever and by whom its absence is found out.
func TestCancelOnlyInDoubt(t *testing.T) {
	tests := []struct {
		why       string
		cancel    func(w *world, ids []string) cancelEnd
		withdrawn int // as the cancel tells it
		code      int
	}{
		{"the cancel finds out", func(w *world, ids []string) cancelEnd {
			return w.cancel(w.t.Context(), ids[0])
		}, 1, CodeDone},
		{"a second cancel does, after the first was interrupted at that", func(w *world, ids []string) cancelEnd {
			if end := w.cancel(interruptedAfter(w.t, time.Minute), ids[0]); end.code != CodeStopped || end.InDoubt != 1 {
				w.t.Errorf("the first cancel: code %d, %+v; want it interrupted", end.code, end.Cancelled)
			}
			return w.cancel(w.t.Context(), ids[0])
		}, 1, CodeDone},
		{"a cancel of another device does, and opens the batch", func(w *world, ids []string) cancelEnd {
			w.cancel(interruptedAfter(w.t, time.Minute), ids[0])
			return w.cancel(w.t.Context(), ids[2])
		}, 0, CodeDone},
		{"the next run does, as the cancel may not read", func(w *world, ids []string) cancelEnd {
			w.opt.NoReads = true
			defer func() { w.opt.NoReads = false }()
			return w.cancel(w.t.Context(), ids[0])
		}, 0, CodeIncomplete},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ids := devices(3)
				w := newWorld(t, simulator.Options{Seed: 1, Faults: "lost-before@1"})
				w.opt.Workers = 1
				if _, err := w.tryRun(interruptedAfter(t, 10*time.Second), ids); err != nil || w.tasks()[ids[0]].Status != checkpoint.InDoubt {
					t.Fatalf("run: %v, %s; want the first device in doubt", err, w.tasks()[ids[0]].Status)
				}
				if end := tt.cancel(w, ids); end.code != tt.code || end.Withdrawn != tt.withdrawn || end.Unsent != 0 || !end.Cancelled.Open {
					t.Errorf("Cancel() = %+v, code %d; want %d withdrawn, code %d, the batch open", end.Cancelled, end.code, tt.withdrawn, tt.code)
				}
				if got := w.tasks()[ids[0]].Status; got == checkpoint.Pending {
					t.Errorf("the device is %s after the cancel; want it skipped, or in doubt", got)
				}
				run := w.run(ids)
				w.judge(run, false)
				if got := w.tasks()[ids[0]]; got.Status != checkpoint.Skipped || got.Reason != withdrawnOnRequest || run.code != CodeDone {
					t.Errorf("run: code %d, the device %s, %q; want it skipped", run.code, got.Status, got.Reason)
				}
				if n := posts(w.sim.Books(), ids[0]); n != 1 {
					t.Errorf("%d calls of the device that was taken back; want the first one alone", n)
				}
			})
		})
	}
}

// TestCancelOnlyKilled kills a cancel of pending devices as soon as it has written
// that the batch is held: none of them is sent, whichever cancel opens it again.
func TestCancelOnlyKilled(t *testing.T) {
	for why, next := range map[string]int{"the same cancel goes on": 9, "another one comes": 0} {
		synctest.Test(t, func(t *testing.T) {
			ids := devices(10)
			w := newWorld(t, simulator.Options{Seed: 1})
			w.opt.Limit, w.opt.Workers = 2, 1
			w.run(ids)
			w.opt.Limit = 0
			s, err := w.session(t.Context(), w.store())
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.PlanCancel(t.Context(), CancelRequest{Name: w.req.Name, Only: map[string]bool{ids[9]: true}}, w.opt)
			if err != nil || p.Nothing() {
				t.Fatalf("%s: PlanCancel = %+v, %v; want a device to take back", why, p, err)
			}
			if err := s.close(p, "test"); err != nil {
				t.Fatal(err)
			}
			if end := w.cancel(t.Context(), ids[next]); end.code != CodeDone || end.plan.Nothing() || !end.Cancelled.Open {
				t.Errorf("%s: Cancel() = %+v, code %d; want the batch opened", why, end.Cancelled, end.code)
			}
			if run := w.run(ids); run.code != CodeDone || posts(w.sim.Books(), ids[9]) != 0 || w.sim.Books().Actions() != 9 {
				t.Errorf("%s: run: code %d, %d actions; want all sent but the one", why, run.code, w.sim.Books().Actions())
			}
		})
	}
}

// TestWithdrawnTask plans a device that a cancel of some has named, in every state
// that it can be in, and from then on.
func TestWithdrawnTask(t *testing.T) {
	id := devices(1)[0]
	for _, tt := range []struct {
		why      string
		task     checkpoint.Task
		options  string // of the batch, with the round
		again    bool
		todo     int
		kept     bool // looked up, and not called
		held     bool
		released bool // may be called from now on
	}{
		{why: "skipped, as it was pending", task: checkpoint.Task{Status: checkpoint.Skipped, Reason: withdrawnOnRequest}, held: true},
		{why: "taken up", task: checkpoint.Task{Status: checkpoint.Skipped, Reason: withdrawnOnRequest}, again: true, todo: 1, released: true},
		{why: "pending, as its runner was told to wait", task: checkpoint.Task{Status: checkpoint.Pending}, held: true},
		{why: "invalid when it was named, and good now", task: checkpoint.Task{Status: checkpoint.Skipped, Reason: "invalid: " + noComment}, held: true},
		{why: "in doubt", task: checkpoint.Task{Status: checkpoint.InDoubt, Attempt: 7}, kept: true},
		{why: "in doubt, and taken up", task: checkpoint.Task{Status: checkpoint.InDoubt, Attempt: 7}, again: true, released: true},
		{why: "named since --again took its round up, and that goes on", task: checkpoint.Task{Status: checkpoint.Skipped}, options: `{"roundAgain": 8}`, again: true, held: true},
		{why: "named before that", task: checkpoint.Task{Status: checkpoint.Skipped}, options: `{"roundAgain": 12}`, again: true, todo: 1, released: true},
	} {
		tt.task.N, tt.task.Position, tt.task.Device, tt.task.Withdrawn = 1, 1, id, 9
		other := checkpoint.Task{N: 2, Position: 2, Device: device("other"), Comment: "retired", Status: checkpoint.Pending}
		p := planOf(t, listOf([]string{id, other.Device}), checkpoint.Batch{ID: 1, Events: 20, Options: tt.options}, []checkpoint.Task{tt.task, other}, Request{Again: tt.again})
		released := len(p.tasks) == 1 && p.tasks[0].Withdrawn != nil && *p.tasks[0].Withdrawn == 0
		if p.ToDo != 1+tt.todo || (p.keep[1] == withdrawnOnRequest) != tt.kept || (p.Held["withdrawn"] != nil) != tt.held || released != tt.released {
			t.Errorf("%d to do, keep %q, held %v, released %t; want %d to do, kept %t, held %t, released %t (%s)",
				p.ToDo, p.keep[1], p.Held["withdrawn"], released, 1+tt.todo, tt.kept, tt.held, tt.released, tt.why)
		}
	}
}
