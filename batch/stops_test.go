package batch

import (
	"context"
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

// magicIDs are n device ids with a fate.
func magicIDs(prefix string, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s%032x", prefix, i))
	}
	return ids
}

// TestStops: what ends a run before its end, with which code, and what that
// leaves.
func TestStops(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sim     simulator.Options
		ids     []string
		change  func(*world)
		code    int
		why     string // part of the reason that is given, with its cause
		hint    string // part of the hint
		pending int    // at least
		marked  int    // devices that are refused or failed, at most
		most    int    // calls at most; 0: no matter
		spends  bool   // attempts of devices that are pending may be spent
		reason  string
	}{
		{name: "401 for good", sim: simulator.Options{Faults: "401-all@5"}, code: CodeGuard, why: "fresh token", hint: "permissions",
			pending: 15, most: 4 + 20 + 1, reason: "a fresh token is tried once, by one call"},
		{name: "403 for all", sim: simulator.Options{Faults: "403-all"}, code: CodeGuard, why: "10 devices in a row were forbidden", hint: "permissions",
			pending: 10, marked: 29, most: 29, reason: "ten in a row are not the devices' fault"},
		{name: "403 for all, from the middle on", sim: simulator.Options{Faults: "403-all@15"}, ids: devices(80), change: func(w *world) { w.opt.MaxFailures.Percent = 100 }, code: CodeGuard, why: "10 devices in a row were forbidden",
			pending: 20, marked: 45, reason: "the permission was taken away: ten in a row, those in flight, and those before a late answer that took one"},
		{name: "404 for all", ids: magicIDs("dead0404", 60), code: CodeGuard, why: "10 devices in a row are not known", hint: "tenant",
			pending: 20, marked: 40, spends: true, reason: "the wrong tenant, or the wrong list"},
		{name: "another device's id", sim: simulator.Options{Faults: "otherdevice@5"}, code: CodeGuard, why: "for another device", hint: "goes on",
			pending: 1, reason: "something is badly wrong"},
		{name: "redirected for ever", sim: simulator.Options{Faults: "redirect"}, code: CodeStopped, why: "no answer of Defender's for 30m0s: Defender cannot be reached: status 307", hint: "goes on",
			pending: 40, reason: "a redirect is never followed"},
		{name: "a proxy for ever", sim: simulator.Options{Faults: "proxy-407"}, code: CodeStopped, why: "no answer of Defender's for 30m0s: Defender cannot be reached: status 407", pending: 40,
			reason: "an outage, and no device is marked"},
		{name: "turned away until a time that is named, for ever", sim: simulator.Options{Faults: "503-retry-after"}, code: CodeStopped, why: "no answer of Defender's for 30m",
			most: 60, reason: "an outage, though each device is looked up before it is called again"},
		{name: "asked to wait for longer than an outage may last", sim: simulator.Options{Faults: "503-retry-after:1h"}, code: CodeStopped, why: "Defender asks to wait until ",
			hint: "goes on", pending: 20, most: 20, reason: "it says so at once, and when to come again"},
		{name: "turned away for 40 s, for ever", sim: simulator.Options{Faults: "503-retry-after:40s"}, code: CodeStopped, why: "no answer of Defender's for 29m",
			most: 60, reason: "what has lasted is the outage, and no wait of 40 s"},
		{name: "down for good", change: func(w *world) { w.atPost(10, func() { w.sim.SetDown(true) }) }, code: CodeStopped, why: "cannot be reached: not sent: dial tcp: connect: connection refused", hint: "check the network, the proxy",
			pending: 11, most: 29, reason: "no connection is had"},
		{name: "down from the start", change: func(w *world) { w.opt.MaxOutage = time.Minute; w.downAfterLogin() }, code: CodeStopped, why: "no answer of Defender's for 1m",
			pending: 40, most: 1, reason: "not even the first look is possible"},
		{name: "hangs for ever", sim: simulator.Options{Faults: "hang-before,actions/hang-before"}, code: CodeStopped, why: "no answer of Defender's for 30m", pending: 40,
			reason: "the first look hangs, and no device is called"},
		{name: "calls hang for ever", sim: simulator.Options{Faults: "hang-before"}, code: CodeStopped, why: "no answer of Defender's for 30m", most: 60, spends: true,
			reason: "calls one by one, and not for ever"},
		{name: "too many failures", sim: simulator.Options{}, ids: append(devices(30), magicIDs("dead0400", 10)...), code: CodeGuard, why: "more than --max-failures 10% allows", hint: "acknowledges",
			marked: 10, reason: "the threshold of the user"},
		{name: "reads are refused", sim: simulator.Options{Roles: []string{"Machine.Offboard"}}, code: CodeError, why: "may not be read", hint: "Machine.Read.All",
			pending: 40, most: 1, reason: "nothing is called that could not be looked up"},
		{name: "interrupted", change: func(w *world) { w.atPost(5, w.stop) }, code: CodeStopped, why: "interrupted", pending: 15, most: 24,
			reason: "calls in flight are waited for, and nothing new is sent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.sim)
				ids := tt.ids
				if ids == nil {
					ids = devices(40)
				}
				ctx := w.stoppable()
				if tt.change != nil {
					tt.change(w)
				}
				end, err := w.tryRun(ctx, ids)
				if err != nil {
					t.Fatal(err)
				}
				b := w.judge(end, false)
				if end.stop == nil || end.code != tt.code || !strings.Contains(end.stop.Error(), tt.why) || !strings.Contains(end.stop.Hint, tt.hint) {
					t.Errorf("run = code %d, %+v; want %d, …%s…, hint …%s…: %s", end.code, end.stop, tt.code, tt.why, tt.hint, tt.reason)
				}
				if n := end.counts[checkpoint.Pending]; n < tt.pending {
					t.Errorf("%d pending; want at least %d: %s", n, tt.pending, tt.reason)
				}
				if n := end.counts[checkpoint.Refused] + end.counts[checkpoint.Failed]; n > tt.marked {
					t.Errorf("%d devices refused or failed; want at most %d: %s", n, tt.marked, tt.reason)
				}
				calls := 0
				if k := b.Calls[simulator.KindOffboard]; k != nil {
					calls = k.Calls
				}
				if tt.most > 0 && calls > tt.most {
					t.Errorf("%d calls; want at most %d: %s", calls, tt.most, tt.reason)
				}
				for _, task := range end.tasks {
					if task.Status == checkpoint.Pending && task.Attempts > 0 && !tt.spends {
						t.Errorf("device %s is pending with %d attempts spent; want none: %s", task.Device, task.Attempts, tt.reason)
					}
				}
			})
		})
	}
}

