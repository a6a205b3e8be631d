package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// allow sets the hours of a world, on the clock of UTC.
func (w *world) allow(spec string) quota.Hours {
	w.t.Helper()
	h, err := quota.ParseHours([]string{spec}, time.UTC)
	if err != nil {
		w.t.Fatal(err)
	}
	w.opt.Allowed = func(t time.Time) time.Time { return h.Next(t, w.opt.Timeout) }
	return h
}

// inHours checks that no call of any kind arrived outside the hours.
func (w *world) inHours(h quota.Hours) {
	w.t.Helper()
	for _, at := range w.sim.Books().Arrivals("all") {
		if !h.Open(at) {
			w.t.Errorf("a call at %v, outside the hours", at)
		}
	}
}

// TestWait lets one run wait for the hours, before its first call and again when
// they are over.
func TestWait(t *testing.T) {
	slow(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, LatencyMax: 200 * time.Millisecond})
		h := w.allow("22:00-22:03")
		w.opt.Wait = true
		end := w.run(devices(250))
		b := w.judge(end, false)
		if end.code != CodeDone || end.counts[checkpoint.Accepted] != 250 {
			t.Errorf("code %d (%v), counts %v; want all accepted", end.code, end.stop, end.counts)
		}
		w.inHours(h)
		first, last := b.First.Format(time.TimeOnly), b.Last.Format("02 15:04")
		if first != "22:00:00" || last != "02 22:00" {
			t.Errorf("calls from %s until %s; want from ten sharp until the second evening", first, last)
		}
	})
}

// TestHoursInDoubt loses every answer just before the hours are over: nothing is
// looked up after them, and the next run settles it.
func TestHoursInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Lag: 2 * time.Minute, Faults: "lost-after=4"})
		h := w.allow("22:00-06:00")
		time.Sleep(time.Until(time.Date(2000, 1, 2, 5, 58, 50, 0, time.UTC)))
		ids := devices(4)
		end := w.run(ids)
		if end.code != CodeStopped || end.counts[checkpoint.InDoubt] != 4 {
			t.Fatalf("code %d (%v), counts %v; want 4, and four in doubt", end.code, end.stop, end.counts)
		}
		if again := w.run(ids); again.code != CodeStopped {
			t.Errorf("after the hours: code %d (%v); want 4", again.code, again.stop)
		}
		time.Sleep(time.Until(time.Date(2000, 1, 2, 22, 0, 0, 0, time.UTC)))
		end = w.run(ids)
		if end.code != CodeDone || end.counts[checkpoint.Accepted] != 4 {
			t.Errorf("the next night: code %d (%v), counts %v; want all accepted", end.code, end.stop, end.counts)
		}
		w.judge(end, false)
		w.inHours(h)
	})
}

// TestEnds ends runs by the clock and by count.
func TestEnds(t *testing.T) {
	slow(t)
	tests := []struct {
		reason string
		set    func(*Options)
		calls  int
		why    string
	}{
		{"by the clock", func(o *Options) { o.Until = time.Now().Add(90 * time.Second) }, 200, "the time is up"},
		{"by the clock, before anything", func(o *Options) { o.Until = time.Now() }, 0, "the time is up"},
		{"by count", func(o *Options) { o.Limit = 130 }, 130, "130 calls were made, as --limit says"},
		{"by count, of one", func(o *Options) { o.Limit = 1 }, 1, "1 call was made, as --limit says"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1})
			tt.set(&w.opt)
			end := w.run(devices(300))
			b := w.judge(end, false)
			if n := len(b.Arrivals("offboard")); end.code != CodeStopped || end.stop.Why != tt.why || n != tt.calls {
				t.Errorf("%s: code %d (%v) after %d calls; want %q after %d", tt.reason, end.code, end.stop, n, tt.why, tt.calls)
			}
			w.opt.Until, w.opt.Limit = time.Time{}, 0
			if end = w.run(devices(300)); end.code != CodeDone {
				t.Errorf("%s: the same command ended with %d (%v); want 0", tt.reason, end.code, end.stop)
			}
		})
	}
}

// TestLimitSettles makes as many calls as it may, loses the answer of the last,
// and settles it before it ends.
func TestLimitSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Faults: "lost-after@3"})
		w.opt.Limit = 3
		end := w.run(devices(10))
		if end.code != CodeStopped || end.counts[checkpoint.Accepted] != 3 || end.counts[checkpoint.InDoubt] != 0 {
			t.Errorf("code %d (%v), counts %v; want 4, three accepted and none in doubt", end.code, end.stop, end.counts)
		}
		w.judge(end, false)
	})
}
