package batch

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// holdLists has Defender ask each list call to wait for a minute, from the n-th on.
func (w *world) holdLists(n int) {
	w.wire.answered = func(r *http.Request, res *http.Response) {
		if !isList(r) {
			return
		}
		if n--; n <= 0 {
			res.StatusCode = http.StatusTooManyRequests
			res.Header.Set("Retry-After", "60")
		}
	}
}

// TestLooksToldToWait has Defender ask each look to wait, for good: that is shown, and
// ends as an outage does.
func TestLooksToldToWait(t *testing.T) {
	for _, tt := range []struct {
		reason string
		faults string
		from   int // of the list calls, the first that is to wait
		left   checkpoint.Status
	}{
		{"the first look", "", 1, checkpoint.Pending},
		{"a look for what is in doubt", "lost-after@1", 2, checkpoint.InDoubt},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Faults: tt.faults})
			w.holdLists(tt.from)
			r, _, done, err := w.begin(t.Context(), w.store(), listOf(devices(1)))
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			held := 0
			r.show = func(p Progress) {
				if p.Wait == "hold" && !p.Until.IsZero() {
					held++
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
			defer cancel()
			stop := r.Run(ctx, t.Context())
			if stop == nil || stop.Code != CodeStopped || r.counts[tt.left] != 1 || !strings.Contains(stop.Why, "told each list-actions call to wait, for longer than 30m0s") {
				t.Errorf("%s: %v, %v; want it stopped with one device %s", tt.reason, stop, r.counts, tt.left)
			}
			if held < 1700 {
				t.Errorf("%s: told %d times of the hold; want it each second of half an hour", tt.reason, held)
			}
		})
	}
}

// TestLookNotDue shares one call a minute among all: a look that is not due yet waits
// for no window, and one that is does.
func TestLookNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Faults: "lost-before@1"})
		w.opt.SharedBudget, w.opt.Windows = true, []quota.Window{{Limit: 1, Per: time.Minute}}
		r, _, done, err := w.begin(t.Context(), w.store(), listOf(devices(1)))
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		waited := map[string]int{} // seconds, with one in doubt
		r.show = func(p Progress) {
			if p.Counts[checkpoint.InDoubt] == 1 {
				waited[p.Wait]++
			}
		}
		if stop := r.Run(t.Context(), t.Context()); stop != nil {
			t.Fatal(stop)
		}
		if waited[waitSettle] < 60 || waited["minute window"] < 60 {
			t.Errorf("shown, in seconds: %v; want both waits", waited)
		}
	})
}

// TestTrackToldOnce has a look and the reading of the inventory meet an outage each:
// of both it is told in words that are whole.
func TestTrackToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		w.run(devices(1))
		failed := map[string]bool{}
		w.wire.leaving = func(r *http.Request) error {
			if !failed[r.URL.Path] {
				failed[r.URL.Path] = true
				return gone
			}
			return nil
		}
		var notes []string
		w.track(t.Context(), TrackOptions{Inventory: true, Note: func(text string) { notes = append(notes, text) }})
		if len(notes) != 2 {
			t.Fatalf("told %q; want each outage", notes)
		}
		for _, text := range notes {
			if !strings.HasPrefix(text, unreached+": ") || !strings.HasSuffix(text, "; trying again …") {
				t.Errorf("told %q; want whole words", text)
			}
		}
	})
}

// TestTrackToldToWait has Defender ask those who track to wait, for good.
func TestTrackToldToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Pending: 20 * time.Minute})
		w.run(devices(2))
		w.holdLists(1)
		holds := 0
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		end := w.track(ctx, TrackOptions{Every: time.Minute, UntilFinal: true, Note: func(text string) {
			if strings.HasPrefix(text, "waiting: hold, until ") {
				holds++
			}
		}})
		if end.stop == nil || end.stop.Code != CodeStopped || !strings.Contains(end.stop.Why, "told each list-actions call to wait") {
			t.Errorf("Track() = %v; want it stopped", end.stop)
		}
		if holds < 29 || holds > 32 {
			t.Errorf("told of %d holds; want each once", holds)
		}
	})
}