// stoppable is a context that stop ends, once the tasks are written.
func (w *world) stoppable() context.Context {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop = cancel
	return ctx
}

// downAfterLogin takes the API away and leaves the authority.
func (w *world) downAfterLogin() { w.wire.leaving = refuseAll }

// TestGoesOnAfterAStop: the same command goes on where the cause is gone.
func TestGoesOnAfterAStop(t *testing.T) {
	for _, tt := range []struct {
		faults string
		down   int64 // from this call on the API is down, until the run has stopped
		why    string
	}{
		{"otherdevice@5", 0, "the device of the wrong answer has its action, which is found"},
		{"proxy-403=30", 0, "the proxy lets calls through again"},
		{"hang-before=28", 0, "what hung has not happened, which shows after a while"},
		{"", 7, "there is a connection again"},
	} {
		t.Run(fmt.Sprint(tt.faults, tt.down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults, Lag: 110 * time.Second, Repeat: simulator.RepeatSecond})
				w.opt.MaxOutage = 3 * time.Minute
				if tt.down > 0 {
					w.atPost(tt.down, func() { w.sim.SetDown(true) })
				}
				ids := devices(30)
				if end := w.run(ids); end.code != CodeGuard && end.code != CodeStopped {
					t.Fatalf("the first run ended with %d (%v); want it stopped", end.code, end.stop)
				}
				w.sim.SetDown(false)
				end := w.run(ids)
				w.judge(end, false)
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != 30 {
					t.Errorf("code %d, counts %v, stop %v; want 0 and all accepted: %s", end.code, end.counts, end.stop, tt.why)
				}
			})
		})
	}
}

// TestAuthorization: tokens that die on the way.
func TestAuthorization(t *testing.T) {
	slow(t)
	t.Run("five minutes of life over hours", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{TokenLife: 5 * time.Minute, PerMinute: 1, PerHour: 60})
			w.opt.Windows = []quota.Window{{Limit: 1, Per: time.Minute}}
			end := w.run(devices(150))
			b := w.judge(end, false)
			if end.code != CodeDone || b.Calls[simulator.KindOffboard].ByStatus["401"] > 0 || b.Tokens < 30 {
				t.Errorf("code %d (%v), %d tokens, answers %v; want 0, one about every five minutes, no 401", end.code, end.stop, b.Tokens, b.Calls[simulator.KindOffboard].ByStatus)
			}
		})
	})
	for _, tt := range []struct {
		name   string
		revoke func(*simulator.Server)
	}{
		{"revoked", (*simulator.Server).Revoke},
		{"challenged", (*simulator.Server).RevokeCAE},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{LatencyMin: 100 * time.Millisecond, LatencyMax: time.Second})
				w.atPost(25, func() { tt.revoke(w.sim) })
				end := w.run(devices(60))
				b := w.judge(end, false)
				refused := b.Calls[simulator.KindOffboard].ByStatus["401"]
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != 60 || refused == 0 || refused > 20 {
					t.Errorf("code %d (%v), counts %v, %d answers of 401; want 0, all accepted, no more than were in flight", end.code, end.stop, end.counts, refused)
				}
				for _, task := range end.tasks {
					if task.Attempts != 1 {
						t.Errorf("device %s: %d attempts spent; want 1, since a 401 spends none", task.Device, task.Attempts)
					}
				}
			})
		})
	}
}

