package batch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// beside is another list of the same people: a batch of its own, in a process of
// its own, on the same checkpoint.
func (w *world) beside(name string) *world {
	other := *w
	other.req.Name, other.clock = name, &Clock{Wall: w.clock.Wall}
	return &other
}

// together runs two lists at the same time, the second a while later.
func together(w, other *world, ids, others []string, later time.Duration) (one, two runEnd) {
	w.t.Helper()
	var theirs error
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(later)
		two, theirs = other.tryRun(w.t.Context(), others)
	}()
	one, ours := w.tryRun(w.t.Context(), ids)
	<-done
	if err := errors.Join(ours, theirs); err != nil {
		w.t.Fatal(err)
	}
	return one, two
}

// TestTwoListsOfOneDevice: a device that two batches name is called once.
func TestTwoListsOfOneDevice(t *testing.T) {
	for _, tt := range []struct {
		name string
		sim  simulator.Options
		why  string
	}{
		{"at the same time", simulator.Options{Repeat: simulator.RepeatSecond, LatencyMin: 50 * time.Millisecond, LatencyMax: 5 * time.Second}, "one has it in flight"},
		{"unseen", simulator.Options{Repeat: simulator.RepeatSecond, Lag: 110 * time.Second, LatencyMax: time.Second}, "the tenant's list does not show it"},
		{"in doubt", simulator.Options{Repeat: simulator.RepeatSecond, Lag: 110 * time.Second, Faults: "lost-after=30%,lost-before=10%", Seed: 5}, "one has it in doubt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.sim)
				other := w.beside("other")
				ids := devices(30)
				back := slices.Clone(ids)
				slices.Reverse(back)
				one, two := together(w, other, ids, back, 0)
				// Who finds nothing left but what the other has in doubt stops, and
				// goes on later.
				for _, end := range []*runEnd{&one, &two} {
					if end.code == CodeStopped {
						run := w
						if end == &two {
							run = other
						}
						*end = run.run(ids)
					}
				}
				w.judge(one, false)
				w.judge(two, false)
				if accepted := one.counts[checkpoint.Accepted] + two.counts[checkpoint.Accepted]; one.code != CodeDone || two.code != CodeDone || accepted != 30 {
					t.Errorf("codes %d (%v), %d (%v), counts %v, %v; want 0, and each device accepted in one: %s",
						one.code, one.stop, two.code, two.stop, one.counts, two.counts, tt.why)
				}
				for _, task := range append(one.tasks, two.tasks...) {
					switch {
					case task.Action.ID == "":
						t.Errorf("device %s is %s (%s) without an action; want the same in both", task.Device, task.Status, task.Reason)
					case task.Status == checkpoint.Skipped && !strings.Contains(task.Reason, "accepted before, in batch"):
						t.Errorf("device %s is skipped: %q; want to know where it was accepted", task.Device, task.Reason)
					}
				}
			})
		})
	}
}

// TestInDoubtElsewhere: a device that a batch has in doubt is called by no other,
// until it is settled.
func TestInDoubtElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(*world, []string) // the device in doubt in the batch "list"
		again bool
	}{
		{"the runner was killed", func(w *world, ids []string) { w.crash(ids, 1) }, false},
		{"it cannot be looked up", func(w *world, ids []string) {
			w.opt.NoReads = true
			w.run(ids)
			w.opt.NoReads = false
		}, false},
		{"even again", func(w *world, ids []string) { w.crash(ids, 1) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: "lost-after@1", Lag: 110 * time.Second, Repeat: simulator.RepeatSecond})
				ids := devices(1)
				tt.leave(w, ids)
				other := w.beside("other")
				other.opt.Again, other.req.Again = tt.again, tt.again
				end := other.run(append(ids, device("one more")))
				b := other.judge(runEnd{}, false)
				if n := posts(b, ids[0]); end.code != CodeStopped || end.stop == nil || !strings.Contains(end.stop.Why, `batch "list"`) || n != 1 {
					t.Errorf("the other batch ended with %d (%v), %d calls of the device; want 4, naming the batch, 1", end.code, end.stop, n)
				}
				if end.counts[checkpoint.Accepted] != 1 {
					t.Errorf("counts %v; want the other device accepted meanwhile", end.counts)
				}
				if end := w.run(ids); end.code != CodeDone || end.counts[checkpoint.Accepted] != 1 {
					t.Errorf("the first batch ended with %d (%v), %v; want it settled", end.code, end.stop, end.counts)
				}
				other.opt.Again, other.req.Again = false, false
				if end := other.run(append(ids, device("one more"))); end.code != CodeDone || end.tasks[0].Action.ID == "" {
					t.Errorf("the other batch then ended with %d (%v), %v; want 0 and the action of the first", end.code, end.stop, end.counts)
				}
				if n := posts(w.sim.Books(), ids[0]); n != 1 {
					t.Errorf("%d calls of the device; want 1", n)
				}
			})
		})
	}
}

