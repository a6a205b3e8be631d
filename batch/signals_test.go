package batch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestSignals: after the first signal nothing more is sent, and the calls in flight are
// waited for; after the second they are in doubt at once. Either way the same command
// goes on, and nothing is called twice.
func TestSignals(t *testing.T) {
	for _, tt := range []struct {
		reason string
		second bool
		want   checkpoint.Status // of the calls in flight
	}{
		{"one signal", false, checkpoint.Accepted},
		{"two signals", true, checkpoint.InDoubt},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n, called = 50, 20
				w := newWorld(t, simulator.Options{LatencyMin: 10 * time.Second, LatencyMax: 10 * time.Second})
				w.opt.Workers = called
				store := w.store()
				ctx, first := context.WithCancel(t.Context())
				hard, second := context.WithCancel(context.Background())
				defer first()
				defer second()
				w.atPost(called, func() {
					first()
					if tt.second {
						second()
					}
				})
				r, _, done, err := w.begin(t.Context(), store, listOf(devices(n)))
				if err != nil {
					t.Fatal(err)
				}
				stop := r.Run(ctx, hard)
				code, err := r.Finish(stop)
				if err := done(); err != nil {
					t.Error(err)
				}
				counts := r.Counts()
				if err != nil || stop == nil || stop.Why != Interrupted || code != CodeStopped || counts[tt.want] != called || counts[checkpoint.Pending] != n-called {
					t.Errorf("%v, stop %v, code %d, %v; want it interrupted, 4, %d %s and the rest pending", err, stop, code, counts, called, tt.want)
				}
				end, err := w.runOn(t.Context(), store, devices(n))
				if err != nil {
					t.Fatal(err)
				}
				if b := w.judge(end, false); end.code != CodeDone || end.counts[checkpoint.Accepted] != n || b.Actions() != n {
					t.Errorf("the same command: code %d, %v, %d actions; want 0 and %d accepted", end.code, end.counts, b.Actions(), n)
				}
			})
		})
	}
}
