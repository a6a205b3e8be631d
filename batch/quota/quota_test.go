package quota

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

var both = []Window{{100, time.Minute}, {1500, time.Hour}}

// calls makes a history of calls that are over at the given seconds.
func calls(open int, over ...float64) *History {
	h := &History{}
	for _, s := range over {
		h.Reserve()
		h.Over(at(s))
	}
	for range open {
		h.Reserve()
	}
	return h
}

func TestJudge(t *testing.T) {
	two := []Window{{2, 10 * time.Second}}
	tests := []struct {
		reason string
		h      *History
		now    float64
		hold   float64
		free   int
		at     float64
		why    string
	}{
		{"nothing was ever called", calls(0), 0, 0, 2, 0, ""},
		{"more than its slots count against it", calls(0, 0, 1, 3), 4, 0, 0, 11.1, "window of 10s"},
		{"one slot is taken", calls(0, 0), 1, 0, 1, 1, ""},
		{"both are taken: the older frees its slot after window and margin", calls(0, 0, 3), 4, 0, 0, 10.1, "window of 10s"},
		{"a call in flight takes a slot", calls(1, 0), 4, 0, 0, 10.1, "window of 10s"},
		{"two in flight: nobody knows when", calls(2), 4, 0, 0, -1, InFlight},
		{"exactly at the end of window and margin the slot is free", calls(0, 0, 3), 10.1, 0, 1, 10.1, ""},
		{"just before it is not", calls(0, 0, 3), 10.0999, 0, 0, 10.1, "window of 10s"},
		{"a hold stops all, free slots or not", calls(0), 1, 5, 0, 5, Hold},
		{"a hold that ends before the window does changes nothing", calls(0, 0, 3), 4, 5, 0, 10.1, "window of 10s"},
		{"a call that is over in the future (a clock stepped back) holds on", calls(0, 100, 101), 4, 0, 0, 110.1, "window of 10s"},
	}
	for _, tt := range tests {
		var hold time.Time
		if tt.hold != 0 {
			hold = at(tt.hold)
		}
		v := tt.h.Judge(at(tt.now), two, hold)
		var want time.Time
		if tt.at >= 0 {
			want = at(tt.at)
		}
		if v.Free != tt.free || !v.At.Equal(want) || v.Why != tt.why {
			t.Errorf("%s: Judge = free %d, at %v, %q; want %d, %v, %q", tt.reason, v.Free, v.At, v.Why, tt.free, want, tt.why)
		}
		if used := v.Usage[0].Used; hold.IsZero() && used != 2-tt.free {
			t.Errorf("%s: %d of 2 slots are used; want %d", tt.reason, used, 2-tt.free)
		}
	}
}

func TestForget(t *testing.T) {
	h := calls(0, 0, 5, 9)
	h.Forget(at(5))
	if got := h.held(Window{10, time.Hour}, at(9)); got != 2 {
		t.Errorf("held after Forget(5) = %d; want 2: what was over at 5 stays", got)
	}
}

// TestServerNeverOverflows plays the rule against a server that counts at
// arrival, with latencies and clock rates drawn at random.
func TestServerNeverOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		windows := []Window{
			{rapid.IntRange(1, 20).Draw(t, "limit"), 10 * time.Second},
			{rapid.IntRange(1, 60).Draw(t, "limit long"), 40 * time.Second},
		}
		rate := rapid.Float64Range(-0.0005, 0.0005).Draw(t, "server's clock rate")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		most := rapid.IntRange(1, 4000).Draw(t, "largest latency, ms")
		workers := rapid.IntRange(1, 30).Draw(t, "workers")

		arrivals := play(windows, 200, workers, func() (up, down time.Duration) {
			return time.Duration(rng.IntN(most)) * time.Millisecond, time.Duration(rng.IntN(most)) * time.Millisecond
		})
		for i := range arrivals { // as the server's clock shows them
			d := arrivals[i].Sub(t0)
			arrivals[i] = t0.Add(d + time.Duration(float64(d)*rate))
		}
		for _, w := range windows {
			if n := densest(arrivals, w.Per); n > w.Limit {
				t.Fatalf("%d arrivals within %v; limit %d", n, w.Per, w.Limit)
			}
		}
	})
}

