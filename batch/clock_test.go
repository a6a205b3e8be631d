package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// clocks are the server's and the runner's wall clock, over the time of the
// bubble, which is the one that cannot be set.
type clocks struct {
	slept atomic.Int64 // the machine slept: both went on, the elapsed time did not
	set   atomic.Int64 // the runner's alone was set
	reads atomic.Int64
	read  func(n int64) // told of each reading of the wall clock; nil: nobody
}

func (c *clocks) server() time.Time { return time.Now().Add(time.Duration(c.slept.Load())) }

func (c *clocks) wall(t time.Time) time.Time {
	if n := c.reads.Add(1); c.read != nil {
		c.read(n)
	}
	return t.Add(time.Duration(c.slept.Load() + c.set.Load()))
}

func (c *clocks) sleep(d time.Duration) { c.slept.Add(int64(d)) }
func (c *clocks) turn(d time.Duration)  { c.set.Add(int64(d)) }

// small windows make for short tests.
var small = []quota.Window{{Limit: 10, Per: time.Minute}, {Limit: 25, Per: 10 * time.Minute}}

// clockWorld is a world of small windows whose clocks can be turned.
func clockWorld(t *testing.T, o simulator.Options) (*world, *clocks) {
	c := &clocks{}
	o.PerMinute, o.PerHour, o.Hour, o.Now = small[0].Limit, small[1].Limit, small[1].Per, c.server
	w := newWorld(t, o)
	w.opt.Windows, w.clock = small, &Clock{Wall: c.wall}
	return w, c
}

// TestClockJumps: whatever the wall clock does, the server sees no call too many.
func TestClockJumps(t *testing.T) {
	slow(t)
	const h = time.Hour
	each := func(n int64, do func(*clocks)) func(*world, *clocks) {
		return func(w *world, c *clocks) {
			w.atEachPost(func(post int64) {
				if post%n == 0 {
					do(c)
				}
			})
		}
	}
	once := func(n int64, do func(*clocks)) func(*world, *clocks) {
		return func(w *world, c *clocks) { w.atPost(n, func() { do(c) }) }
	}
	turns := 0
	for _, tt := range []struct {
		name string
		play func(*world, *clocks)
		most time.Duration // of waiting beyond the ideal
		why  string
	}{
		{"an hour back", once(23, func(c *clocks) { c.turn(-h) }), 10 * time.Minute, "the history counts as of now"},
		{"an hour forward", once(23, func(c *clocks) { c.turn(h) }), 10 * time.Minute, "calls of a moment ago look old"},
		{"an hour forward within a full minute", once(8, func(c *clocks) { c.turn(h) }), 10 * time.Minute, "the minute has two slots left and seems to have ten"},
		{"back and forth", each(9, func(c *clocks) { turns++; c.turn(time.Duration(1-2*(turns%2)) * 3 * h) }), 4 * h, "a call that was over while the clock stood wrong"},
		{"a minute forward each nine calls", each(9, func(c *clocks) { c.turn(time.Minute) }), 4 * h, "as if a minute were over"},
		{"ten minutes of sleep", once(23, func(c *clocks) { c.sleep(10 * time.Minute) }), 10 * time.Minute, "the server's windows go on"},
		{"sleep before the reservation, in it and after", func(_ *world, c *clocks) {
			c.read = func(n int64) {
				if n%97 == 0 && n < 1000 {
					c.sleep(10 * time.Minute)
				}
			}
		}, 4 * h, "readings of the clock are all around the reservation"},
		{"turned before the reservation, in it and after", func(_ *world, c *clocks) {
			c.read = func(n int64) {
				if n%97 == 0 && n < 1000 {
					c.turn(time.Hour)
				}
			}
		}, 4 * h, "readings of the clock are all around the reservation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 40
				w, c := clockWorld(t, simulator.Options{LatencyMin: 50 * time.Millisecond, LatencyMax: 500 * time.Millisecond})
				tt.play(w, c)
				start := c.server()
				end := w.run(devices(n))
				took := c.server().Sub(start)
				b := w.judge(end, false)
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != n || b.Throttled > 0 {
					t.Errorf("code %d, counts %v, %d answers of 429, stop %v; want 0, all accepted, none: %s", end.code, end.counts, b.Throttled, end.stop, tt.why)
				}
				if most := quota.Ideal(small, n) + tt.most + 10*time.Minute; took > most {
					t.Errorf("took %v; want at most %v", took, most)
				}
			})
		})
	}
}

