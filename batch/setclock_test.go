package batch

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestClockIsSetTwice: a process that has stamped a call by a clock that was set
// forward, and has no answer yet, meets another jump. What was sent before is as
// young as it was.
func TestClockIsSetTwice(t *testing.T) {
	for _, second := range []time.Duration{-time.Second, time.Second, -10 * time.Minute} {
		for _, between := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w, c := clockWorld(t, simulator.Options{})
				ids := devices(2 * small[0].Limit)
				w.opt.Limit = small[0].Limit
				w.run(ids)
				c.turn(3 * time.Hour)
				w.opt.Limit, w.clock = 0, &Clock{Wall: c.wall}
				var once sync.Once
				w.wire.leaving = func(*http.Request) error {
					if !between {
						once.Do(func() { c.turn(second) })
					}
					return nil
				}
				if between {
					w.wire.leaving = refuseAll
					if _, err := w.tryRun(interruptedAfter(t, 2*time.Second), ids); err != nil {
						t.Fatal(err)
					}
					c.turn(second)
					w.wire.leaving, w.clock = nil, &Clock{Wall: c.wall}
				}
				end := w.run(ids)
				if b := w.judge(end, false); b.Throttled > 0 || end.code != CodeDone {
					t.Errorf("set by %v (between runs: %v): %d answers of 429, code %d; want none, 0", second, between, b.Throttled, end.code)
				}
			})
		}
	}
}

// TestClockIsSetUnderTwo: another process, just begun, has stamped by the new clock
// what this one has not noticed yet.
func TestClockIsSetUnderTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{})
		other := *w
		other.req.Name, other.clock = "other", &Clock{Wall: c.wall}
		done := make(chan error, 1)
		var posts, lists atomic.Int64
		w.wire.leaving = func(r *http.Request) error {
			if !isOffboard(r) {
				if lists.Add(1) == 2 { // the other's look takes long
					time.Sleep(10 * time.Second)
				}
				return nil
			}
			if posts.Add(1) == int64(small[0].Limit) {
				time.Sleep(1500 * time.Millisecond) // the others are over
				c.turn(3 * time.Hour)
				go func() {
					_, err := other.tryRun(t.Context(), devices(1))
					done <- err
				}()
				time.Sleep(5 * time.Second)
			}
			return nil
		}
		end := w.run(devices(30)[1:])
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if b := w.judge(end, false); b.Throttled > 0 {
			t.Errorf("%d answers of 429; want none", b.Throttled)
		}
	})
}

// TestClockSetBackPastHistory: what was over long ago does not come back with a
// clock that stands before it.
func TestClockSetBackPastHistory(t *testing.T) {
	for _, tt := range []struct {
		what   string
		faults string
		pause  time.Duration
		turn   time.Duration
		first  int
	}{
		{"calls of three hours ago", "", 3 * time.Hour, -10 * time.Hour, small[1].Limit},
		{"a hold that was over an hour ago", "429-seconds@2:30s", time.Hour, -25 * time.Hour, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, c := clockWorld(t, simulator.Options{Faults: tt.faults})
			w.run(devices(tt.first))
			time.Sleep(tt.pause)
			w.run(devices(tt.first + 1))
			c.turn(tt.turn)
			w.clock = &Clock{Wall: c.wall}
			start := time.Now()
			end := w.run(devices(tt.first + 4))
			w.judge(end, false)
			if took := time.Since(start); took > small[1].Per+time.Minute || end.code != CodeDone {
				t.Errorf("%s: took %v, code %d; want a window at most, 0", tt.what, took, end.code)
			}
		})
	}
}

// clockRun begins a run of 20 devices in such a world, which ends with the test.
func clockRun(t *testing.T) (*world, *clocks, *Runner) {
	t.Helper()
	w, c := clockWorld(t, simulator.Options{})
	r, _, done, err := w.begin(t.Context(), w.store(), listOf(devices(20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { done() })
	return w, c, r
}

// TestSlotWhileClockIsSet: a wait for a slot is as long as it was judged to be,
// whatever the clock says behind it.
func TestSlotWhileClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, r := clockRun(t)
		for _, task := range r.ready[:small[0].Limit] {
			r.offboard(t.Context(), task)
		}
		judged := false
		c.read = func(int64) {
			if strings.Contains(string(debug.Stack()), ".slot.") || strings.Contains(string(debug.Stack()), ".Judge") {
				judged = true
			} else if judged {
				c.read = nil
				c.turn(-3 * time.Hour)
			}
		}
		start := time.Now()
		if err := r.slot(t.Context(), CallOffboard); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Minute {
			t.Errorf("slot() waited %v; want some windows of a minute", took)
		}
	})
}

// TestCancelWhileClockIsSet: how long a cancel call can still take effect does not
// depend on a clock that is set meanwhile.
func TestCancelWhileClockIsSet(t *testing.T) {
	for _, turn := range []time.Duration{time.Hour, -3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w, c := clockWorld(t, simulator.Options{})
			w.run(devices(1))
			var at []time.Time
			w.wire.leaving = func(r *http.Request) error {
				if !strings.HasSuffix(r.URL.Path, "/cancel") {
					return nil
				}
				if at = append(at, time.Now()); len(at) == 1 {
					time.AfterFunc(2*time.Second, func() { c.turn(turn) })
					w.wire.answered = func(_ *http.Request, res *http.Response) {
						w.wire.answered = nil
						res.StatusCode = http.StatusInternalServerError
					}
					r.URL.Path += "x" // it does not arrive
				}
				return nil
			}
			start := time.Now()
			end := w.cancel(t.Context())
			if len(at) != 2 || at[1].Sub(at[0]) < 30*time.Second || time.Since(start) > 10*time.Minute || end.Cancelled.Cancelled != 1 {
				t.Errorf("clock set by %v: calls at %v, took %v, %+v; want a second one when the first can have no effect any more", turn, at, time.Since(start), end.Cancelled)
			}
		})
	}
}