// play runs n calls by the rule and returns when each arrived, in order.
func play(windows []Window, n, workers int, latency func() (up, down time.Duration)) []time.Time {
	var h History
	var arrivals, inFlight []time.Time
	now := t0
	end := func() { // the call that is over first is over
		i := slices.Index(inFlight, slices.MinFunc(inFlight, time.Time.Compare))
		if inFlight[i].After(now) {
			now = inFlight[i]
		}
		h.Over(inFlight[i])
		inFlight = slices.Delete(inFlight, i, i+1)
	}
	for len(arrivals) < n {
		v := h.Judge(now, windows, time.Time{})
		switch {
		case v.Free > 0 && len(inFlight) < workers:
			up, down := latency()
			h.Reserve()
			arrivals = append(arrivals, now.Add(up))
			inFlight = append(inFlight, now.Add(up+down))
		case len(inFlight) > 0 && (v.At.IsZero() || len(inFlight) == workers || slices.MinFunc(inFlight, time.Time.Compare).Before(v.At)):
			end()
		default:
			now = v.At
		}
	}
	slices.SortFunc(arrivals, time.Time.Compare)
	return arrivals
}

// densest counts the arrivals in the fullest half-open span of length per.
func densest(arrivals []time.Time, per time.Duration) int {
	most, from := 0, 0
	for to := range arrivals {
		for arrivals[to].Sub(arrivals[from]) >= per {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

func TestNoWaste(t *testing.T) {
	for _, n := range []int{100, 101, 1500, 1501, 3000, 10000} {
		arrivals := play(both, n, 20, func() (up, down time.Duration) { return 0, 0 })
		took, ideal := arrivals[n-1].Sub(arrivals[0]), Ideal(both, n)
		windows := time.Duration(n / 100)
		if allowed := ideal + windows*both[0].Margin() + time.Duration(n/1500)*both[1].Margin(); took < ideal || took > allowed {
			t.Errorf("%d calls took %v; want between %v and %v", n, took, ideal, allowed)
		}
	}
}

func TestIdeal(t *testing.T) {
	tests := []struct {
		n    int
		want time.Duration
	}{
		{0, 0}, {1, 0}, {100, 0}, {101, time.Minute}, {1500, 14 * time.Minute},
		{1501, time.Hour}, {3000, time.Hour + 14*time.Minute}, {10000, 6*time.Hour + 9*time.Minute},
	}
	for _, tt := range tests {
		if got := Ideal(both, tt.n); got != tt.want {
			t.Errorf("Ideal(%d) = %v; want %v", tt.n, got, tt.want)
		}
	}
}

func TestForecast(t *testing.T) {
	var h History
	f := h.Forecast(t0, both, time.Time{}, 3000, at(3600), nil)
	ideal := Ideal(both, 3000)
	if took := f.Last.Sub(t0); took < ideal || took > ideal+8*time.Second || f.Why != "minute window" || f.InTime != 1500 {
		t.Errorf("Forecast(3000) = %v, %+v; want the ideal %v and margins, the minute window, and 1500 in the first hour", took, f, ideal)
	}
	nights := func(t time.Time) time.Time {
		if t.Before(at(3600)) {
			return at(3600)
		}
		return t
	}
	if f := h.Forecast(t0, both, time.Time{}, 50, time.Time{}, nights); !f.Last.Equal(at(3600)) || f.Why != "allowed hours" || f.InTime != 50 {
		t.Errorf("Forecast with hours = %+v; want %v, and all without an end", f, at(3600))
	}
	if f := h.Forecast(t0, both, time.Time{}, 250, at(3600), nights); f.InTime != 0 {
		t.Errorf("Forecast = %d before the hours; want none", f.InTime)
	}
	if f := h.Forecast(t0, both, at(7), 50, at(7), nil); !f.Last.Equal(at(7)) || f.Why != Hold || f.InTime != 0 {
		t.Errorf("Forecast with a hold = %+v; want %v, and none before it is over", f, at(7))
	}
}

func ExampleHistory_Judge() {
	var h History
	for i := range 100 {
		h.Reserve()
		h.Over(t0.Add(time.Duration(i) * 20 * time.Millisecond))
	}
	v := h.Judge(t0.Add(2*time.Second), both, time.Time{})
	fmt.Println(v.Free, v.At.Sub(t0), v.Why)
	// Output: 0 1m0.1s minute window
}
