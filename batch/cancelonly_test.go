package batch

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestCancelOnly takes some devices back, sent or not; the batch goes on with the
// others and leaves those alone, whatever happens to its list, until --again.
func TestCancelOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := devices(20)
		w := newWorld(t, simulator.Options{Seed: 1})
		w.opt.Limit = 12
		w.opt.Workers = 1
		if end := w.run(ids); end.code != CodeStopped {
			t.Fatalf("run: code %d, %v; want 4", end.code, end.counts)
		}
		if _, err := w.tryCancel(t.Context(), w.store(), ids[3], device("nobody's")); stopCode(err) != CodeUsage || !strings.Contains(err.Error(), device("nobody's")) {
			t.Errorf("a device that the batch does not have: %v; want it named, code 2", err)
		}
		end := w.cancel(t.Context(), ids[0], ids[1], ids[19])
		if end.code != CodeDone || end.Cancelled.Cancelled != 2 || end.plan.Unsent != 1 || end.Withdrawn != 1 || end.Unsent != 0 || !end.Cancelled.Open {
			t.Errorf("Cancel() = %+v, code %d; want 2 cancelled, 1 withdrawn, the batch open", end.Cancelled, end.code)
		}
		w.judgeCancelled(2)
		if end := w.cancel(t.Context(), ids[0], ids[1], ids[19]); !end.plan.Nothing() {
			t.Errorf("Cancel() again = %+v; want nothing to do", end.Cancelled)
		}
		w.opt.Limit = 0
		for _, list := range [][]string{ids, ids[:19], ids} {
			run := w.run(list)
			w.judge(run, false)
			if got := w.tasks()[ids[19]]; got.Status != checkpoint.Skipped || !strings.HasPrefix(got.Reason, "withdrawn: ") {
				t.Errorf("the device that was not sent: %s, %q; want it skipped, as withdrawn", got.Status, got.Reason)
			}
			if run.code != CodeDone || w.sim.Books().Actions() != len(ids)-1 {
				t.Errorf("run of %d: code %d, %d actions; want the rest sent and nothing twice", len(list), run.code, w.sim.Books().Actions())
			}
		}
		w.req.Again, w.opt.Again = true, true
		if w.run(ids); posts(w.sim.Books(), ids[0]) != 2 || posts(w.sim.Books(), ids[19]) != 1 {
			t.Errorf("run --again: %v; want those that were withdrawn called", w.sim.Books().Devices[ids[19]])
		}
		w.req.Again, w.opt.Again = false, false
		if got := w.run(ids).plan; got.ToDo != 0 || len(got.Held) != 0 {
			t.Errorf("run after --again: %d to do, %d kinds held back; want none withdrawn any more", got.ToDo, len(got.Held))
		}
	})
}

// TestCancelOnlyHolds interrupts a cancel of some: until it is done no run goes
// on, and it opens the batch again itself.
func TestCancelOnlyHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := devices(30)
		w := newWorld(t, simulator.Options{Seed: 1, LatencyMin: time.Second, LatencyMax: 2 * time.Second})
		w.opt.Workers = 1
		w.run(ids[:20])
		ctx := interruptedAfter(t, 20*time.Second)
		if end := w.cancel(ctx, ids[:10]...); end.code != CodeStopped || end.Cancelled.Open {
			t.Errorf("Cancel() = %+v, code %d; want interrupted, the batch held", end.Cancelled, end.code)
		}
		w.req.Again = true
		if _, err := w.tryRun(t.Context(), ids); stopCode(err) != CodeUsage || !strings.Contains(err.Error(), "held") {
			t.Errorf("run --again of a held batch: %v; want that it is held", err)
		}
		w.req.Again = false
		if end := w.cancel(t.Context(), ids[:10]...); end.code != CodeDone || end.Cancelled.Cancelled+end.Before != 10 || end.Before == 0 || !end.Cancelled.Open {
			t.Errorf("Cancel() = %+v, code %d; want 10 cancelled, some of them before, the batch open", end.Cancelled, end.code)
		}
		w.judgeCancelled(10)
		if run := w.run(ids); run.code != CodeDone || w.sim.Books().Actions() != 30 {
			t.Errorf("run: code %d, %d actions; want the rest sent", run.code, w.sim.Books().Actions())
		}
	})
}

// TestCancelTold has fates that are nobody's fault told as they are: other
// people's cancels, words that nobody has described, actions that are gone, and
// open actions that are not this batch's.
func TestCancelTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := append(devices(4), "dead0409"+strings.Repeat("0", 32))
		w := newWorld(t, simulator.Options{Seed: 1})
		w.run(ids)
		tasks := w.tasks()
		w.sim.Finish(tasks[ids[1]].Action.ID, "Deferred")
		end := w.cancel(t.Context())
		if end.code != CodeIncomplete || end.Cancelled.Cancelled != 3 || len(end.Left) != 1 || end.plan.Others != 1 {
			t.Errorf("Cancel() = %+v, code %d, plan %+v; want 3 cancelled, 1 left, 1 of others", end.Cancelled, end.code, end.plan)
		}
		tasks = w.tasks()
		if got := tasks[ids[1]]; got.Action.Status != "Deferred" || !strings.Contains(got.Reason, "could not be cancelled: status 400 BadRequest") {
			t.Errorf("action %s, %q; want Deferred, and Defender's refusal", got.Action.Status, got.Reason)
		}
		if got := tasks[ids[4]]; got.Status != checkpoint.AlreadyActive || got.Action.Status != "Pending" {
			t.Errorf("%s, action %s; want another administrator's left alone", got.Status, got.Action.Status)
		}
	})
}

// TestCancelBesideTracker cancels while a tracker watches: the tracker sees it.
func TestCancelBesideTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		w.run(devices(40))
		watched := make(chan trackEnd, 1)
		go func() { watched <- w.track(t.Context(), TrackOptions{Every: 10 * time.Second, UntilFinal: true}) }()
		time.Sleep(5 * time.Second)
		end := w.cancel(t.Context())
		seen := <-watched
		if end.Cancelled.Cancelled != 40 || fmt.Sprint(seen.Statuses) != "map[Cancelled:40]" || seen.Code() != CodeIncomplete {
			t.Errorf("Cancel() = %+v, Track() = %+v; want 40 cancelled and seen so, code 3", end.Cancelled, seen.Tracking)
		}
		w.tasks()
	})
}
