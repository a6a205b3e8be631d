package batch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// interruptedAfter is a context that the first signal ends after a while.
func interruptedAfter(t *testing.T, d time.Duration) context.Context {
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(d, interrupt)
	return ctx
}

// cancelEnd is what one cancel left.
type cancelEnd struct {
	*Cancelled
	stop *Stop
	code int
	plan *CancelPlan
}

// cancel plans a cancel and carries it out, as one process would.
func (w *world) cancel(ctx context.Context, only ...string) cancelEnd {
	w.t.Helper()
	end, err := w.tryCancel(ctx, w.store(), only...)
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

func (w *world) tryCancel(ctx context.Context, store *checkpoint.Store, only ...string) (end cancelEnd, err error) {
	s, err := w.session(w.t.Context(), store)
	if err != nil {
		return end, err
	}
	req := CancelRequest{Name: w.req.Name, Comment: "wrong list"}
	for _, device := range only {
		if req.Only == nil {
			req.Only = map[string]bool{}
		}
		req.Only[device] = true
	}
	if end.plan, err = s.PlanCancel(ctx, req, w.opt); err != nil {
		return end, err
	}
	if stop := end.plan.Refused(); stop != nil {
		return end, stop
	}
	end.Cancelled, end.stop, err = s.Cancel(ctx, context.Background(), end.plan, "test", w.opt, nil)
	if err != nil {
		return end, err
	}
	if end.stop != nil {
		end.code = end.stop.Code
	} else {
		end.code = end.Code()
	}
	return end, nil
}

// judgeCancelled checks that each action that calls have made was cancelled
// once, but for those that were late, and that the quota of cancel calls held.
func (w *world) judgeCancelled(want int) {
	w.t.Helper()
	b := w.sim.Books()
	cancelled := 0
	for id, d := range b.Devices {
		cancelled += d.Cancelled
		if d.Cancelled > max(1, len(d.Actions)) {
			w.t.Errorf("device %s: %d cancels took effect on %d actions", id, d.Cancelled, len(d.Actions))
		}
	}
	if cancelled != want {
		w.t.Errorf("%d cancels took effect; want %d", cancelled, want)
	}
	for kind, k := range b.Calls {
		if kind != "all" && (k.DensestMinute > b.PerMinute || k.DensestHour > b.PerHour) {
			w.t.Errorf("%s: densest minute %d, hour %d; the quota is %d and %d", kind, k.DensestMinute, k.DensestHour, b.PerMinute, b.PerHour)
		}
	}
	if b.Throttled > 0 && b.Faults["429-seconds"]+b.Faults["429-date"]+b.Faults["429-message"]+b.Faults["429-window"]+b.Faults["429-none"] == 0 {
		w.t.Errorf("%d answers of 429; want none", b.Throttled)
	}
}

// TestCancel takes a whole batch back: each action is cancelled by one call,
// the batch is closed, and only --again opens it.
func TestCancel(t *testing.T) {
	slow(t)
	synctest.Test(t, func(t *testing.T) {
		const n = 130
		w := newWorld(t, simulator.Options{Seed: 1, LatencyMin: 10 * time.Millisecond, LatencyMax: 300 * time.Millisecond, Lag: 100 * time.Second})
		w.run(devices(n))
		began := time.Now()
		end := w.cancel(t.Context())
		if end.code != CodeDone || end.Cancelled.Cancelled != n || end.plan.Open != n || end.Cancelled.Open {
			t.Errorf("Cancel() = %+v, code %d, planned %d; want %d cancelled and the batch closed", end.Cancelled, end.code, end.plan.Open, n)
		}
		if took := time.Since(began); took > 70*time.Second {
			t.Errorf("took %v; want the minute that the quota asks for", took)
		}
		w.judgeCancelled(n)
		if got := w.kinds()[simulator.KindCancel]; got != n {
			t.Errorf("%d cancel calls; want %d", got, n)
		}
		for device, task := range w.tasks() {
			if task.Status != checkpoint.Accepted || task.Action.Status != "Cancelled" || task.Reason != reasonCancelled {
				t.Errorf("device %s: %s, action %s, %q; want accepted, Cancelled, on request", device, task.Status, task.Action.Status, task.Reason)
			}
			if told := w.sim.Books().Devices[device].Comments; len(told) != 1 || !strings.HasPrefix(told[0], "wrong list [mdo-") {
				t.Errorf("device %s: cancelled with %q; want the comment of the request, and a tag", device, told)
			}
		}

		// A later run sends nothing, whatever it is given.
		if _, err := w.tryRun(t.Context(), devices(n+10)); stopCode(err) != CodeUsage || !strings.Contains(err.Error(), "closed: cancelled by test") {
			t.Errorf("run of a closed batch: %v; want that it was closed, code 2", err)
		}
		if got := w.sim.Books().Calls[simulator.KindOffboard].Calls; got != n {
			t.Errorf("%d offboard calls; want no more than %d", got, n)
		}
		// Another cancel finds nothing to do.
		if end := w.cancel(t.Context()); !end.plan.Nothing() || end.code != CodeDone || w.kinds()[simulator.KindCancel] != n {
			t.Errorf("Cancel() again = %+v, code %d; want nothing to do", end.Cancelled, end.code)
		}
		// --again takes all of it up, although the tags are those of before.
		w.req.Again, w.opt.Again = true, true
		again := w.run(devices(n))
		w.judge(again, true)
		if again.code != CodeDone || w.sim.Books().Actions() != 2*n {
			t.Errorf("run --again: code %d, %v, %d actions; want %d", again.code, again.counts, w.sim.Books().Actions(), 2*n)
		}
		for device, task := range w.tasks() {
			if task.Action.Status != "Pending" {
				t.Errorf("device %s: action %s; want the new one", device, task.Action.Status)
			}
		}
		w.req.Again, w.opt.Again = false, false
		if _, err := w.tryRun(t.Context(), devices(n)); err != nil {
			t.Errorf("run after --again: %v; want the batch open", err)
		}
	})
}

func stopCode(err error) int {
	var s *Stop
	if errors.As(err, &s) {
		return s.Code
	}
	return -1
}

// TestCancelStopsRunner cancels a batch whose runner is at work: that one stops
// within seconds, sends nothing more, and what it has sent is cancelled.
func TestCancelStopsRunner(t *testing.T) {
	tests := []struct {
		why   string
		after time.Duration
		most  int // offboard calls
	}{
		{"while calls go out: the next reservation is refused", 400 * time.Millisecond, 70},
		{"while it waits for the window", 30 * time.Second, 100},
		{"in the second burst", 61 * time.Second, 180},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Seed: 1, LatencyMin: 10 * time.Millisecond, LatencyMax: 300 * time.Millisecond})
				ran := make(chan runEnd, 1)
				go func() {
					end, err := w.tryRun(t.Context(), devices(1000))
					if err != nil {
						t.Error(err)
					}
					ran <- end
				}()
				time.Sleep(tt.after)
				began := time.Now()
				cancelled := make(chan cancelEnd, 1)
				go func() { cancelled <- w.cancel(t.Context()) }()
				run := <-ran
				if took := time.Since(began); took > 12*time.Second {
					t.Errorf("the runner stopped after %v; want some seconds", took)
				}
				if run.stop == nil || run.code != CodeGuard || !strings.Contains(run.stop.Why, "the batch was closed: cancelled by test") {
					t.Errorf("run: code %d, %v; want 5, closed", run.code, run.stop)
				}
				sent := w.sim.Books().Actions()
				end := <-cancelled
				if end.plan.Runner == nil || end.code != CodeDone || end.Cancelled.Cancelled != sent || end.Unsent != 1000-sent {
					t.Errorf("Cancel() = %+v, code %d; want %d cancelled, %d unsent", end.Cancelled, end.code, sent, 1000-sent)
				}
				w.judgeCancelled(sent)
				if sent > tt.most {
					t.Errorf("%d offboard calls; want at most %d", sent, tt.most)
				}
				if got := w.sim.Books().Actions(); got != sent {
					t.Errorf("%d actions; want no more than %d", got, sent)
				}
				w.tasks()
			})
		})
	}
}