// TestDeadBesideAClockThatWasWrong: a clock that stood wrong for a moment does not
// keep the calls of another run, which is dead, from being over.
func TestDeadBesideAClockThatWasWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{})
		ids := devices(3)
		w.req.Name = "dead"
		w.run(ids[:1])
		s, b, dead := w.watching(w.store(), "run")
		time.Sleep(11 * time.Minute)
		for i := range small[0].Limit {
			w.reserve(b.ID, checkpoint.Intent{Run: dead.run, Device: ids[0], Number: i + 2}, w.opt.budget(s.Key, CallOffboard))
		}
		w.req.Name = "list"
		time.AfterFunc(5*time.Second, func() { c.turn(3 * time.Hour) })
		time.AfterFunc(8*time.Second, func() { c.turn(-3 * time.Hour) })
		w.clock = &Clock{Wall: c.wall}
		start := time.Now()
		end, err := w.tryRun(t.Context(), ids[1:])
		if took := time.Since(start); err != nil || took > 20*time.Minute || end.code != CodeDone {
			t.Errorf("took %v, code %d (%v), %v; want the dead run's grace and a window at most", took, end.code, end.stop, err)
		}
	})
}

// TestHeldUpInTheEnd: a process that is held up between its reading of the clock and
// what it writes does not make the call older than it is.
func TestHeldUpInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{Faults: "lost-after@1"})
		r, _, done, err := w.begin(t.Context(), w.store(), listOf(devices(20)))
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		w.atPost(1, func() {
			c.read = func(int64) {
				if strings.Contains(string(debug.Stack()), ".update.") {
					c.read = nil
					time.Sleep(35 * time.Second)
				}
			}
		})
		for _, task := range r.ready {
			r.offboard(t.Context(), task)
		}
		if b := w.sim.Books(); b.Throttled > 0 {
			t.Errorf("%d answers of 429; want none", b.Throttled)
		}
	})
}

// TestWriteUndoneAfterAJump: the history that is counted anew in a transaction that is
// undone is counted anew in the next one.
func TestWriteUndoneAfterAJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, r := clockRun(t)
		for n := range small[0].Limit {
			r.offboard(t.Context(), r.ready[n])
		}
		c.turn(time.Hour)
		undone := errors.New("undone")
		if _, err := r.update(func(*checkpoint.Tx, moment) error { return undone }); err != undone {
			t.Fatal(err)
		}
		if _, err := r.update(func(*checkpoint.Tx, moment) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if v, err := r.store.Judge(r.opt.budget(r.key, CallOffboard), r.clock.Now); err != nil || v.Free > 0 {
			t.Errorf("Judge() = %+v, %v; want no slot within a minute of the calls", v, err)
		}
	})
}

// TestClockSetWhileAnOutcomeIsWritten has the clock be set forward after a call has
// lost its answer and before that is on the disk: the wait for its action is not over
// by that.
func TestClockSetWhileAnOutcomeIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{Faults: "lost-after@1", Lag: 110 * time.Second, Repeat: simulator.RepeatSecond})
		store := w.store()
		w.atPost(1, func() {
			go store.Update(func(*checkpoint.Tx) error {
				time.Sleep(5 * time.Second)
				return nil
			})
			time.AfterFunc(2*time.Second, func() { c.turn(time.Hour) })
		})
		end, err := w.runOn(t.Context(), store, devices(1))
		if err != nil {
			t.Fatal(err)
		}
		if n := posts(w.judge(end, false), device("device 0")); n != 1 || end.counts[checkpoint.Accepted] != 1 {
			t.Errorf("%d calls, %v, %v; want one, and its action found", n, end.counts, end.stop)
		}
	})
}

// TestClockSetBackUnderALook has the clock be set back while a look is under way: by
// the clock of when it began, it is late enough to take absence for evidence.
func TestClockSetBackUnderALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{Faults: "lost-after@1", Lag: 110 * time.Second, Repeat: simulator.RepeatSecond})
		lists := 0
		w.wire.leaving = func(r *http.Request) error {
			if !isList(r) {
				return nil
			}
			if lists++; lists == 2 {
				time.AfterFunc(2*time.Second, func() { c.turn(-3 * time.Hour) })
				time.Sleep(5 * time.Second)
			}
			return nil
		}
		end := w.run(devices(1))
		if n := posts(w.judge(end, false), device("device 0")); n != 1 || end.counts[checkpoint.Accepted] != 1 {
			t.Errorf("%d calls, %v, %v; want one, and its action found", n, end.counts, end.stop)
		}
	})
}

// TestClockSetBeforeAFormerActionIsRead has the clock be set forward while an action
// of another batch is looked at that is fresh, and in no list yet: what was known of
// the server's clock does not make it old.
func TestClockSetBeforeAFormerActionIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{Repeat: simulator.RepeatSecond, Lag: 2 * time.Minute, Pending: time.Hour})
		w.run(devices(1))
		again := w.beside("other")
		again.opt.Again, again.req.Again = true, true
		c.read = func(int64) {
			if strings.Contains(string(debug.Stack()), ".readFormer(") {
				c.read = nil
				c.turn(time.Hour)
			}
		}
		end := again.run(devices(1))
		if n := posts(w.judge(end, false), device("device 0")); n != 1 || c.read != nil {
			t.Errorf("%d calls, %v, %v; want none beside the first", n, end.counts, end.stop)
		}
	})
}
