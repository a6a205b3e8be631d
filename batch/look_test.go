package batch

import (
	"net/http"
	"strings"
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

// TestDateOfAProxy: the clock of a portal that stands in the way says nothing
// about Defender's, and moves no look past our own action.
func TestDateOfAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond,
			Faults: "lost-after@1," + many("proxy-403@%d", 2, 12) + "," + many("actions/proxy-403@%d", 2, 12)})
		w.opt.Workers = 1
		w.wire.answered = func(r *http.Request, res *http.Response) {
			if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
				res.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			}
		}
		began := time.Now().UTC()
		w.wire.leaving = func(r *http.Request) error {
			if _, since, _ := strings.Cut(r.URL.Query().Get("$filter"), " ge "); since > began.Format(time.RFC3339) {
				t.Errorf("a look at what there is since %s; want it to begin before the call, at %v", since, began)
			}
			return nil
		}
		end := w.run(devices(2))
		b := w.judge(end, false)
		if n := posts(b, devices(2)[0]); n != 1 || end.tasks[0].Reason != "found by its tag" {
			t.Errorf("run = %s (%s), %d calls; want it found by its tag", end.tasks[0].Status, end.tasks[0].Reason, n)
		}
		if n := b.Faults["proxy-403"]; n < 15 {
			t.Errorf("the portal answered %d calls; want it in the way of both kinds", n)
		}
	})
}

// TestFirstLookFindsNoList: a device in doubt whose time to be found was over long
// before the run is not called again because the first look finds no list.
func TestFirstLookFindsNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond, Pending: 100 * time.Hour})
		w.crash(devices(1), 1)
		time.Sleep(time.Hour)
		lists := 0
		w.wire.answered = func(r *http.Request, res *http.Response) {
			if !isList(r) {
				return
			}
			if lists++; lists <= 2 { // it is asked for twice
				res.StatusCode = http.StatusNotFound
				rewrite(res, func([]byte) []byte { return []byte(`{"error":{"code":"ResourceNotFound","message":"no actions"}}`) })
			}
		}
		end := w.run(devices(1))
		if n := posts(w.judge(end, false), devices(1)[0]); n != 1 || end.counts[checkpoint.Accepted] != 1 || lists < 3 {
			t.Errorf("%d calls, %v (%v) after %d lists; want the one call found", n, end.counts, end.stop, lists)
		}
	})
}
