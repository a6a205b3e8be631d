package batch

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestSlowLook: absence counts only in a look that began when the call could have
// had no effect any more, by whatever clock.
func TestSlowLook(t *testing.T) {
	for _, tt := range []struct {
		name string
		lag  time.Duration
		turn time.Duration // of the clock, in the first look
		why  string
	}{
		{"it ends after the deadline", 355 * time.Second, 0, "it has shown what was there before"},
		{"the clock is set back meanwhile", 2 * time.Minute, -time.Hour, "it began an hour later than it ended"},
		{"the clock is set forward meanwhile", 2 * time.Minute, time.Hour, "the deadline has gone with it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := clockWorld(t, simulator.Options{Faults: "lost-after@1", Lag: tt.lag, Repeat: simulator.RepeatSecond})
				looks := 0
				w.wire.answered = func(r *http.Request, _ *http.Response) {
					if looks++; isOffboard(r) || looks < 2 { // the first is the look before the first call
						return
					}
					if looks == 2 {
						c.turn(tt.turn)
					}
					time.Sleep(40 * time.Second)
				}
				end := w.run(devices(1))
				b := w.judge(end, false)
				if task := end.tasks[0]; task.Status != checkpoint.Accepted || task.Reason != "found by its tag" || posts(b, task.Device) != 1 {
					t.Errorf("run = %s (%s), %d calls; want accepted (found by its tag), 1: %s", task.Status, task.Reason, posts(b, task.Device), tt.why)
				}
			})
		})
	}
}
