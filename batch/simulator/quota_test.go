package simulator

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// burst calls n times at once and counts the 429s.
func (c *client) burst(n int) (refused int) {
	for range n {
		if c.get("/api/machineactions").status == http.StatusTooManyRequests {
			refused++
		}
	}
	return refused
}

func TestWindows(t *testing.T) {
	type step struct {
		wait    time.Duration
		calls   int
		refused int
	}
	for _, test := range []struct {
		why   string
		o     Options
		steps []step
	}{
		{"sliding: free again exactly one window later", Options{PerMinute: 10}, []step{{0, 10, 0}, {time.Minute, 10, 0}}},
		{"sliding: not a moment earlier", Options{PerMinute: 10}, []step{{0, 10, 0}, {time.Minute - 1, 1, 1}}},
		{"sliding: half and half", Options{PerMinute: 10}, []step{{0, 5, 0}, {30 * time.Second, 5, 0}, {30 * time.Second, 6, 1}}},
		{"sliding: across the turn of a minute", Options{PerMinute: 10}, []step{{59 * time.Second, 10, 0}, {2 * time.Second, 10, 10}}},
		{"fixed: across the turn of a minute", Options{PerMinute: 10, FixedWindows: true}, []step{{59 * time.Second, 10, 0}, {2 * time.Second, 11, 1}}},
		{"refused calls count", Options{PerMinute: 10}, []step{{0, 15, 5}, {30 * time.Second, 5, 5}, {30 * time.Second, 1, 0}}},
		{"refused calls count on", Options{PerMinute: 10}, []step{{0, 10, 0}, {30 * time.Second, 10, 10}, {31 * time.Second, 1, 1}}},
		{"the hour", Options{PerMinute: 10, PerHour: 15}, []step{{0, 10, 0}, {time.Minute, 6, 1}, {58 * time.Minute, 1, 1}}},
		{"windows of other lengths", Options{PerMinute: 10, Minute: time.Second}, []step{{0, 10, 0}, {time.Second, 10, 0}}},
		{"knocking during the hold makes it longer", Options{PerMinute: 2, Penalty: time.Minute}, []step{{0, 3, 1}, {time.Minute - 1, 1, 1}, {time.Minute, 1, 1}, {3 * time.Minute, 1, 0}}},
	} {
		t.Run(test.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, test.o)
				c := s.client(t)
				for i, step := range test.steps {
					time.Sleep(step.wait)
					if refused := c.burst(step.calls); refused != step.refused {
						t.Errorf("step %d: %d of %d refused; want %d", i, refused, step.calls, step.refused)
					}
				}
			})
		})
	}
}

func TestBudgets(t *testing.T) {
	for _, test := range []struct {
		why    string
		shared bool
		want   int
	}{
		{"each kind its own", false, http.StatusCreated},
		{"one for all", true, http.StatusTooManyRequests},
	} {
		c := newServer(t, Options{AnyDevice: true, PerMinute: 3, SharedBudget: test.shared, Success: 201}).client(t)
		c.burst(3)
		if g := c.offboard(device); g.status != test.want {
			t.Errorf("%s: offboard after three lists = %d; want %d", test.why, g.status, test.want)
		}
	}
}

func TestThrottleStyles(t *testing.T) {
	for _, test := range []struct {
		why, style         string
		retryAfter, inBody string
	}{
		{"seconds, rounded up", ThrottleSeconds, "50", ""},
		{"a date, never too early", ThrottleDate, "Sat, 01 Jan 2000 00:01:01 GMT", ""},
		{"only in the words", ThrottleMessage, "", "in 50 seconds"},
		{"only the window", ThrottleWindow, "", "3 per 00:01:00"},
		{"nothing", ThrottleNone, "", "quota exceeded"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newServer(t, Options{PerMinute: 3, Throttle: test.style}).client(t)
			c.burst(2)
			time.Sleep(10*time.Second + time.Millisecond)
			c.burst(1)
			g := c.get("/api/machineactions")
			if g.status != 429 || g.header.Get("Retry-After") != test.retryAfter || !strings.Contains(g.body, test.inBody) {
				t.Errorf("%s: %d, Retry-After %q, %s; want 429, %q, %q", test.why, g.status, g.header.Get("Retry-After"), g.body, test.retryAfter, test.inBody)
			}
			if g.code != "429" && g.code != "TooManyRequests" {
				t.Errorf("%s: code %q; want 429 or TooManyRequests", test.why, g.code)
			}
			if words := strings.Contains(g.body, "seconds") || strings.Contains(g.body, " per "); words != (test.inBody != "" && test.style != ThrottleNone) {
				t.Errorf("%s: %s; want the wait in the body only where it is the style", test.why, g.body)
			}
		})
	}
}

func TestDensestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{TokenLife: 24 * time.Hour})
		c := s.client(t)
		for _, n := range []int{3, 5, 4} { // at 0 s, 40 s and 80 s
			c.burst(n)
			time.Sleep(40 * time.Second)
		}
		time.Sleep(2 * time.Hour)
		c.burst(1)
		b := s.Books()
		k := b.Calls[KindActions]
		if k.DensestMinute != 9 || k.DensestHour != 12 || k.Calls != 13 || k.ByStatus["200"] != 13 {
			t.Errorf("Books().Calls[actions] = %+v; want 13 calls, 9 in a minute, 12 in an hour", k)
		}
		if n := len(b.Arrivals(KindActions)); n != 13 || len(b.Arrivals("all")) != 13 {
			t.Errorf("len(Arrivals) = %d and %d; want 13 and 13", n, len(b.Arrivals("all")))
		}
		if took := b.Last.Sub(b.First); took != 2*time.Hour+2*time.Minute {
			t.Errorf("from first to last arrival: %v; want 2h2m", took)
		}
	})
}
