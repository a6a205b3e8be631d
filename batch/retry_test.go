package batch

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestActionsThatFailed: a device whose action failed or timed out has not left.
// It is called again where that is asked for, by --retry failed or by another
// list, and nowhere else.
func TestActionsThatFailed(t *testing.T) {
	for _, other := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Pending: time.Minute, Running: time.Minute})
			failed := append(magicIDs("deadfa11", 2), magicIDs("dead713e", 2)...)
			all := slices.Concat(devices(3), failed, magicIDs("deadca11", 1))
			if end := w.run(all); end.counts[checkpoint.Accepted] != len(all) {
				t.Fatalf("run: %v, %v; want all accepted", end.counts, end.stop)
			}
			time.Sleep(time.Hour)
			calls := func() int { return w.sim.Books().Calls[simulator.KindOffboard].Calls }
			retry := func() { w.req.Retry = []checkpoint.Status{checkpoint.Failed} }
			if other {
				w.track(t.Context(), TrackOptions{})
				w.req.Name = "another"
				if end := w.run(all); calls() != len(all)+5 || end.counts[checkpoint.Skipped] != 3 || end.counts[checkpoint.Accepted] != 5 {
					t.Errorf("another list: %d calls, %v, %v; want those called again that failed, timed out or were cancelled", calls(), end.counts, end.stop)
				}
				return
			}
			if end := w.run(all); end.plan.ToDo != 0 || calls() != len(all) {
				t.Errorf("without --retry: %d to do, %d calls; want none and %d", end.plan.ToDo, calls(), len(all))
			}
			retry()
			end := w.run(all)
			if end.plan.ToDo != len(failed) || end.counts[checkpoint.Accepted] != len(all) || calls() != len(all)+len(failed) {
				t.Errorf("--retry failed: %d to do, %v, %v, %d calls; want %d called again", end.plan.ToDo, end.counts, end.stop, calls(), len(failed))
			}
			for _, task := range end.tasks {
				if slices.Contains(failed, task.Device) && task.Action.Status != "Pending" {
					t.Errorf("%s has action %s; want the fresh one", task.Device, task.Action.Status)
				}
			}
			if end := w.run(all); end.plan.ToDo != 0 {
				t.Errorf("and again: %d to do; want none, since the fresh actions are open", end.plan.ToDo)
			}
		})
	}
}

// TestRetryOfWhatIsDone: --retry is no --again. A device that was refused, failed,
// or whose action did, and which somebody else has had offboarded since, is not
// called, by whatever it was taken up.
func TestRetryOfWhatIsDone(t *testing.T) {
	for _, tt := range []struct {
		reason string
		faults string
		id     string
		status checkpoint.Status // by which it is taken up
		again  bool              // in place of --retry, in a run that sends nothing; the next has neither
		ago    time.Duration     // of the action that succeeded, before now
		calls  int               // of the second run
	}{
		{"it was refused", "", magicIDs("dead0403", 1)[0], checkpoint.Refused, false, 2 * time.Hour, 0},
		{"it failed", "lost-before@1", devices(1)[0], checkpoint.Failed, false, 2 * time.Hour, 0},
		{"its action failed", "", magicIDs("deadfa11", 1)[0], checkpoint.Failed, false, 2 * time.Hour, 0},
		{"its action failed, and that of somebody else was before", "", magicIDs("deadfa11", 1)[0], checkpoint.Failed, false, 72 * time.Hour, 1},
		{"consent of an earlier run", "", devices(1)[0], checkpoint.Accepted, true, 2 * time.Hour, 0},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults, Repeat: simulator.RepeatSecond, Pending: time.Minute, Running: time.Minute})
				w.opt.MaxAttempts = 1
				w.run([]string{tt.id})
				time.Sleep(24 * time.Hour)
				w.sim.AddAction(simulator.Action{MachineID: tt.id, Status: simulator.Succeeded, Created: time.Now().Add(-tt.ago)})
				before := posts(w.sim.Books(), tt.id)
				if tt.again {
					w.req.Again, w.opt.Again, w.wire.leaving = true, true, func(r *http.Request) error {
						if isOffboard(r) {
							return gone
						}
						return nil
					}
					w.run([]string{tt.id})
					w.req.Again, w.opt.Again, w.wire.leaving = false, false, nil
				} else {
					w.req.Retry = []checkpoint.Status{tt.status}
				}
				end := w.run([]string{tt.id})
				task := end.tasks[0]
				want := map[int]checkpoint.Status{0: checkpoint.Skipped, 1: checkpoint.Accepted}[tt.calls]
				if calls := posts(w.sim.Books(), tt.id) - before; calls != tt.calls || task.Status != want {
					t.Errorf("%d calls, %s (%s); want %d, %s", calls, task.Status, task.Reason, tt.calls, want)
				}
			})
		})
	}
}
