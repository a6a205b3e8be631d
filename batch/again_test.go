package batch

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestCancelAfterAgain cancels all that is open of a batch that --again has only
// begun to take up.
func TestCancelAfterAgain(t *testing.T) {
	for _, how := range []string{"canary", "interrupted"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 6
				w := newWorld(t, simulator.Options{Seed: 1})
				w.run(devices(n)) // all accepted, all actions open
				w.req.Again, w.opt.Again = true, true
				switch how {
				case "canary":
					w.req.Canary = 2
					w.run(devices(n))
				case "interrupted":
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					w.wire.leaving = refuseAll
					if _, err := w.tryRun(ctx, devices(n)); err == nil {
						t.Error("a run that reaches nobody ended without a word")
					}
					w.wire.leaving = nil
				}
				end := w.cancel(t.Context())
				cancelled := 0
				for _, d := range w.sim.Books().Devices {
					cancelled += d.Cancelled
				}
				if cancelled != n {
					t.Errorf("cancel: code %d, %+v, plan open %d unsent %d; %d of %d open actions cancelled", end.code, end.Cancelled, end.plan.Open, end.plan.Unsent, cancelled, n)
				}
			})
		})
	}
}

// TestAgainThenPlain goes on with what --again has taken up, by the command without it.
func TestAgainThenPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		w := newWorld(t, simulator.Options{Seed: 1})
		w.run(devices(n))
		w.cancel(t.Context())
		w.req.Again, w.opt.Again = true, true
		w.req.Canary = 1
		w.run(devices(n))
		w.req.Again, w.opt.Again = false, false
		w.req.Canary = 0
		end := w.run(devices(n))
		calls := w.sim.Books().Calls[simulator.KindOffboard].Calls
		if calls != 2*n {
			t.Errorf("todo %d: code %d, %v after %d calls; want %d", end.plan.ToDo, end.code, end.counts, calls, 2*n)
		}
	})
}

// TestLookedUpLater leaves an open action unknown when a run is interrupted; the next
// one has that to look up.
func TestLookedUpLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Repeat: simulator.RepeatRefuse})
		ids := devices(1)
		var id string
		w.atPost(1, func() {
			id = w.sim.AddAction(simulator.Action{MachineID: ids[0], Requestor: "bob@example.com"})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, err := w.tryRun(ctx, ids)
		if err != nil {
			t.Fatal(err)
		}
		store := w.store()
		s, _ := w.session(t.Context(), store)
		o, err := s.Open(t.Context(), w.req.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		p := planOf(t, listOf(ids), o.Batch, o.Tasks, w.req)
		code, _ := o.Code(t.Context())
		if p.Nothing() {
			t.Errorf("the next run has nothing to do and ends with %d; %s (%s), action %q, want %s", code, o.Tasks[0].Status, o.Tasks[0].Reason, o.Tasks[0].Action.ID, id)
		}
	})
}

// TestHeldUntilCancelled holds a device back because another batch has it, until that one
// is cancelled.
func TestHeldUntilCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		ids := devices(2)
		w.run(ids)
		other := w.beside("other")
		store := w.store()
		plan := func() (*Plan, *Open) {
			s, _ := other.session(t.Context(), store)
			o, err := s.Open(t.Context(), "other")
			if err != nil {
				t.Fatal(err)
			}
			err = store.View(t.Context(), func(r checkpoint.Reader) (err error) {
				other.req.Elsewhere, err = r.Elsewhere(s.Key.Cloud, s.Key.Tenant, o.Batch.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return planOf(t, listOf(append(ids, device("x"))), o.Batch, o.Tasks, other.req), o
		}
		_, o := plan()
		o.Close()
		other.run(append(ids, device("x")))
		w.cancel(t.Context())
		p, o := plan()
		defer o.Close()
		fresh := planOf(t, listOf(ids), checkpoint.Batch{}, nil, other.req)
		if p.ToDo != fresh.ToDo {
			t.Errorf("after the other batch was cancelled %d devices are to do, in a fresh batch %d; done %v", p.ToDo, fresh.ToDo, p.Done)
		}
	})
}

// TestAgainWithoutReads does not name an action that is over as the open one.
func TestAgainWithoutReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		w.run(devices(1))
		first := w.tasks()[devices(1)[0]].Action.ID
		if err := w.sim.Finish(first, simulator.Failed); err != nil {
			t.Fatal(err)
		}
		w.req.Again, w.opt.Again, w.opt.NoReads = true, true, true
		w.wire.leaving = nil
		const told = "1 device will be called again whose action was open when it was last seen, since actions cannot be read"
		second := ""
		w.atPost(1, func() {
			second = w.sim.AddAction(simulator.Action{MachineID: devices(1)[0], Requestor: "bob@example.com"})
		})
		end := w.run(devices(1))
		task := end.tasks[0]
		if !slices.Contains(end.plan.Notes, told) {
			t.Errorf("the plan says %q; want also %q", end.plan.Notes, told)
		}
		if task.Action.ID == first {
			t.Errorf("%s (%s) names action %s (%s), which is over; the open one is %s", task.Status, task.Reason, task.Action.ID, task.Action.Status, second)
		}
	})
}

