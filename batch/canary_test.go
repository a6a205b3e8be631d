package batch

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestCanary sends the first three of ten and stops as if to ask; the next run
// goes on with the rest.
func TestCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		all := devices(10)
		w.req.Canary = 3
		end := w.run(all)
		if end.stop != nil || end.code != CodeStopped || end.counts[checkpoint.Accepted] != 3 || end.counts[checkpoint.Pending] != 7 {
			t.Errorf("the canary: stop %v, code %d, %v; want none, %d, 3 accepted and 7 pending", end.stop, end.code, end.counts, CodeStopped)
		}
		if got, want := end.runs[0].Why, "the first 3 are over: look at how they went. The next run goes on with the rest"; got != want {
			t.Errorf("the run of the canary ended %q; want %q", got, want)
		}
		for i, task := range end.tasks {
			if want := i < 3; (task.Status == checkpoint.Accepted) != want {
				t.Errorf("device %d is %s; want the first three accepted", i, task.Status)
			}
		}
		end = w.run(all)
		if left := end.plan.CanaryLeft(); left != 0 || end.code != CodeDone || end.counts[checkpoint.Accepted] != 10 {
			t.Errorf("the next run: %d of the canary left, code %d, %v; want 0, %d, all accepted", left, end.code, end.counts, CodeDone)
		}
		w.judge(end, false)
	})
}

// TestProtectedInDoubt has a device protected after a call of it had no answer:
// it is looked up, and when there is no action it is not called again.
func TestProtectedInDoubt(t *testing.T) {
	for _, tc := range []struct {
		reason, faults string
		want           checkpoint.Status
	}{
		{"the call had no effect", "lost-before=1", checkpoint.Skipped},
		{"the call had its effect", "lost-after=1", checkpoint.Accepted},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Faults: tc.faults, Lag: time.Minute})
			all := devices(1)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			end, err := w.tryRun(ctx, all)
			if err != nil || end.counts[checkpoint.InDoubt] != 1 {
				t.Fatalf("%s: first run: %v, %v; want the device in doubt", tc.reason, end.counts, err)
			}
			if w.req.Protect, err = ReadProtection([]string{protectFile(t, all[0])}, nil); err != nil {
				t.Fatal(err)
			}
			end = w.run(all)
			posts := w.sim.Books().Devices[all[0]].Posts
			if got := end.tasks[0]; got.Status != tc.want || posts != 1 || tc.want == checkpoint.Skipped && !strings.HasPrefix(got.Reason, "protected: by ") {
				t.Errorf("%s: %s (%s) after %d calls; want %s after one", tc.reason, got.Status, got.Reason, posts, tc.want)
			}
			w.judge(end, false)
		})
	}
}

// canaryRun runs a list with a canary of three.
func (w *world) canaryRun(ids []string, most time.Duration) (end runEnd, left int) {
	w.t.Helper()
	w.req.Canary = 3
	end = w.rerun(listOf(ids), most)
	return end, end.plan.CanaryLeft()
}

// TestCanaryWithoutAnAnswer has none of the canary reach Defender: that has shown
// nothing, so it is to do again.
func TestCanaryWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		all := devices(10)
		w.wire.leaving = func(r *http.Request) error {
			if isOffboard(r) {
				return gone
			}
			return nil
		}
		w.canaryRun(all, 10*time.Second)
		w.wire.leaving = nil
		end, left := w.canaryRun(all, 0)
		if left != 3 || end.counts[checkpoint.Accepted] != 3 {
			t.Errorf("the next run: canary %d, %v; want 3, and 3 accepted", left, end.counts)
		}
		if end, left = w.canaryRun(all, 0); left != 0 || end.counts[checkpoint.Accepted] != 10 {
			t.Errorf("the run after it: canary %d, %v; want 0, and all accepted", left, end.counts)
		}
	})
}

