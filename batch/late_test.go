package batch

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestFirstCallSeenLate: where reads lag for longer than the settle wait, what the
// first call has made shows only while a later one is in doubt, and is found then.
func TestFirstCallSeenLate(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		name   string
		lag    time.Duration
		most   int // attempts that are allowed
		others int // devices, called before it is called again
		play   func(*world, *clocks, []string)
		calls  int // of the first device
		why    string
	}{
		{name: "the second call is lost", lag: 10 * time.Minute, most: 5, calls: 2, why: "the look begins at the first call"},
		{name: "the third call is lost", lag: 16 * time.Minute, most: 5, calls: 3, why: "the look begins at the first call still"},
		{name: "attempts used up", lag: 10 * time.Minute, most: 2, calls: 2, why: "it is not failed if the first call has an action"},
		{name: "the runner is killed in the second call", lag: 10 * time.Minute, most: 2, calls: 2,
			play: func(w *world, _ *clocks, ids []string) { w.crash(ids, 2) }, why: "the checkpoint knows of both"},
		{name: "it shows between two runs", lag: 10 * time.Minute, most: 5, calls: 1,
			play: func(w *world, _ *clocks, ids []string) {
				leavePending(w, ids)
				time.Sleep(10 * time.Minute)
			}, why: "the first look finds it, and whose it is"},
		{name: "the clock is set back while the device waits", lag: 10 * time.Minute, most: 5, calls: 2,
			play: func(_ *world, c *clocks, _ []string) { time.AfterFunc(afterSettle, func() { c.turn(-time.Hour) }) },
			why:  "the first call seems to be yet to come"},
		{name: "the clock is set back while the quota is used up", lag: 20 * time.Minute, most: 5, calls: 2, others: 29,
			play: func(_ *world, c *clocks, _ []string) {
				time.AfterFunc(afterSettle+time.Minute, func() { c.turn(-time.Hour) })
			},
			why: "the device waits as those do that were never called"},
		{name: "the clock is set back when the second call is reserved", lag: 10 * time.Minute, most: 5, calls: 2,
			play: func(w *world, c *clocks, _ []string) {
				w.atPost(2, func() { time.Sleep(5 * time.Second) }) // until it knows
				start, turned := time.Now(), false
				c.read = func(int64) {
					if !turned && time.Since(start) > afterSettle && strings.Contains(string(debug.Stack()), ".(*Runner).offboard(") {
						turned = true
						c.turn(-time.Hour)
					}
				}
			}, why: "the run has called it before it knew"},
		{name: "the clock is set back between runs", lag: 10 * time.Minute, most: 5, calls: 2,
			play: setBackPending, why: "the first call seems to be yet to come"},
		{name: "the clock is set back between runs, and the next one is killed", lag: 10 * time.Minute, most: 5, calls: 2,
			play: func(w *world, c *clocks, ids []string) {
				setBackPending(w, c, ids)
				w.crash(ids, 1)
			}, why: "the last call is of the clock as it is, and the first is not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := fmt.Sprintf("lost-after@1,lost-before@%d,lost-before@%d", tt.others+2, tt.others+3)
				w, c := clockWorld(t, simulator.Options{Faults: faults, Lag: tt.lag, Repeat: simulator.RepeatSecond})
				w.opt.MaxAttempts, w.opt.Workers = tt.most, 1
				ids := devices(1 + tt.others)
				if tt.play != nil {
					tt.play(w, c, ids)
				}
				end := w.run(ids)
				b := w.judge(end, false)
				task := end.tasks[0]
				if task.Status != checkpoint.Accepted || task.Reason != "found by its tag" || end.code != CodeDone {
					t.Errorf("run = %s (%s), code %d (%v); want accepted (found by its tag), 0: %s", task.Status, task.Reason, end.code, end.stop, tt.why)
				}
				if n := posts(b, ids[0]); n != tt.calls || task.Attempts != tt.calls {
					t.Errorf("%d calls, %d attempts; want %d: %s", n, task.Attempts, tt.calls, tt.why)
				}
			})
		})
	}
}

// TestAnotherDeviceSeenFirst: what a call has made of another device is found by
// the look before the next one, and keeps the device in doubt.
func TestAnotherDeviceSeenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Faults: "lost-after@1", Lag: 10 * time.Minute, Repeat: simulator.RepeatSecond})
		ids := devices(1)
		leavePending(w, ids)
		time.Sleep(10 * time.Minute)
		w.wire.answered = func(r *http.Request, res *http.Response) {
			if isList(r) {
				rewrite(res, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(ids[0]), []byte(device("wrong"))) })
			}
		}
		end := w.run(ids)
		task := end.tasks[0]
		if task.Status != checkpoint.InDoubt || !strings.HasPrefix(task.Reason, reasonAnother) || end.code != CodeIncomplete || posts(w.sim.Books(), ids[0]) != 1 {
			t.Errorf("run = %s (%s), code %d (%v), %d calls; want in-doubt (%s…), 3, 1",
				task.Status, task.Reason, end.code, end.stop, posts(w.sim.Books(), ids[0]), reasonAnother)
		}
	})
}

// TestKilledCallTakesEffectLate: a killed runner's call may take effect until the
// grace after its last sign of life, and only then the settle wait begins.
func TestKilledCallTakesEffectLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Faults: "effect-late@1", Lag: 290 * time.Second, Repeat: simulator.RepeatSecond})
		ids := devices(1)
		w.crash(ids, 1)
		end := w.run(ids)
		b := w.judge(end, false)
		if end.counts[checkpoint.Accepted] != 1 || posts(b, ids[0]) != 1 {
			t.Errorf("run = %v (%v), %d calls; want it found, and no second call", end.counts, end.stop, posts(b, ids[0]))
		}
	})
}

// afterSettle is when, counted from a first call that is in doubt at once, the
// device has been found to have no action, and waits to be called again.
const afterSettle = 6*time.Minute + time.Second

// leavePending ends a run then.
func leavePending(w *world, ids []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), afterSettle)
	defer cancel()
	if end, err := w.tryRun(ctx, ids); err != nil || end.tasks[0].Status != checkpoint.Pending {
		w.t.Fatalf("the first run left %v, %v; want the device pending", end.counts, err)
	}
}

// setBackPending sets the clock back, too, before the next.
func setBackPending(w *world, c *clocks, ids []string) {
	w.t.Helper()
	leavePending(w, ids)
	c.turn(-time.Hour)
	w.clock = &Clock{Wall: c.wall}
}

// TestSetBackUnderAnAnswer sets the clock back while a call is on its way that is
// turned away: nobody knows any more when the call before it was, whose action may
// show yet, nor the one after it.
func TestSetBackUnderAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{Faults: "lost-before@1,429-seconds@2:5s,lost-after@3", LatencyMin: 3 * time.Second, LatencyMax: 4 * time.Second, Repeat: simulator.RepeatSecond})
		w.opt.Workers = 1
		w.atPost(2, func() { c.turn(-time.Hour) })
		end := w.run(devices(1))
		if b := w.judge(end, false); posts(b, devices(1)[0]) != 3 || end.counts[checkpoint.Accepted] != 1 {
			t.Errorf("%v, %v after %d calls; want it accepted, the third call's action found", end.counts, end.stop, posts(b, devices(1)[0]))
		}
	})
}
