package batch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// nights is a batch that a scheduler starts every evening at ten.
type nights struct {
	devices int
	windows []quota.Window
	madrid  *time.Location
	first   time.Time       // the first evening
	breaks  []time.Duration // into each night, after which the machine is patched
	patch   time.Duration   // for so long
}

// open says whether a call may be made: by the hours on a clock in Madrid, and
// not while the machine is patched. It is told apart from package quota's on
// purpose.
func (n *nights) open(t time.Time) bool {
	local := t.In(n.madrid)
	if h := local.Hour(); h >= 6 && h < 22 {
		return false
	}
	began := n.evening(local)
	for _, b := range n.breaks {
		if into := t.Sub(began); into >= b && into < b+n.patch {
			return false
		}
	}
	return true
}

// evening is when the night of a moment began.
func (n *nights) evening(t time.Time) time.Time {
	local := t.In(n.madrid)
	if local.Hour() < 22 {
		local = local.AddDate(0, 0, -1)
	}
	return time.Date(local.Year(), local.Month(), local.Day(), 22, 0, 0, 0, n.madrid)
}

// nextEvening is when the scheduler starts next.
func (n *nights) nextEvening(t time.Time) time.Time {
	local := t.In(n.madrid)
	at := time.Date(local.Year(), local.Month(), local.Day(), 22, 0, 0, 0, n.madrid)
	if !at.After(t) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// best is when the last call goes at the earliest, by trying every second.
func (n *nights) best() time.Time {
	var sent []time.Time
	for at := n.first; ; at = at.Add(time.Second) {
		if !n.open(at) {
			continue
		}
		for n.room(sent, at) {
			if sent = append(sent, at); len(sent) == n.devices {
				return at
			}
		}
	}
}

func (n *nights) room(sent []time.Time, at time.Time) bool {
	for _, w := range n.windows {
		if len(sent) >= w.Limit && sent[len(sent)-w.Limit].Add(w.Per).After(at) {
			return false
		}
	}
	return true
}

// used is the part of a span in which calls could be made, to the second.
func (n *nights) used(from, to time.Time) (d time.Duration) {
	for at := from; at.Before(to); at = at.Add(time.Second) {
		if n.open(at) {
			d += time.Second
		}
	}
	return d
}

// TestNights runs 12,000 devices in the nights of Madrid over both changes of
// its clock. Every evening a new process starts, is stopped on the way, starts
// again and ends by itself at six.
func TestNights(t *testing.T) {
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change string
		first  time.Time
	}{
		{"the end of October: a night of nine hours", time.Date(2000, 10, 27, 22, 0, 0, 0, madrid)},
		{"the end of March: a night of seven hours", time.Date(2000, 3, 24, 22, 0, 0, 0, madrid)},
	} {
		t.Run(tt.change, func(t *testing.T) {
			t.Parallel()
			n := &nights{devices: 12000, windows: []quota.Window{{Limit: 100, Per: time.Minute}, {Limit: 500, Per: time.Hour}},
				madrid: madrid, first: tt.first, breaks: []time.Duration{2*time.Hour + 2*time.Minute}, patch: 20 * time.Minute}
			if testing.Short() {
				// The hours around the change alone.
				n.devices, n.windows = 210, []quota.Window{{Limit: 10, Per: time.Minute}, {Limit: 50, Per: time.Hour}}
				n.first, n.breaks, n.patch = n.first.AddDate(0, 0, 1), []time.Duration{5 * time.Minute}, 3*time.Hour+45*time.Minute
			}
			synctest.Test(t, n.test)
		})
	}
}

func (n *nights) test(t *testing.T) {
	time.Sleep(time.Until(n.first.Add(-30 * time.Minute)))
	w := newWorld(t, simulator.Options{Seed: 7, LatencyMin: 20 * time.Millisecond, LatencyMax: 400 * time.Millisecond,
		PerMinute: n.windows[0].Limit, PerHour: n.windows[1].Limit})
	hours, err := quota.ParseHours([]string{"22:00-06:00"}, n.madrid)
	if err != nil {
		t.Fatal(err)
	}
	w.path = filepath.Join(inMemory(t), "checkpoint.db")
	w.opt.Windows = n.windows
	w.opt.Allowed = func(at time.Time) time.Time { return hours.Next(at, w.opt.Timeout).In(n.madrid) }
	ids := devices(n.devices)

	early := w.run(ids)
	if early.code != CodeStopped || len(w.sim.Books().Arrivals("all")) > 0 {
		t.Fatalf("at half past nine: code %d (%v) and %d calls; want 4 and none", early.code, early.stop, len(w.sim.Books().Arrivals("all")))
	}
	if want := "again from " + n.first.Format("Mon 2006-01-02 15:04 MST") + " on"; !strings.Contains(early.stop.Hint, want) {
		t.Errorf("hint %q; want %q in it", early.stop.Hint, want)
	}
	var end runEnd
	night := 0
	for end.code = CodeStopped; end.code == CodeStopped && night < 7; night++ {
		time.Sleep(time.Until(n.nextEvening(time.Now())))
		end = n.night(w, ids)
	}
	b := w.judge(end, false)
	if end.code != CodeDone || end.counts[checkpoint.Accepted] != n.devices || b.Throttled != 0 {
		t.Fatalf("code %d (%v), counts %v, %d answers of 429; want 0, all accepted, none", end.code, end.stop, end.counts, b.Throttled)
	}
	for _, at := range b.Arrivals("all") {
		if !n.open(at) {
			t.Errorf("a call at %v, outside the hours", at.In(n.madrid))
		}
	}
	calls := b.Arrivals("offboard")
	best, got := n.best(), calls[len(calls)-1]
	if took, least := n.used(n.first, got), n.used(n.first, best); took > least+least/100 {
		t.Errorf("done at %v, after %v of the hours; want within 1 %% of %v, at %v", got.In(n.madrid), took, least, best)
	} else {
		t.Logf("%d devices in %d nights, done %v, after %v of the hours; the best possible are %v: %.4f",
			n.devices, night, got.In(n.madrid).Format("Mon 15:04:05 MST"), took, least, took.Seconds()/least.Seconds())
	}
}

// night starts a process in the evening, and again after each time that the
// machine was patched.
func (n *nights) night(w *world, ids []string) (end runEnd) {
	began := time.Now()
	for _, b := range append(n.breaks, 24*time.Hour) {
		ctx, cancel := context.WithDeadline(w.t.Context(), began.Add(b))
		var err error
		end, err = w.tryRun(ctx, ids)
		patched := ctx.Err() != nil
		cancel()
		if err != nil {
			w.t.Fatal(err)
		}
		if !patched {
			return end
		}
		time.Sleep(time.Until(began.Add(b + n.patch)))
	}
	return end
}

// inMemory is a folder that no disk slows down, where there is one: time is
// virtual, and 24,000 durable commits are not.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "mde-offboard-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
