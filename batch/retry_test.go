package batch

import (
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