// TestCancelDoubts cancels what a run has left in doubt, actions that exist and
// calls that came to nothing, while reads lag.
func TestCancelDoubts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 5, Lag: 100 * time.Second, Faults: "lost-after=20%,lost-before=20%,500-after=5%,effect-late=5%"})
		ctx := interruptedAfter(t, 10*time.Second)
		run, err := w.tryRun(ctx, devices(100))
		if err != nil || run.counts[checkpoint.InDoubt] < 10 || run.code != CodeStopped {
			t.Fatalf("run: %v, code %d, %v; want at least 10 in doubt, interrupted", run.counts, run.code, err)
		}
		end := w.cancel(t.Context())
		actions := w.sim.Books().Actions()
		if end.code != CodeDone || end.Cancelled.Cancelled != actions || end.InDoubt != 0 || end.Unsent != 100-actions {
			t.Errorf("Cancel() = %+v, code %d; want all %d actions cancelled and the others unsent", end.Cancelled, end.code, actions)
		}
		w.judgeCancelled(actions)
		for device, task := range w.tasks() {
			made := len(w.sim.Books().Devices[device].Actions)
			if (task.Action.Status == "Cancelled") != (made == 1) || made > 1 {
				t.Errorf("device %s: %s, action %q; the simulator has %d", device, task.Status, task.Action.Status, made)
			}
		}
	})
}

