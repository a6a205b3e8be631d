package batch

import (
	"context"
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
			if w.req.Protect, err = ReadProtection([]string{protectFile(t, all[0])}); err != nil {
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
