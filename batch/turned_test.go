package batch

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// turnAway has something on the way answer each call of a device of this beginning.
func (w *world) turnAway(beginning string, status int, retryAfter time.Duration) {
	w.wire.answered = func(r *http.Request, res *http.Response) {
		if !isOffboard(r) || !strings.Contains(r.URL.Path, beginning) {
			return
		}
		if res.StatusCode = status; retryAfter > 0 {
			res.Header.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		}
		rewrite(res, func([]byte) []byte { return []byte("<html>blocked</html>") })
	}
}

// TestTurnedAwayLast has the first devices of a list turned away each time: neither
// a count of calls nor the wait that is asked for keeps the others back for good.
func TestTurnedAwayLast(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		why    string
		status int
		after  time.Duration
		change func(*world)
		alone  int
		nights int
	}{
		{"a count of calls", http.StatusForbidden, 0, func(w *world) { w.opt.Limit = 3 }, 3, 3},
		{"a wait that is longer than an outage may last", http.StatusForbidden, time.Hour, func(w *world) { w.opt.Workers = 1 }, 1, 2},
		{"a hold for one device alone", http.StatusTooManyRequests, time.Minute, func(w *world) { w.opt.Workers = 1 }, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.turnAway("dead0400", tt.status, tt.after)
			tt.change(w)
			var end runEnd
			for range tt.nights {
				end = w.run(slices.Concat(magicIDs("dead0400", tt.alone), devices(5)))
				time.Sleep(24 * time.Hour)
			}
			if end.code != CodeStopped || end.counts[checkpoint.Accepted] != 5 {
				t.Errorf("%s: code %d, %v, %v; want the others accepted", tt.why, end.code, end.stop, end.counts)
			}
		})
	}
}

// TestTurnedAwayEachItsWay has what is left kept back for good, each device in
// another way: the run ends, whichever comes in between.
func TestTurnedAwayEachItsWay(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusServiceUnavailable, 0} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Faults: "lost-before@1"})
			ids := magicIDs("dead0426", 1)
			if status == 0 { // it is in doubt in another batch
				other := w.beside("other")
				other.opt.NoReads = true
				other.run(ids)
			}
			w.turnAway("dead0400", http.StatusTooManyRequests, time.Minute)
			held := w.wire.answered
			w.turnAway("dead0426", status, time.Minute)
			another := w.wire.answered
			w.wire.answered = func(r *http.Request, res *http.Response) {
				held(r, res)
				another(r, res)
			}
			w.opt.Until = time.Now().Add(6 * time.Hour)
			end := w.run(slices.Concat(devices(5), ids, magicIDs("dead0400", 1)))
			if end.stop == nil || end.code != CodeStopped || end.stop.Asked || end.counts[checkpoint.Accepted] != 5 {
				t.Errorf("429 and %d: %v, %v; want the others accepted, and an end before the time is up", status, end.stop, end.counts)
			}
		})
	}
}

// TestHeldForAWhile has Defender ask calls to wait, for longer than an outage may last:
// that is none while anything else is left, or another call is answered.
func TestHeldForAWhile(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		reason  string
		faults  string
		devices int
		held    func(minute int, device string) bool
	}{
		{"others are left", "", 60, func(m int, id string) bool { return m < 74 && id != device("device 59") }},
		{"one is answered in between", "", 3, func(m int, id string) bool { return m < 41 && (m < 18 || m > 20 || id != device("device 0")) }},
		{"one is looked up", "lost-before@1", 2, func(m int, id string) bool { return m < 90 && id != device("device 0") }},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Faults: tt.faults, Pending: 100 * time.Hour, Repeat: simulator.RepeatExisting})
			w.opt.SettleWait = time.Hour
			began := time.Now()
			w.wire.answered = func(r *http.Request, res *http.Response) {
				if isOffboard(r) && tt.held(int(time.Since(began).Minutes()), strings.Split(r.URL.Path, "/")[3]) {
					res.StatusCode = http.StatusTooManyRequests
					res.Header.Set("Retry-After", "60")
				}
			}
			if end := w.run(devices(tt.devices)); end.counts[checkpoint.Pending] > 0 {
				t.Errorf("%s: %v, %v; want none left", tt.reason, end.stop, end.counts)
			}
		})
	}
}

// TestOneAtATimeAfterAHold has Defender ask each call of ten minutes to wait for one:
// after the first burst, one call a minute shows that it still does.
func TestOneAtATimeAfterAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		w.opt.MaxFailures = Threshold{From: math.MaxInt}
		ids, until := magicIDs("dead0400", 60), time.Now().Add(10*time.Minute)
		var waits atomic.Int64
		w.wire.answered = func(r *http.Request, res *http.Response) {
			if isOffboard(r) && time.Now().Before(until) {
				waits.Add(1)
				res.StatusCode = http.StatusTooManyRequests
				res.Header.Set("Retry-After", "60")
			}
		}
		end := w.run(ids)
		if n, most := waits.Load(), int64(w.opt.Workers+10); end.counts[checkpoint.Refused] != len(ids) || n > most {
			t.Errorf("%d calls were asked to wait, %v, %v; want at most %d, and all called then", n, end.counts, end.stop, most)
		}
	})
}

// TestFirstLookOverTheDay has the first look wait for a network until what the plan
// was judged by serves no more: nothing is sent then, and the chain says why.
func TestFirstLookOverTheDay(t *testing.T) {
	protect, err := ReadProtection([]string{protectFile(t, device("another"))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		why   string
		hours string
		gone  time.Duration
		req   Request
		ended string
	}{
		{"over the day", "08:00-06:00", 10 * time.Minute, Request{Inventory: NewInventory(time.Time{}, nil)}, "the inventory is older than 1h0m0s: the plan is made anew"},
		{"over a pause, in which protect files may grow", "06:20-06:00", 10 * time.Minute, Request{Protect: protect}, "the hours were waited for: the plan is made anew"},
		{"over a pause that changes nothing", "06:20-06:00", 10 * time.Minute, Request{}, "done"},
		{"at any hour", "", 2 * time.Hour, Request{Inventory: NewInventory(time.Time{}, nil)}, "the inventory is older than 1h0m0s: the plan is made anew"},
		{"at any hour, by protect files alone", "", 2 * time.Hour, Request{Protect: protect}, "done"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			if w.opt.Wait, w.opt.MaxOutage = true, 3*time.Hour; tt.hours != "" {
				w.allow(tt.hours)
			}
			time.Sleep(time.Until(time.Date(2000, 1, 2, 5, 55, 0, 0, time.UTC)))
			if w.req = tt.req; w.req.Inventory != nil {
				w.req.Inventory.At = time.Now()
			}
			w.req.Name = "list"
			back := time.Now().Add(tt.gone)
			w.wire.leaving = func(*http.Request) error {
				if time.Now().Before(back) {
					return gone
				}
				return nil
			}
			end, sent := w.run(devices(3)), 0
			if tt.ended == "done" {
				sent = 3
			}
			renewed := end.stop != nil && errors.Is(end.stop, ErrNewPlan)
			if got := end.runs[len(end.runs)-1].Why; got != tt.ended || renewed != (sent == 0) || end.counts[checkpoint.Accepted] != sent {
				t.Errorf("%s: it ended %q (%v) with %v; want %q, and %d accepted", tt.why, got, end.stop, end.counts, tt.ended, sent)
			}
		})
	}
}
