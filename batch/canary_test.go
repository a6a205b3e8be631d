package batch

import (
	"context"
	"net/http"
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
		w.req.Canary, w.opt.Canary = 3, 3
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
		w.opt.Canary = 0
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

// canaryRun plans a list with a canary of three and runs it, as the command does.
func (w *world) canaryRun(ids []string, most time.Duration) (end runEnd, left int) {
	w.t.Helper()
	store := w.store()
	s, err := w.session(w.t.Context(), store)
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := s.Open(w.t.Context(), w.req.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.req.Canary = 3
	if w.req.Again || len(w.req.Retry) > 0 {
		if err := o.Refresh(w.t.Context(), w.opt, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	p := planOf(w.t, listOf(ids), o.Batch, o.Tasks, w.req)
	left = p.CanaryLeft()
	o.Close()
	w.opt.Canary = left
	return w.rerun(listOf(ids), most), left
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
		{"it is over", have, 1, "--canary 1 is over: 1 device answered for, and the rest is not held up"},
		{"it is long over", more, 1, "--canary 1 is over: 1 device answered for, and the rest is not held up"},
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