// TestClockIsSetBetweenRuns: the next run does not take the last one's calls for
// old, or its waits for long.
func TestClockIsSetBetweenRuns(t *testing.T) {
	slow(t)
	for _, turn := range []time.Duration{time.Hour, -time.Hour, 25 * time.Hour, -25 * time.Hour, 3 * time.Second} {
		for _, how := range []string{"stopped", "killed", "killed, without reads", "stopped, one budget"} {
			t.Run(fmt.Sprint(turn, " ", how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n, before := 40, 18
					shared := strings.Contains(how, "one budget")
					if shared {
						before = small[0].Limit - 1 // and one look
					}
					w, c := clockWorld(t, simulator.Options{SharedBudget: shared, LatencyMin: 50 * time.Millisecond, LatencyMax: 500 * time.Millisecond})
					w.opt.SharedBudget = shared
					w.opt.NoReads = strings.Contains(how, "without reads")
					ids := devices(n)
					if strings.HasPrefix(how, "stopped") {
						w.opt.Limit = before
						w.run(ids)
					} else {
						w.crash(ids, int64(before))
					}
					c.turn(turn)
					w.opt.Limit, w.clock = 0, &Clock{Wall: c.wall}
					start := time.Now()
					end := w.run(ids)
					b := w.judge(end, false)
					if sum := end.counts[checkpoint.Accepted] + end.counts[checkpoint.InDoubt]; sum != n || b.Throttled > 0 || !w.opt.NoReads && end.code != CodeDone {
						t.Errorf("code %d, counts %v, %d answers of 429, stop %v; want all accepted, none", end.code, end.counts, b.Throttled, end.stop)
					}
					if all := b.Calls["all"]; shared && (all.DensestMinute > small[0].Limit || all.DensestHour > small[1].Limit) {
						t.Errorf("all calls: densest minute %d, window %d; want %v", all.DensestMinute, all.DensestHour, small)
					}
					if took := time.Since(start); took > 35*time.Minute {
						t.Errorf("took %v; want no more than some windows", took)
					}
				})
			})
		}
	}
}

// TestClockSetBackAndRight: a clock that was set back, with no answer after it,
// and is right again before the next run: neither run alone can see that.
func TestClockSetBackAndRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{LatencyMin: 50 * time.Millisecond, LatencyMax: 500 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // when the long window is full
			time.Sleep(3 * time.Minute)
			c.turn(-time.Hour)
			time.Sleep(time.Minute)
			cancel()
		}()
		if end, err := w.tryRun(ctx, devices(40)); err != nil || end.counts[checkpoint.Accepted] != small[1].Limit || w.clock.Jumps() != 1 {
			t.Fatalf("%v, %v, %d jumps; want a full window accepted, and one jump", end.counts, err, w.clock.Jumps())
		}
		c.turn(time.Hour)
		w.clock = &Clock{Wall: c.wall}
		end := w.run(devices(40))
		if b := w.judge(end, false); end.code != CodeDone || b.Throttled > 0 {
			t.Errorf("code %d (%v), %d answers of 429; want 0, none", end.code, end.stop, b.Throttled)
		}
	})
}

