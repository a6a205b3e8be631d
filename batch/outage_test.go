package batch

import (
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