// TestBackoff: new attempts of a device come later and later, and varied by the
// seed.
func TestBackoff(t *testing.T) {
	slow(t)
	gaps := func(t *testing.T, seed int64) (gaps []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Faults: "500-before"})
			w.opt.Seed = seed
			end := w.run(devices(1))
			b := w.judge(end, false)
			task, at := end.tasks[0], b.Arrivals(simulator.KindOffboard)
			if task.Status != checkpoint.Failed || task.Attempts != 5 || len(at) != 5 || end.code != CodeIncomplete {
				t.Fatalf("run = %s after %d attempts, %d calls, code %d; want failed after 5, 5, 3", task.Status, task.Attempts, len(at), end.code)
			}
			for i := range at[1:] {
				gaps = append(gaps, at[i+1].Sub(at[i])-w.opt.Timeout-w.opt.SettleWait)
			}
		})
		return gaps
	}
	one, two, other := gaps(t, 1), gaps(t, 1), gaps(t, 2)
	for i, gap := range one {
		if want := time.Second << (i + 1); gap < want*8/10 || gap > want*12/10+2*time.Second {
			t.Errorf("new attempt %d came %v after the settle wait; want about %v", i+2, gap, want)
		}
	}
	if fmt.Sprint(one) != fmt.Sprint(two) || fmt.Sprint(one) == fmt.Sprint(other) {
		t.Errorf("seed 1: %v, again %v, seed 2: %v; want the first two alike, the third not", one, two, other)
	}
}

// TestFailuresOverRuns: --max-failures counts over runs that ended for another
// reason, and anew when a guard has stopped one and somebody started again.
func TestFailuresOverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		w.opt.Workers, w.opt.Limit = 1, 15
		ids := magicIDs("dead0400", 80)
		for i, want := range []struct{ refused, code int }{
			{15, CodeStopped}, // the limit
			{20, CodeGuard},   // 20 of 20
			{35, CodeStopped}, // counted from 0
			{40, CodeGuard},
		} {
			end := w.run(ids)
			if end.code != want.code || end.counts[checkpoint.Refused] != want.refused {
				t.Errorf("run %d: code %d, %v, %v; want %d with %d refused", i+1, end.code, end.counts, end.stop, want.code, want.refused)
			}
		}
	})
}

// TestNoFailures: a device that is gone and one with an open action are none for
// --max-failures, however many they are, nor in a later run.
func TestNoFailures(t *testing.T) {
	for _, prefix := range []string{"dead0404", "dead0409"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.opt.Limit = 60
			var ids []string
			for i, id := range magicIDs(prefix, 25) { // a good one between two: ten in a row have a guard of their own
				ids = append(ids, id, devices(25)[i])
			}
			for end := w.run(ids); end.stop != nil || end.counts[checkpoint.Pending] > 0; end = w.run(ids) {
				if end.code != CodeStopped {
					t.Fatalf("half of them %s: code %d, %v, %v; want all called", prefix, end.code, end.counts, end.stop)
				}
			}
		})
	}
}

// TestGoneOverRuns has a run end between the two calls of devices that are gone: they
// are in a row all the same if the batch has none that was accepted.
func TestGoneOverRuns(t *testing.T) {
	for good, want := range map[int]int{0: CodeGuard, 1: CodeIncomplete} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			ids := append(devices(good), magicIDs("dead0404", 12)...)
			w.opt.Limit = len(ids)
			if end := w.run(ids); end.code != CodeStopped || end.counts[checkpoint.Pending] != 12 {
				t.Fatalf("each called once: code %d, %v, %v; want it stopped", end.code, end.counts, end.stop)
			}
			w.opt.Limit = 0
			if end := w.run(ids); end.code != want {
				t.Errorf("with %d accepted: code %d, %v, %v; want %d", good, end.code, end.counts, end.stop, want)
			}
		})
	}
}

// TestGoneInARow: devices that are gone are called a second time behind all others, and
// so one after the other. In a row they are if the first calls were.
func TestGoneInARow(t *testing.T) {
	for _, tt := range []struct {
		name    string
		between int // good devices, after each that is gone
		code    int
	}{
		{"strewn among others", 1, CodeIncomplete},
		{"in a row, behind others", 0, CodeGuard},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{})
				w.opt.Workers = 1
				good := devices(30)
				ids := slices.Clone(good[:10])
				for i, id := range magicIDs("dead0404", 12) {
					ids = append(ids, id)
					ids = append(ids, good[10+i*tt.between:10+(i+1)*tt.between]...)
				}
				if end := w.run(ids); end.code != tt.code {
					t.Errorf("code %d, %v, %v; want %d", end.code, end.counts, end.stop, tt.code)
				}
			})
		})
	}
}
