package batch

import (
	"bytes"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestNoCallIsNoOutage: a wait that is not for an answer does not make an outage
// longer, be it a hold or the hours.
func TestNoCallIsNoOutage(t *testing.T) {
	tests := []struct {
		why, run, cancel string // faults
		hours            bool   // calls are allowed for 5 s, and again after 8 h
	}{
		{why: "the hours", run: "proxy-407=5", hours: true},
		{why: "a hold between offboard calls", run: "proxy-407@1,429-seconds@2:1h,proxy-407@3"},
		{why: "a hold between looks", run: "actions/proxy-407@1,actions/429-seconds@2:1h,actions/proxy-407@3"},
		{why: "a hold between cancel calls", cancel: "cancel/proxy-407@1,cancel/429-seconds@2:1h,cancel/proxy-407@3"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 5
				w := newWorld(t, simulator.Options{Faults: tt.run, Pending: 100 * time.Hour})
				w.opt.MaxOutage, w.opt.Workers = 10*time.Minute, 1
				if shut, open := time.Now().Add(5*time.Second), time.Now().Add(8*time.Hour); tt.hours {
					w.opt.Wait, w.opt.Allowed = true, func(at time.Time) time.Time {
						if at.Before(shut) || !at.Before(open) {
							return at
						}
						return open
					}
				}
				end := w.run(devices(n))
				w.judge(end, false)
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != n {
					t.Errorf("run: code %d, %v, %v; want all accepted", end.code, end.counts, end.stop)
				}
				if tt.cancel == "" {
					return
				}
				w.goesWrong(simulator.Options{Faults: tt.cancel})
				if end := w.cancel(t.Context()); end.code != CodeDone || end.Cancelled.Cancelled != n {
					t.Errorf("Cancel() = %+v, code %d, %v; want all cancelled", end.Cancelled, end.code, end.stop)
				}
			})
		})
	}
}

// TestWaitOfAnOutage: an answer that names a time to come back is heeded by each
// kind of call.
func TestWaitOfAnOutage(t *testing.T) {
	for _, tt := range []struct{ kind, run, cancel string }{
		{simulator.KindOffboard, "503-retry-after@1:10m", ""},
		{simulator.KindActions, "actions/503-retry-after@1:10m", ""},
		{simulator.KindCancel, "", "cancel/503-retry-after@1:10m"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.run, Pending: 100 * time.Hour})
				w.opt.Workers = 1
				w.run(devices(2))
				if tt.cancel != "" {
					w.goesWrong(simulator.Options{Faults: tt.cancel})
					w.cancel(t.Context())
				}
				at := w.sim.Books().Arrivals(tt.kind)
				if len(at) < 2 || at[1].Sub(at[0]) < 10*time.Minute {
					t.Errorf("calls at %v; want none in the 10 minutes after the first", at)
				}
			})
		})
	}
}

// TestOutageOfOneKind: what Defender answers to looks does not end an outage of
// offboard calls, which a proxy may keep back alone.
func TestOutageOfOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Faults: "hang-before@1,proxy-403", Lag: time.Minute})
		w.opt.MaxOutage, w.opt.SettleWait = 10*time.Minute, 30*time.Minute
		end := w.run(devices(5))
		w.judge(end, false)
		if end.code != CodeStopped || end.counts[checkpoint.InDoubt] != 1 || end.counts[checkpoint.Pending] != 4 {
			t.Errorf("run: code %d, %v, %v; want it stopped while looks for the device in doubt are answered", end.code, end.counts, end.stop)
		}
	})
}