// TestCanaryOfEachRound adds to a batch that is done: what is new has a canary of
// its own, which holds until Defender has answered for it, and then the same
// command goes on with the rest.
func TestCanaryOfEachRound(t *testing.T) {
	slow(t)
	all := devices(20)
	for _, tc := range []struct {
		reason  string
		before  []string // of the batch, done
		faults  string
		change  func(*world)
		accepts [2]int // devices that are accepted after the canary and at the end
		calls   int    // for these
		more    int    // canary of the same command after that
	}{
		{"a longer list", all[:10], "", func(*world) {}, [2]int{13, 20}, 10, 0},
		{"another list", all[10:], "", func(*world) {}, [2]int{13, 20}, 10, 0},
		{"--again", all, "", func(w *world) { w.req.Again, w.opt.Again = true, true }, [2]int{3, 20}, 20, 3},
		{"--retry", all, "403-device=9", func(w *world) { w.req.Retry = []checkpoint.Status{checkpoint.Refused} }, [2]int{14, 20}, 9, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Faults: tc.faults, Pending: time.Second, Running: time.Second})
			w.opt.MaxFailures = Threshold{Percent: 100}
			w.rerun(listOf(tc.before), 0)
			time.Sleep(time.Hour)
			list := all
			if &tc.before[0] == &all[10] {
				list = all[:10] // the others have left it, and stay in the batch
			}
			tc.change(w)
			w.wire.leaving = func(r *http.Request) error {
				if isOffboard(r) {
					return gone
				}
				return nil
			}
			if _, left := w.canaryRun(list, 10*time.Second); left != 3 {
				t.Errorf("%s, and nothing answers: canary %d; want 3", tc.reason, left)
			}
			w.wire.leaving = nil
			calls := w.sim.Books().Calls[simulator.KindOffboard].Calls
			end, left := w.canaryRun(list, 0)
			if left != 3 || end.counts[checkpoint.Accepted] != tc.accepts[0] {
				t.Errorf("%s: canary %d, %v; want 3 and %d accepted", tc.reason, left, end.counts, tc.accepts[0])
			}
			end, left = w.canaryRun(list, 0)
			if left != 0 || end.counts[checkpoint.Accepted] != tc.accepts[1] {
				t.Errorf("%s, the next run: canary %d, %v; want 0 and %d accepted", tc.reason, left, end.counts, tc.accepts[1])
			}
			if n := w.sim.Books().Calls[simulator.KindOffboard].Calls - calls; n != tc.calls {
				t.Errorf("%s: %d calls for both; want %d, each device once", tc.reason, n, tc.calls)
			}
			time.Sleep(time.Hour)
			if _, left = w.canaryRun(list, 0); left != tc.more {
				t.Errorf("%s, the same once more: canary %d; want %d", tc.reason, left, tc.more)
			}
		})
	}
}

// TestCanaryNotes says where a canary holds nothing up.
func TestCanaryNotes(t *testing.T) {
	have := []checkpoint.Task{{N: 1, Position: 1, Device: device("device 0"), Status: checkpoint.Accepted, Attempt: 5},
		{N: 2, Position: 2, Device: device("device 1"), Status: checkpoint.Pending}}
	more := append([]checkpoint.Task{{N: 3, Position: 3, Device: device("device 2"), Status: checkpoint.Accepted, Attempt: 6}}, have...)
	for _, tc := range []struct {
		reason string
		have   []checkpoint.Task
		canary int
		want   string
	}{
		{"it does", nil, 1, ""},
		{"there is none", have, 0, ""},
		{"it is over", have, 1, "--canary 1 is over: 1 device called, and the rest is not held up"},
		{"it is long over", more, 1, "--canary 1 is over: 1 device called, and the rest is not held up"},
		{"it is all there is", nil, 2, "--canary 2 has nothing to hold up: no more than that are to be sent"},
	} {
		p := planOf(t, listOf(devices(2)), checkpoint.Batch{ID: 1}, tc.have, Request{Canary: tc.canary})
		if got := strings.Join(p.Notes[2:], "; "); got != tc.want { // the first ones are of the columns
			t.Errorf("%s: notes %q; want %q", tc.reason, got, tc.want)
		}
	}
}

