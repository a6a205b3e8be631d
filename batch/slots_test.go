package batch

import (
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// TestHoldIsForAllCalls: a 429 for an offboard call holds the look that is due
// meanwhile, too.
func TestHoldIsForAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Faults: "lost-after@1,429-seconds@2"})
		w.opt.Workers = 1
		end := w.run(devices(3))
		w.judge(end, false)
		if end.code != CodeDone || end.counts[checkpoint.Accepted] != 3 {
			t.Errorf("code %d (%v), %v; want 0, all accepted", end.code, end.stop, end.counts)
		}
	})
}

// TestRefusedConnections: calls for which no connection was had take no slots, and
// a clock that is set does not stretch the wait for the next.
func TestRefusedConnections(t *testing.T) {
	for _, turn := range []time.Duration{0, -3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w, c := clockWorld(t, simulator.Options{})
			w.opt.Workers = 1
			refused := 0
			w.wire.leaving = func(r *http.Request) error {
				if !isOffboard(r) || refused == 8 {
					return nil
				}
				if refused++; refused == 7 { // and waits for a minute
					time.AfterFunc(5*time.Second, func() { c.turn(turn) })
				}
				return gone
			}
			n, start := small[1].Limit, time.Now()
			end := w.run(devices(n))
			w.judge(end, false)
			if end.code != CodeDone || end.counts[checkpoint.Accepted] != n {
				t.Errorf("clock set by %v: code %d (%v), %v; want 0, all accepted", turn, end.code, end.stop, end.counts)
			}
			if took, most := time.Since(start), quota.Ideal(small, n)+5*time.Minute; took > most {
				t.Errorf("clock set by %v: took %v; want %v at most, as the calls that were sent need", turn, took, most)
			}
		})
	}
}

// TestClockIsSetInTheReservation: a slot that was judged by a clock that was set
// while its reservation was written is not used.
func TestClockIsSetInTheReservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{})
		r, _, done, err := w.begin(t.Context(), w.store(), listOf(devices(20)))
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		for _, task := range r.ready[:small[0].Limit] {
			if e := r.offboard(t.Context(), task); e.w.Status != checkpoint.Accepted {
				t.Fatalf("device %s is %s (%v); want it accepted", e.w.Device, e.w.Status, e.err)
			}
		}
		c.read = func(int64) {
			if strings.Contains(string(debug.Stack()), ".Reserve.") {
				c.read = nil
				c.turn(time.Hour)
			}
		}
		late := r.ready[small[0].Limit]
		if e := r.offboard(t.Context(), late); e.err != nil || e.v.next != ready || c.read != nil {
			t.Errorf("offboard() = %+v; want the task ready to be called anew, and the clock set", e)
		}
		if n := posts(w.sim.Books(), late.Device); n != 0 {
			t.Errorf("%d calls of the device; want none within the minute of the others", n)
		}
	})
}