// TestTurnedAwayAlone has devices that are turned away each time, by what is not
// known to be about a device, while others are answered: the others are done.
func TestTurnedAwayAlone(t *testing.T) {
	slow(t)
	const page = "<html>blocked</html>"
	unknown := func(code string) string { return `{"error":{"code":"` + code + `","message":"words"}}` }
	for _, tt := range []struct {
		reason  string
		status  int
		body    string
		workers int
		alone   int // devices that are turned away, first in the list
		others  int
		times   int64 // that they are, before they are refused
		code    int
		why     string
		least   int // calls of each of them
		most    int
	}{
		{"a code that nobody has described", 400, unknown("DeviceStateConflict"), 1, 1, 19, 999, CodeStopped, "no answer of Defender's for 30m0s: Defender cannot be reached: status 400 DeviceStateConflict", 9, 99},
		{"too long for a gateway", 413, unknown("TooLarge"), 1, 2, 18, 999, CodeStopped, "status 413 TooLarge", 9, 99},
		{"a firewall's page", 403, page, 1, 3, 1, 999, CodeStopped, "status 403: the answer is not Defender's", 9, 99},
		{"for a while", 403, page, 1, 2, 28, 6, CodeIncomplete, "", 2, 6},
		{"in one burst with the others", 403, page, 20, 2, 18, 999, CodeStopped, "no answer of Defender's for 30m0s", 9, 99},
		{"a hold, for one alone", 429, page, 1, 1, 19, 999, CodeStopped, "told each call of what is left to wait, for longer than 30m0s", 30, 40},
		{"a hold, in one burst with the others", 429, page, 20, 3, 17, 999, CodeStopped, "told each call of what is left to wait, for longer than 30m0s", 9, 20},
		{"a hold, for a while", 429, page, 1, 1, 19, 25, CodeIncomplete, "", 26, 26},
		{"all that are left", 403, page, 1, 3, 0, 999, CodeStopped, "no answer of Defender's for 30m0s", 9, 99},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{})
				var met atomic.Int64
				alone := magicIDs("dead0400", tt.alone)
				w.wire.answered = func(r *http.Request, res *http.Response) {
					if !isOffboard(r) || !strings.Contains(r.URL.Path, "dead0400") {
						return
					}
					if met.Add(1) <= tt.times {
						res.StatusCode = tt.status
						rewrite(res, func([]byte) []byte { return []byte(tt.body) })
					}
				}
				w.opt.Workers = tt.workers
				end := w.run(slices.Concat(alone, devices(tt.others)))
				b := w.judge(end, false)
				why := ""
				if end.stop != nil {
					why = end.stop.Error()
				}
				if end.code != tt.code || !strings.Contains(why, tt.why) || end.counts[checkpoint.Accepted] != tt.others {
					t.Errorf("run: code %d, %q, %v; want %d, …%s…, %d accepted", end.code, why, end.counts, tt.code, tt.why, tt.others)
				}
				for _, task := range end.tasks[:tt.alone] {
					if n := posts(b, task.Device); n < tt.least || n > tt.most {
						t.Errorf("%d calls of %s; want %d to %d", n, task.Device, tt.least, tt.most)
					}
					if task.Status == checkpoint.Pending && task.Attempts != 0 {
						t.Errorf("%s is pending after %d attempts that were spent; want none", task.Device, task.Attempts)
					}
				}
			})
		})
	}
}

// TestOutageInABurst begins an outage while calls are under way, some of which are
// answered: nobody is taken for one that is turned away alone, and when it is over
// all are called.
func TestOutageInABurst(t *testing.T) {
	slow(t)
	for seed := range int64(5) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: seed, LatencyMin: 10 * time.Millisecond, LatencyMax: 3 * time.Second})
			w.opt.MaxFailures = Threshold{From: math.MaxInt}
			ids := magicIDs("dead0400", 12) // which a rewritten answer leaves without an action
			var from time.Time
			w.atPost(10, func() { from = time.Now().Add(time.Second) })
			w.wire.answered = func(r *http.Request, res *http.Response) {
				if now := time.Now(); isOffboard(r) && !from.IsZero() && now.After(from) && now.Before(from.Add(25*time.Minute)) {
					res.StatusCode = http.StatusForbidden
					rewrite(res, func([]byte) []byte { return []byte("<html>blocked</html>") })
				}
			}
			end := w.run(ids)
			if end.counts[checkpoint.Refused] != len(ids) {
				t.Errorf("seed %d: %v, %v; want all called after the outage, and refused", seed, end.counts, end.stop)
			}
		})
	}
}

// TestFirstLookTold has the first look wait: that is on the status line each second,
// and an outage in the log, once.
func TestFirstLookTold(t *testing.T) {
	for _, tt := range []struct {
		reason string
		faults string
		down   bool
		wait   string
		times  int // that it is told, at least
		log    string
	}{
		{"nobody answers", "", true, "Defender cannot be reached: not sent: dial tcp: connection refused", 1700,
			`level=WARN msg=outage batch=list reason="Defender cannot be reached: not sent: dial tcp: connection refused" hint="check the network`},
		{"a hold", "actions/429-seconds@1:10m", false, "hold", 590, "msg=hold"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults})
				var log bytes.Buffer
				w.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
				r, _, done, err := w.begin(t.Context(), w.store(), listOf(devices(3)))
				if err != nil {
					t.Fatal(err)
				}
				defer done()
				told := map[string]int{}
				r.show = func(p Progress) { told[p.Wait]++ }
				if tt.down {
					w.downAfterLogin()
				}
				r.Run(t.Context(), t.Context())
				if told[tt.wait] < tt.times {
					t.Errorf("told %v; want %q %d times", told, tt.wait, tt.times)
				}
				if n := strings.Count(log.String(), tt.log); n != 1 {
					t.Errorf("%d times in the log: %s\n%s", n, tt.log, log.String())
				}
			})
		})
	}
}
