package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
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

// TestClockSetBackBeforeARetry: a device that was to be tried again in some seconds is
// not left for the day by which the clock was set back since.
func TestClockSetBackBeforeARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{Faults: "404-once@1"})
		w.opt.Limit = 1
		if end := w.run(devices(1)); end.counts[checkpoint.Pending] != 1 {
			t.Fatalf("the first run: %v; want the device left to be tried again", end.counts)
		}
		c.turn(-24 * time.Hour)
		w.clock, w.opt.Limit = &Clock{Wall: c.wall}, 0
		start := time.Now()
		end := w.run(devices(1))
		if took := time.Since(start); end.code != CodeDone || took > time.Hour {
			t.Errorf("code %d (%v) after %v; want 0 within an hour", end.code, end.stop, took)
		}
	})
}
