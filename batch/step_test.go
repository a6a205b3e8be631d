package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/simulator"
)

// TestClockSteppedBetweenRuns sets the clock forward between two runs by so
// little that a comparison with the server's cannot show it: the minute that the
// first one has filled is still full.
func TestClockSteppedBetweenRuns(t *testing.T) {
	slow(t)
	for _, step := range []time.Duration{0, 500 * time.Millisecond, 1900 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			// A service that refuses nothing shows what was sent.
			w := newWorld(t, simulator.Options{Seed: 1, LatencyMin: time.Millisecond, LatencyMax: 5 * time.Millisecond, PerMinute: 1000})
			w.opt.Limit = 100
			w.run(devices(250))
			w.clock = &Clock{Wall: func(at time.Time) time.Time { return at.Add(step) }}
			w.opt.Limit = 0
			if end := w.run(devices(250)); end.code != CodeDone {
				t.Errorf("set by %v: code %d, %v; want 0", step, end.code, end.stop)
			}
			if got := w.sim.Books().Calls[simulator.KindOffboard].DensestMinute; got > 100 {
				t.Errorf("set by %v: %d calls in a minute; want at most 100", step, got)
			}
		})
	}
}