// TestClockAndDoubt: a clock that is set neither shortens the time for which a
// device in doubt is left alone, nor hides its action, nor stretches the wait for
// hours.
func TestClockAndDoubt(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		name   string
		faults string
		turn   time.Duration
		at     int64 // call at which it is turned; 0: between two runs, the first of which was killed
		slow   bool  // calls may take ten minutes, and actions are unseen for a quarter of an hour
		why    string
	}{
		{"forward, while in doubt", "lost-after@1", time.Hour, 2, false, "the settle wait is not over"},
		{"back, while in doubt", "lost-after@1", -time.Hour, 2, false, "the action is older than the call by our clock"},
		{"forward, while called", "lost-after@2", time.Hour, 2, false, "the call was reserved by the other clock"},
		{"back, while called", "lost-after@2", -time.Hour, 2, false, "the call was reserved by the other clock"},
		{"back, in a call of ten minutes", "hang-after@2", -time.Hour, 2, true, "the call began an hour later than it ended"},
		{"forward, and late", "effect-late@1", time.Hour, 2, false, "the effect is still to come"},
		{"forward between runs", "", time.Hour, 0, false, "the runner's last sign of life was a moment ago"},
		{"back between runs", "", -time.Hour, 0, false, "the runner's last sign of life is yet to come"},
		{"forward between runs, and late", "effect-late@3", 2 * time.Hour, 0, false, "the effect is still to come"},
		{"far back between runs, and late", "effect-late@3", -48 * time.Hour, 0, false, "two days are not waited for"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lag := 110 * time.Second
				if tt.slow {
					lag = 15 * time.Minute
				}
				w, c := clockWorld(t, simulator.Options{Faults: tt.faults, Lag: lag, Repeat: simulator.RepeatSecond})
				w.opt.Workers = 1
				ids := devices(5)
				start := time.Now()
				if tt.at == 0 {
					w.crash(ids, 3)
					c.turn(tt.turn)
					w.clock = &Clock{Wall: c.wall}
				} else {
					w.atPost(tt.at, func() { c.turn(tt.turn) })
				}
				if tt.slow {
					w.opt.Timeout = 10 * time.Minute
				}
				end := w.run(ids)
				b := w.judge(end, false)
				if calls := b.Calls[simulator.KindOffboard].Calls; end.code != CodeDone || end.counts[checkpoint.Accepted] != 5 || calls != 5 {
					t.Errorf("code %d, counts %v, %d calls, stop %v; want 0, all accepted, 5: %s", end.code, end.counts, calls, end.stop, tt.why)
				}
				if took := time.Since(start); took > 40*time.Minute {
					t.Errorf("took %v; want no more than what the settle wait takes: %s", took, tt.why)
				}
			})
		})
	}
}

// TestSuspended: a process that is suspended between its reservation and its
// sending wakes up after others have taken its call for over, and its slot with
// it. It must not send into that.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{})
		store, err := checkpoint.Open(w.path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		r, _, done, err := w.begin(t.Context(), store, listOf(devices(1)))
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		reserved := false
		c.read = func(int64) {
			switch stack := string(debug.Stack()); {
			case strings.Contains(stack, ".update."):
				reserved = true
			case reserved:
				reserved = false
				time.Sleep(15 * time.Minute)
			}
		}
		var rest []string
		for i := range 80 {
			rest = append(rest, device(fmt.Sprint("other ", i)))
		}
		other := *w
		other.req.Name, other.clock = "other", &Clock{}
		var end runEnd
		var failed error
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			end, failed = other.tryRun(t.Context(), rest)
		}()
		start := time.Now()
		late := r.offboard(t.Context(), r.ready[0])
		if slept := time.Since(start); late.err != nil || late.v.next != ready || slept < 15*time.Minute {
			t.Errorf("offboard() = %+v after %v; want the task ready to be called anew, after a quarter of an hour", late, slept)
		}
		<-ended
		if failed != nil || end.code != CodeDone {
			t.Errorf("the other runner: code %d (%v), %v; want 0", end.code, end.stop, failed)
		}
		if b := w.judge(end, false); posts(b, devices(1)[0]) != 0 {
			t.Errorf("the suspended call was sent")
		}
	})
}