// TestCanaryTurnedAway has the first device of a list turned away each time, by what
// is about it alone: the canary of the next run is made of others.
func TestCanaryTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		w.opt.MaxOutage = time.Minute
		alone := magicIDs("dead0400", 1)
		w.wire.answered = func(r *http.Request, res *http.Response) {
			if isOffboard(r) && strings.Contains(r.URL.Path, "dead0400") {
				res.StatusCode = http.StatusForbidden
				rewrite(res, func([]byte) []byte { return []byte("<html>blocked</html>") })
			}
		}
		all := append(alone, devices(10)...)
		var end runEnd
		for night, want := range []int{2, 3, 10} {
			if end, _ = w.canaryRun(all, 0); end.counts[checkpoint.Accepted] != want {
				t.Errorf("night %d: %v, %v; want %d accepted", night, end.counts, end.stop, want)
			}
		}
		w.judge(end, false)
	})
}

// TestCanaryAndDoubts has devices of a canary fall in doubt. Night by night: of how
// many there is to be an answer before somebody is asked again, how many the run takes
// up, how many devices were called by its end, and how many are accepted. Nobody is
// called in the stead of one that may have been, and no canary waits for ever.
func TestCanaryAndDoubts(t *testing.T) {
	slow(t)
	type night struct{ left, first, called, accepted int }
	all := devices(10)
	for _, tt := range []struct {
		reason string
		canary int
		faults string
		head   []string               // of the list, in the stead of ordinary devices
		before func(*world, []string) // the first night, which leaves them in doubt
		want   []night
	}{
		{"they come to nothing, and are called again", 3, "lost-before=3", nil, begun(10 * time.Second), []night{{3, 0, 3, 3}, {0, 7, 10, 10}}},
		{"they have their effect", 3, "lost-after=3", nil, begun(10 * time.Second), []night{{3, 0, 3, 3}, {0, 7, 10, 10}}},
		{"they have no attempts left", 3, "lost-before=3", nil, func(w *world, list []string) {
			w.opt.MaxAttempts = 1
			begun(10*time.Second)(w, list)
		}, []night{{3, 0, 3, 0}, {0, 7, 10, 7}}},
		{"they were about to be called again", 3, "lost-before=3", nil, begun(afterSettle), []night{{3, 3, 3, 3}, {0, 7, 10, 10}}},
		{"the runner is killed", 3, "", nil, func(w *world, list []string) { w.crash(all, 2) }, []night{{2, 1, 3, 3}, {0, 7, 10, 10}}},
		{"the runner is killed, and nothing can be looked up", 3, "", nil, func(w *world, list []string) {
			w.opt.NoReads = true
			w.crash(all, 2)
		}, []night{{1, 1, 3, 2}, {0, 7, 10, 9}}},
		{"nothing can be looked up", 3, "lost-before=3", nil, func(w *world, list []string) {
			w.opt.NoReads = true
			begun(10*time.Second)(w, list)
		}, []night{{0, 7, 10, 7}}},
		{"Defender answers for another device", 1, "", nil, func(w *world, list []string) {
			w.wire.answered = func(r *http.Request, res *http.Response) {
				rewrite(res, func(b []byte) []byte {
					if isList(r) {
						return []byte(`{"value":[]}`)
					}
					return bytes.ReplaceAll(b, []byte(all[0]), []byte(device("wrong")))
				})
			}
			begun(0)(w, list)
		}, []night{{0, 9, 10, 9}}},
		{"there is no list to find them in", 1, "lost-before@1", nil, func(w *world, list []string) {
			w.wire.answered = func(r *http.Request, res *http.Response) {
				if isList(r) {
					res.StatusCode = http.StatusNotFound
					rewrite(res, func([]byte) []byte { return []byte(`{"error":{"code":"ResourceNotFound","message":"no actions"}}`) })
				}
			}
			begun(0)(w, list)
		}, []night{{0, 9, 10, 9}}},
		{"they have an open action, and are answered for", 5, "", nil, func(w *world, list []string) {
			for _, id := range all[:3] {
				w.sim.AddAction(simulator.Action{MachineID: id, Type: "Isolate", Requestor: "bob@example.com"})
			}
			w.opt.Limit = 3
			begun(500*time.Millisecond)(w, list)
			w.opt.Limit = 0
		}, []night{{2, 2, 5, 2}, {0, 5, 10, 7}}},
		{"one is protected now", 3, "lost-before=3", nil, func(w *world, list []string) {
			begun(10*time.Second)(w, list)
			w.req.Protect, _ = ReadProtection([]string{protectFile(w.t, all[0])}, nil)
		}, []night{{3, 0, 3, 2}, {1, 1, 4, 3}, {0, 6, 10, 9}}},
		{"they are of an earlier round", 3, "lost-before=2", nil, func(w *world, list []string) { w.rerun(listOf(all[:2]), 10*time.Second) }, []night{{3, 3, 5, 3}, {0, 7, 10, 10}}},
		{"they are of an earlier round, and there is no more than a canary beside", 8, "lost-before=2", nil, func(w *world, list []string) { w.rerun(listOf(all[:2]), 10*time.Second) }, []night{{8, 8, 10, 8}, {0, 2, 10, 10}}},
		{"they are of an earlier round, and all there is are a canary", 10, "lost-before=2", nil, func(w *world, _ []string) { w.rerun(listOf(all[:2]), 10*time.Second) }, []night{{0, 8, 10, 10}}},
		{"they are of an earlier round, and protected now", 8, "lost-before=2", nil, func(w *world, _ []string) {
			w.rerun(listOf(all[:2]), 10*time.Second)
			w.req.Protect, _ = ReadProtection([]string{protectFile(w.t, strings.Join(all[:2], "\n"))}, nil)
		}, []night{{0, 8, 10, 8}}},
		{"an action may be one's, whose call had no tag", 1, "lost-after@1", magicIDs("deadfa11", 1), func(w *world, list []string) {
			w.opt.NoTag = true
			begun(10*time.Second)(w, list)
		}, []night{{1, 0, 1, 0}, {0, 9, 10, 9}}},
		{"one is told to come back each time", 1, "", magicIDs("dead0400", 1), func(w *world, list []string) {
			w.opt.MaxOutage = 10 * time.Minute
			w.turnAway("dead0400", http.StatusServiceUnavailable, time.Minute)
			begun(0)(w, list)
		}, []night{{1, 0, 1, 0}, {1, 0, 1, 0}, {1, 1, 2, 1}, {0, 9, 10, 9}}},
		{"one is told to come back each time, after a call without an answer", 1, "", magicIDs("dead0500", 1), func(w *world, list []string) {
			w.opt.MaxOutage = 10 * time.Minute
			begun(10*time.Second)(w, list)
			w.turnAway("dead0500", http.StatusServiceUnavailable, time.Minute)
		}, []night{{1, 0, 1, 0}, {1, 0, 1, 0}, {1, 1, 2, 1}, {0, 9, 10, 9}}},
		{"another batch has one in doubt", 1, "lost-before=1", nil, func(w *world, list []string) {
			other := w.beside("other")
			other.opt.NoReads = true
			other.run(all[:1])
			begun(0)(w, list)
		}, []night{{1, 1, 2, 1}, {0, 9, 10, 9}}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Seed: 1, Faults: tt.faults, Repeat: simulator.RepeatRefuse, Lag: time.Minute})
				w.opt.Workers, w.req.Canary = 1, tt.canary
				list := slices.Concat(tt.head, all[len(tt.head):])
				tt.before(w, list)
				w.wire.leaving = nil
				var got []night
				for range tt.want {
					time.Sleep(24 * time.Hour)
					end := w.rerun(listOf(list), 0)
					n := night{left: end.plan.CanaryLeft(), first: end.plan.First(), accepted: end.counts[checkpoint.Accepted]}
					for _, d := range w.sim.Books().Devices {
						n.called += min(1, d.Posts)
					}
					got = append(got, n)
					w.judge(end, false)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("nights %v; want %v", got, tt.want)
				}
			})
		})
	}
}

// begun runs a list for so long.
func begun(most time.Duration) func(*world, []string) {
	return func(w *world, list []string) { w.rerun(listOf(list), most) }
}