// TestAgainElsewhere: --again calls what another batch has accepted, once its
// action is over.
func TestAgainElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		ids := devices(1)
		first := w.run(ids).tasks[0].Action.ID
		other := w.beside("other")
		other.opt.Again, other.req.Again = true, true
		if end := other.run(ids); end.counts[checkpoint.AlreadyActive] != 1 {
			t.Errorf("while the action is open: %v; want already-active", end.counts)
		}
		if err := w.sim.Finish(first, simulator.Cancelled); err != nil {
			t.Fatal(err)
		}
		if end := other.run(ids); end.code != CodeDone || end.counts[checkpoint.Accepted] != 1 || posts(w.sim.Books(), ids[0]) != 2 {
			t.Errorf("after it: code %d (%v), %v; want accepted by a second call", end.code, end.stop, end.counts)
		}
	})
}

// TestTwoRunnersShareTheQuota: as if one runner did the work of both, holds
// included.
func TestTwoRunnersShareTheQuota(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults string
		shared bool
		why    string
	}{
		{"plain", "", false, "every slot is used, and none twice"},
		{"with holds", "429-seconds@5,429-seconds@17", false, "a hold of one is a hold of the other"},
		{"one budget for all calls", "lost-after@3", true, "looks count too"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{PerMinute: small[0].Limit, PerHour: small[1].Limit, Hour: small[1].Per, SharedBudget: tt.shared,
					Faults: tt.faults, LatencyMin: 50 * time.Millisecond, LatencyMax: 500 * time.Millisecond})
				w.opt.Windows, w.opt.SharedBudget = small, tt.shared
				const n = 25
				var others []string
				for i := range n {
					others = append(others, device(fmt.Sprint("other ", i)))
				}
				start := time.Now()
				one, two := together(w, w.beside("other"), devices(n), others, 0)
				took := time.Since(start)
				b := w.judge(one, false)
				w.judge(two, false)
				if one.code != CodeDone || two.code != CodeDone || b.Throttled > strings.Count(tt.faults, "429")*w.opt.Workers*2 {
					t.Errorf("codes %d (%v), %d (%v), %d answers of 429; want 0, 0, few: %s", one.code, one.stop, two.code, two.stop, b.Throttled, tt.why)
				}
				if all := b.Calls["all"]; tt.shared && (all.DensestMinute > small[0].Limit || all.DensestHour > small[1].Limit) {
					t.Errorf("all calls: densest minute %d, hour %d; want %v", all.DensestMinute, all.DensestHour, small)
				}
				if ideal := quota.Ideal(small, 2*n); tt.faults == "" && took > ideal+ideal/20 {
					t.Errorf("took %v; want about the ideal %v", took, ideal)
				}
			})
		})
	}
}

// TestOtherRunner: a batch has one runner at a time, and one that died keeps
// nobody out.
func TestOtherRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		w.atPost(3, func() {
			twin := w.beside(w.req.Name)
			var no *ErrOtherRunner
			if _, err := twin.tryRun(t.Context(), devices(5)); !errors.As(err, &no) {
				t.Errorf("a second runner of the batch: %v; want ErrOtherRunner", err)
			}
		})
		if end := w.run(devices(5)); end.code != CodeDone {
			t.Errorf("code %d (%v); want 0", end.code, end.stop)
		}
		w.wire.leaving = nil
		if end := w.run(devices(8)); end.code != CodeDone || end.counts[checkpoint.Accepted] != 8 {
			t.Errorf("the next run: code %d (%v), %v; want 0", end.code, end.stop, end.counts)
		}
	})
}