// TestAgainWithdrawn has a device leave the list while it is to be taken up again, and
// come back.
func TestAgainWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		ids := devices(3)
		w.run(ids)
		w.req.Again, w.opt.Again, w.req.Canary = true, true, 1
		w.run(ids)
		w.req.Again, w.opt.Again, w.req.Canary = false, false, 0
		w.run(ids[:2])
		end := w.run(ids)
		task := end.tasks[2]
		if task.Status == checkpoint.Skipped {
			t.Errorf("back in the list: %s (%s) with action %s (%s), todo %d, code %d", task.Status, task.Reason, task.Action.ID, task.Action.Status, end.plan.ToDo, end.code)
		}
	})
}

// TestFreshElsewhere has a batch with open actions that no list shows yet, and another
// one that names the devices.
func TestFreshElsewhere(t *testing.T) {
	for _, how := range []string{"accepted", "cancel interrupted", "cancel interrupted, the other with --again", "again with a canary", "again, interrupted"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Seed: 1, Lag: 110 * time.Second, Repeat: simulator.RepeatSecond})
				ids := devices(3)
				w.run(ids)
				other := w.beside("other")
				switch how {
				case "accepted":
				case "again with a canary":
					w.req.Again, w.opt.Again, w.req.Canary = true, true, 1
					w.run(ids)
				case "again, interrupted":
					w.req.Again, w.opt.Again = true, true
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(10*time.Second, cancel)
					w.tryRun(ctx, ids)
				default:
					w.wire.leaving = refuseAll
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(70*time.Second, cancel)
					w.cancel(ctx)
					w.wire.leaving = nil
					if how != "cancel interrupted" {
						other.req.Again, other.opt.Again = true, true
					}
				}
				end := other.run(ids)
				other.judge(end, false)
			})
		})
	}
}

// TestAgainInDoubt leaves the second round of a device in doubt, while the action of the
// first carries a tag of the same task.
func TestAgainInDoubt(t *testing.T) {
	for _, then := range []string{"cancel", "run"} {
		t.Run(then, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Seed: 1, Lag: 110 * time.Second, Faults: "lost-after@2"})
				ids := devices(1)
				w.run(ids)
				time.Sleep(10 * time.Minute)
				w.cancel(t.Context())
				time.Sleep(10 * time.Minute)
				w.req.Again, w.opt.Again = true, true
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(2*time.Second, cancel)
				end, err := w.tryRun(ctx, ids)
				w.req.Again, w.opt.Again = false, false
				if err != nil || end.counts[checkpoint.InDoubt] != 1 {
					t.Fatalf("--again: %v, %v; want it in doubt", end.counts, err)
				}
				d := w.sim.Books().Devices[ids[0]]
				switch then {
				case "cancel":
					end := w.cancel(t.Context())
					b := w.sim.Books().Devices[ids[0]]
					if b.Cancelled != 2 {
						t.Errorf("cancel: code %d, %+v; %d of 2 actions cancelled; the task has %s (%s), the open one is %s", end.code, end.Cancelled, b.Cancelled,
							w.tasks()[ids[0]].Action.ID, w.tasks()[ids[0]].Action.Status, b.Actions[1])
					}
				case "run":
					end := w.run(ids)
					if task := end.tasks[0]; task.Action.ID != d.Actions[1] {
						t.Errorf("run: code %d, %s (%s) with %s (%s); want %s", end.code, task.Status, task.Reason, task.Action.ID, task.Action.Status, d.Actions[1])
					}
				}
			})
		})
	}
}

// TestAgainBeside runs two batches of the same devices at the same time, with --again.
func TestAgainBeside(t *testing.T) {
	for _, both := range []bool{false, true} {
		for _, later := range []time.Duration{0, 20 * time.Second} {
			t.Run(fmt.Sprint(both, later), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, simulator.Options{Seed: 1, Lag: 110 * time.Second, Repeat: simulator.RepeatSecond,
						LatencyMin: 100 * time.Millisecond, LatencyMax: 3 * time.Second})
					w.opt.Workers = 2
					other := w.beside("other")
					other.req.Again, other.opt.Again = true, true
					w.req.Again, w.opt.Again = both, both
					ids := devices(30)
					one, _ := together(w, other, ids, ids, later)
					w.judge(one, false)
				})
			})
		}
	}
}