// TestCancelFaults has each action cancelled exactly once, or told truly,
// whatever goes wrong on the way.
func TestCancelFaults(t *testing.T) {
	slow(t)
	tests := []struct {
		why, faults string
		late        int
		wantCode    int
		wantStop    string
	}{
		{"answers are lost, with effect", "cancel/lost-after=40%", 0, CodeDone, ""},
		{"answers are lost, without", "cancel/lost-before=40%", 0, CodeDone, ""},
		{"the effect comes 59 s after the connection was lost", "cancel/effect-late=30%", 0, CodeDone, ""},
		{"answers of 500, with effect and without", "cancel/500-after=20%,cancel/500-before=20%", 0, CodeDone, ""},
		{"calls that hang", "cancel/hang-after=10%,cancel/hang-before=10%", 0, CodeDone, ""},
		{"answers that cannot be read", "cancel/cut=10%,cancel/empty=10%,cancel/notjson-before=10%,cancel/noid=10%", 0, CodeDone, ""},
		{"answers of 503 that name a time, with effect", "cancel/503-retry-after-after=30%", 0, CodeDone, ""},
		{"a proxy's pages, 503, 429 and 404 once", "cancel/proxy-403=10%,cancel/proxy-404=10%,cancel/503-retry-after=10%,cancel/429-seconds=5%,cancel/404-once=20%", 0, CodeDone, ""},
		{"tokens that end", "cancel/401@5,cancel/401-cae@15", 0, CodeDone, ""},
		{"everything at once, and reads that fail", "cancel/mixed=3%,action/mixed=3%,actions/mixed=3%", 0, CodeDone, ""},
		{"actions become final before the call", "cancel/final-first=7", 7, CodeIncomplete, ""},
		{"the call is forbidden", "cancel/403-all@11", 0, CodeGuard, "cancel calls in a row were forbidden"},
		{"nobody answers", "cancel/proxy-407", 0, CodeStopped, "no answer of Defender's for 10m0s"},
		{"fresh tokens are refused", "cancel/401-all@20", 0, CodeGuard, "Defender does not take a fresh token either"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 60
				w := newWorld(t, simulator.Options{Seed: 11})
				w.opt.MaxOutage = 10 * time.Minute
				if run := w.run(devices(n)); run.counts[checkpoint.Accepted] != n {
					t.Fatalf("run: %v, %v; want all accepted", run.counts, run.stop)
				}
				w.goesWrong(simulator.Options{Seed: 11, Faults: tt.faults})
				end := w.cancel(t.Context())
				if end.code != tt.wantCode || tt.wantStop != "" && (end.stop == nil || !strings.Contains(end.stop.Error(), tt.wantStop)) {
					t.Errorf("Cancel() = %+v, code %d, %v; want code %d, %q", end.Cancelled, end.code, end.stop, tt.wantCode, tt.wantStop)
				}
				if tt.wantStop == "" && (end.Cancelled.Cancelled != n-tt.late || len(end.Late) != tt.late || len(end.Left) != 0) {
					t.Errorf("Cancel() = %d cancelled, %d late, %d left; want %d and %d", end.Cancelled.Cancelled, len(end.Late), len(end.Left), n-tt.late, tt.late)
				}
				for _, late := range end.Late {
					if late.Action.Status != "Succeeded" || late.Reason != "Succeeded before it could be cancelled" {
						t.Errorf("device %s: action %s, %q; want its true status", late.Device, late.Action.Status, late.Reason)
					}
				}
				w.judgeCancelled(end.Cancelled.Cancelled)
				w.tasks()
				if len(openRuns(w)) != 0 {
					t.Error("the run has no end")
				}
			})
		})
	}
}

