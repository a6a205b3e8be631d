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

// TestClockIsSetInTheReservation: a slot is not used that is free by nothing but
// a clock that was set while it was reserved, and none that was reserved by
// another clock than the one by which its call leaves.
func TestClockIsSetInTheReservation(t *testing.T) {
	for _, tt := range []struct {
		turn  time.Duration
		after bool // the reservation is on the disk, and was of a free slot
	}{{time.Hour, false}, {3 * time.Hour, false}, {-3 * time.Hour, false}, {time.Second, true}, {-time.Hour, true}} {
		synctest.Test(t, func(t *testing.T) {
			w, c, r := clockRun(t)
			n := small[0].Limit
			if tt.after {
				n--
			}
			for _, task := range r.ready[:n] {
				if e := r.offboard(t.Context(), task); e.w.Status != checkpoint.Accepted {
					t.Fatalf("device %s is %s (%v); want it accepted", e.w.Device, e.w.Status, e.err)
				}
			}
			reserved := false
			c.read = func(int64) {
				switch in := strings.Contains(string(debug.Stack()), ".update."); {
				case in && tt.after:
					reserved = true
				case in || reserved:
					c.read = nil
					c.turn(tt.turn)
				}
			}
			late := r.ready[n]
			if e := r.offboard(t.Context(), late); e.err != nil || e.v.next != ready || c.read != nil {
				t.Errorf("%+v: offboard() = %+v; want the task ready to be called anew, and the clock set", tt, e)
			}
			if n := posts(w.sim.Books(), late.Device); n != 0 {
				t.Errorf("%+v: %d calls of the device; want none", tt, n)
			}
		})
	}
}

// TestClockIsSetInTheEnd: what is written of a call that is over is written by a
// clock that was looked at, or a jump that the history was not counted anew for
// looks like an hour that is over.
func TestClockIsSetInTheEnd(t *testing.T) {
	for reading := range 4 { // of the clock, since the call has left
		synctest.Test(t, func(t *testing.T) {
			const turn = 3 * time.Hour
			w, c, r := clockRun(t)
			left := 0
			w.atEachPost(func(post int64) { left = int(post) })
			limit := small[0].Limit
			for i, task := range r.ready[:limit] {
				if i >= limit-2 { // back and forth: the offset is not known when the second is over
					c.turn(-turn)
					n := 0
					c.read = func(int64) {
						if left <= i {
							return
						}
						if n++; n > reading {
							c.read = nil
							c.turn(turn)
						}
					}
				}
				if e := r.offboard(t.Context(), task); e.w.Status != checkpoint.Accepted {
					t.Fatalf("device %s is %s (%v); want it accepted", e.w.Device, e.w.Status, e.err)
				}
			}
			late := r.ready[limit]
			if e := r.offboard(t.Context(), late); e.err != nil || e.v.next != ready || posts(w.sim.Books(), late.Device) != 0 {
				t.Errorf("clock set at reading %d: offboard() = %+v, and %d calls; want the task ready to be called anew, and none", reading, e, posts(w.sim.Books(), late.Device))
			}
		})
	}
}