// TestOverWhileTheClockStoodWrong: a call that was over without an answer while
// the clock was set back keeps its slot when the clock is right again.
func TestOverWhileTheClockStoodWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{})
		store, err := checkpoint.Open(w.path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		r, _, done, err := w.begin(t.Context(), store, listOf(devices(20)))
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		call := func(n int) error {
			a := &attempt{c: r.caller, kind: CallOffboard, intent: checkpoint.Intent{Run: r.run, N: int64(n), Device: devices(20)[n-1], Number: 1, Tag: checkpoint.Tag()}}
			if err := a.gate(t.Context(), nil); err != nil {
				return err
			}
			c.turn(-3 * time.Hour)
			defer c.turn(3 * time.Hour)
			return a.over(outcomeOf("in doubt", nil, defender.Exchange{Sent: true, At: time.Now(), Over: time.Now()}), nil)
		}
		for n := 1; n <= small[0].Limit; n++ {
			if err := call(n); err != nil {
				t.Fatalf("call %d: %v; want a slot", n, err)
			}
		}
		var no *checkpoint.NoSlot
		if err := call(small[0].Limit + 1); !errors.As(err, &no) {
			t.Errorf("call %d within the minute: %v; want no slot", small[0].Limit+1, err)
		}
	})
}

// TestLateWrite: an outcome that waits for its turn to be written does not look
// like the answer of a clock that was set.
func TestLateWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := clockWorld(t, simulator.Options{LatencyMin: 50 * time.Millisecond, LatencyMax: 500 * time.Millisecond})
		store := w.store()
		busy := make(chan error, 1)
		w.atPost(24, func() {
			go func() { busy <- store.Update(func(*checkpoint.Tx) error { time.Sleep(5 * time.Second); return nil }) }()
		})
		start := time.Now()
		end, err := w.runOn(t.Context(), store, devices(30))
		if err := errors.Join(err, <-busy); err != nil {
			t.Fatal(err)
		}
		w.judge(end, false)
		if took, ideal := time.Since(start), quota.Ideal(small, 30); end.code != CodeDone || took > ideal+time.Minute {
			t.Errorf("code %d (%v), took %v; want 0, and about the ideal %v", end.code, end.stop, took, ideal)
		}
	})
}

// TestLateRebase: where the clock was set, what others write while the history
// waits to be counted anew is not older for it.
func TestLateRebase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := clockWorld(t, simulator.Options{})
		store := w.store()
		r, _, done, err := w.begin(t.Context(), store, listOf(devices(20)))
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		e := checkpoint.Event{Kind: "outcome"}
		for n := range small[0].Limit {
			a := &attempt{c: r.caller, kind: CallOffboard, intent: checkpoint.Intent{Run: r.run, Number: n + 1}}
			if err := a.gate(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			e.Outcome = append(e.Outcome, checkpoint.Outcome{Attempt: a.id})
		}
		others := make(chan error, 1)
		go func() {
			others <- store.Update(func(tx *checkpoint.Tx) error {
				time.Sleep(30 * time.Second)
				e.At = r.clock.Now()
				if err := tx.Rebase(r.key, e.At); err != nil {
					return err
				}
				_, err := tx.Append(r.batch, e)
				return err
			})
		}()
		synctest.Wait()
		c.turn(time.Hour)
		if _, err := r.update(func(*checkpoint.Tx, moment) error { return nil }); err != nil || <-others != nil {
			t.Fatal(err)
		}
		time.Sleep(45 * time.Second)
		if v, err := store.Judge(r.opt.budget(r.key, CallOffboard), r.clock.Now); err != nil || v.Free > 0 {
			t.Errorf("Judge() = %+v, %v; want no slot within a minute of the calls", v, err)
		}
	})
}