// TestCancelGoesOn interrupts a cancel again and again; the next one goes on,
// and no action gets a second call.
func TestCancelGoesOn(t *testing.T) {
	slow(t)
	synctest.Test(t, func(t *testing.T) {
		const n = 250
		w := newWorld(t, simulator.Options{Seed: 1, LatencyMin: 10 * time.Millisecond, LatencyMax: 400 * time.Millisecond})
		w.run(devices(n))
		before := 0
		for i := range 4 {
			end, err := w.tryCancel(interruptedAfter(t, 3*time.Second), w.store())
			if err != nil || end.code != CodeStopped {
				t.Fatalf("cancel %d: code %d, %v, %v; want 4, interrupted", i, end.code, end.stop, err)
			}
			if got := end.Cancelled.Cancelled + end.Before + end.Still; got != n || end.Still == 0 || end.Before != before {
				t.Errorf("cancel %d: %d cancelled, %d before and %d still open; want %d before and %d together", i, end.Cancelled.Cancelled, end.Before, end.Still, before, n)
			}
			before += end.Cancelled.Cancelled
		}
		if _, err := w.tryRun(t.Context(), devices(n)); stopCode(err) != CodeUsage {
			t.Errorf("run of a batch half cancelled: %v; want that it is closed", err)
		}
		end := w.cancel(t.Context())
		if end.code != CodeDone || end.Before != before || end.Cancelled.Cancelled != n-before {
			t.Errorf("Cancel() = %+v, code %d; want %d cancelled, %d of them before", end.Cancelled, end.code, n, before)
		}
		w.judgeCancelled(n)
		if got := w.kinds()[simulator.KindCancel]; got != n {
			t.Errorf("%d cancel calls; want %d", got, n)
		}
	})
}

// TestCancelKilled leaves a cancel call without an outcome on the disk, as a
// kill does, with its effect at once, late, and never.
func TestCancelKilled(t *testing.T) {
	tests := []struct {
		why    string
		effect time.Duration // after the intent; 0: none
		want   int           // calls of the cancel that goes on
	}{
		{"the call had its effect", time.Millisecond, 0},
		{"its effect comes when the next cancel is at work", 90 * time.Second, 0},
		{"it had none", 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Seed: 1})
				w.run(devices(1))
				task := w.tasks()[devices(1)[0]]
				store := w.store()
				s, b, dead := w.watching(store, whatCancel)
				in := checkpoint.Intent{Run: dead.run, Device: task.Device, Number: 1, Tag: "mdo-killed77"}
				w.reserve(b.ID, in, w.opt.budget(s.Key, CallCancel))
				if tt.effect > 0 {
					time.AfterFunc(tt.effect, func() { w.sim.Finish(task.Action.ID, "Cancelled") })
				}
				time.Sleep(time.Second)
				end := w.cancel(t.Context())
				if end.code != CodeDone || end.Cancelled.Cancelled+end.Before != 1 {
					t.Errorf("Cancel() = %+v, code %d, %v; want 1 cancelled", end.Cancelled, end.code, end.stop)
				}
				if got := w.kinds()[simulator.KindCancel]; got != tt.want {
					t.Errorf("%d cancel calls; want %d", got, tt.want)
				}
			})
		})
	}
}
