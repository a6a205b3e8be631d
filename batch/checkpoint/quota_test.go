package checkpoint

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mde-offboard/batch/quota"
)

func TestQuotaSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder", "c.db")
	s := open(t, path)
	d := devices(4)
	batch, run := start(t, s, "list", d...)
	for i := range 2 {
		a := s.mustReserve(t, batch, run, int64(i+1), d[i], budget(2), float64(2*i))
		s.mustEnd(t, batch, a, int64(i+1), Accepted, float64(2*i+1))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, path)
	_, err := s.reserve(batch, run, 3, d[2], budget(2), 4)
	var no *NoSlot
	free := at(61.1).Add(unseen) // as the clock may have been set by a little
	if !errors.As(err, &no) || !no.Verdict.At.Equal(free) {
		t.Fatalf("third call within the minute = %v; want no slot until %v", err, free)
	}
	s.mustReserve(t, batch, run, 3, d[2], budget(2), 61.2+unseen.Seconds())
	s.mustVerify(t)
}

func TestBudgets(t *testing.T) {
	other := Key{"commercial", "tenant", "another app"}
	list := Budget{Key: key, Kind: "list", Windows: budget(1).Windows}
	shared := func(b Budget) Budget { b.Shared = true; return b }
	for _, tt := range []struct {
		why  string
		b    Budget
		free int
	}{
		{"the same kind of call", budget(2), 1},
		{"another kind has its own budget", list, 1},
		{"a shared budget counts every kind", shared(list), 0},
		{"another application has its own quota", Budget{Key: other, Kind: "offboard", Windows: budget(2).Windows}, 2},
	} {
		s := open(t, temp(t))
		batch, run := start(t, s, "list", devices(1)...)
		if tt.b.Key == key {
			s.free(t, tt.b, 0) // so that the history is at hand and not read anew
		}
		s.mustReserve(t, batch, run, 1, devices(1)[0], budget(2), 0)
		if got := s.free(t, tt.b, 1); got != tt.free {
			t.Errorf("%s: free = %d; want %d", tt.why, got, tt.free)
		}
	}
}

// TestHistoryAtHand holds the history that is kept in memory against the one
// that another store reads from the file.
func TestHistoryAtHand(t *testing.T) {
	t.Parallel()
	hour := budget(3)
	hour.Windows = []quota.Window{{Limit: 3, Per: time.Hour}}
	for _, tt := range []struct {
		why  string
		do   func(t *testing.T, s *Store, batch, run, attempt int64)
		b    Budget
		when float64
		free int
	}{
		{"an open call has its slot", func(*testing.T, *Store, int64, int64, int64) {}, budget(3), 1, 2},
		{"a call that is over too", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustEnd(t, batch, a, 1, Accepted, 1)
		}, budget(3), 2, 2},
		{"one window later it is free", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustEnd(t, batch, a, 1, Accepted, 1)
		}, budget(3), 61.1, 3},
		{"a call that was not sent gives its slot back", func(t *testing.T, s *Store, batch, run, a int64) {
			e := outcome(a, 1, Pending, 1)
			e.Outcome[0].Unsent = true
			s.mustAppend(t, batch, e)
		}, budget(3), 2, 3},
		{"a second outcome of one call frees no second slot", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustReserve(t, batch, run, 2, devices(2)[1], budget(3), 1)
			s.mustEnd(t, batch, a, 1, InDoubt, 2)
			s.mustEnd(t, batch, a, 1, Accepted, 3)
		}, budget(3), 3 + 60.2, 2},
		{"an outcome without a time is over at its event", func(t *testing.T, s *Store, batch, run, a int64) {
			e := outcome(a, 1, Accepted, 1)
			e.Outcome[0].Over = time.Time{}
			s.mustAppend(t, batch, e)
		}, budget(3), 61.2, 3},
		{"an error undoes its intent", func(t *testing.T, s *Store, batch, run, a int64) {
			s.Update(func(tx *Tx) error {
				tx.Append(batch, Event{Kind: "intent", At: at(1), Intent: &Intent{Run: run, Key: key.String(), Kind: "offboard"}})
				return errors.New("no")
			})
		}, budget(3), 2, 2},
		{"a commit that is refused undoes its intent", func(t *testing.T, s *Store, batch, run, a int64) {
			err := s.Update(func(tx *Tx) error {
				tx.Append(batch, Event{Kind: "intent", At: at(1), Intent: &Intent{Run: run, Key: key.String(), Kind: "offboard"}})
				_, err := tx.Exec("PRAGMA defer_foreign_keys = ON; UPDATE run SET batch = 99")
				return err
			})
			if err == nil {
				t.Error("Update of a run of no batch = nil; want it refused by the commit")
			}
		}, budget(3), 2, 2},
		{"an intent that came another way counts", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustAppend(t, batch, Event{Kind: "intent", At: at(1), Intent: &Intent{Run: run, Key: key.String(), Kind: "offboard"}})
		}, budget(3), 2, 1},
		{"a longer window sees further back", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustEnd(t, batch, a, 1, Accepted, 1)
			s.free(t, budget(3), 120)
		}, hour, 121, 2},
		{"a clock that looked ahead and came back forgets nothing", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustEnd(t, batch, a, 1, Accepted, 1)
			s.free(t, budget(3), 3600)
		}, budget(3), 2, 2},
		{"a run that ended leaves its open call for its grace", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustAppend(t, batch, Event{Kind: "end", At: at(10), End: &RunEnd{Run: run}})
		}, budget(3), 10 + 120 + 60, 2},
		{"and no longer", func(t *testing.T, s *Store, batch, run, a int64) {
			s.mustAppend(t, batch, Event{Kind: "end", At: at(10), End: &RunEnd{Run: run}})
		}, budget(3), 10 + 120 + 60.2, 3},
	} {
		path := temp(t)
		s := open(t, path)
		batch, run := start(t, s, "list", devices(3)...)
		s.free(t, tt.b, 0)
		a := s.mustReserve(t, batch, run, 1, devices(1)[0], budget(3), 0)
		tt.do(t, s, batch, run, a)
		if got := s.free(t, tt.b, tt.when); got != tt.free {
			t.Errorf("%s: free at %v s = %d; want %d", tt.why, tt.when, got, tt.free)
		}
		other := open(t, path)
		other.began = s.began // of another process at work beside this one, by one clock
		if got := other.free(t, tt.b, tt.when); got != tt.free {
			t.Errorf("%s: free at %v s for another store = %d; want %d", tt.why, tt.when, got, tt.free)
		}
		s.mustVerify(t)
	}
}

// TestDeadRun: the open call of a run that died counts until it can no longer
// take effect, and for one window after that.
func TestDeadRun(t *testing.T) {
	path := temp(t)
	dead := open(t, path)
	batch, run := start(t, dead, "list", devices(2)...)
	dead.mustReserve(t, batch, run, 1, devices(1)[0], budget(1), 0)
	if err := dead.Alive(batch, run, at(5)); err != nil {
		t.Fatal(err)
	}
	dead.Close()
	for _, tt := range []struct {
		why  string
		when float64
		free int
	}{
		{"it may be alive", 30, 0},
		{"it is dead, and its call may still arrive", 36, 0},
		{"its grace is over, and the window is not", 5 + 120 + 1, 0},
		{"just before the window ends", 5 + 120 + 60, 0},
		{"the window is over, and what the clock may have been set by", 5 + 120 + 60.2 + unseen.Seconds(), 1},
	} {
		if got := open(t, path).free(t, budget(1), tt.when); got != tt.free {
			t.Errorf("%s: free at %v s = %d; want %d", tt.why, tt.when, got, tt.free)
		}
	}
	// A store that looks again and again comes to the same.
	s := open(t, path)
	for when := 6.0; when < 185; when += 20 {
		if got := s.free(t, budget(1), when); got != 0 {
			t.Fatalf("free at %v s = %d; want 0", when, got)
		}
	}
	if got := s.free(t, budget(1), 185.1); got != 1 {
		t.Errorf("free when the window is over = %d; want 1", got)
	}
}

// TestOwnRunIsNotDead: a process knows that its own calls are open, however long
// it slept with them.
func TestOwnRunIsNotDead(t *testing.T) {
	path := temp(t)
	s, other := open(t, path), open(t, path)
	batch, run := start(t, s, "list", devices(2)...)
	s.mustReserve(t, batch, run, 1, devices(1)[0], budget(1), 0)
	start(t, other, "another") // so that the history must be read anew
	for _, when := range []float64{3600, 3625, 3650} {
		if got := s.free(t, budget(1), when); got != 0 {
			t.Errorf("free at %v s with a call of ours open = %d; want 0", when, got)
		}
	}
}

// TestOthersSleptToo: when the machine wakes, another process is silent because
// it slept, and has a call in a socket's buffer.
func TestOthersSleptToo(t *testing.T) {
	path := temp(t)
	s, other := open(t, path), open(t, path)
	batch, run := start(t, other, "list", devices(1)...)
	other.mustReserve(t, batch, run, 1, devices(1)[0], budget(1), 0)
	for _, tt := range []struct {
		why  string
		when float64
		free int
	}{
		{"both are awake", 1, 0},
		{"both have just woken", 3600, 0},
		{"the other one had no time to give a sign", 3615, 0},
		{"it had", 3631, 1},
	} {
		if got := s.free(t, budget(1), tt.when); got != tt.free {
			t.Errorf("%s: free at %v s = %d; want %d", tt.why, tt.when, got, tt.free)
		}
	}
}

func TestHold(t *testing.T) {
	all := Budget{Key: key, Kind: "list", Windows: budget(10).Windows, Shared: true} // one slot is left to whoever begins
	list := Budget{Key: key, Kind: "list", Windows: budget(9).Windows}
	other := Budget{Key: Key{"commercial", "tenant", "another app"}, Kind: "offboard", Windows: budget(9).Windows}
	for _, tt := range []struct {
		why  string
		kind string
		b    Budget
		held bool
	}{
		{"the kind that is held", "offboard", budget(9), true},
		{"another kind", "offboard", list, false},
		{"another kind that shares the budget", "offboard", all, true},
		{"all kinds are held", "*", list, true},
		{"another application's quota", "*", other, false},
	} {
		path := temp(t)
		s := open(t, path)
		batch, _ := start(t, s, "list")
		s.mustAppend(t, batch, Event{Kind: "hold", At: t0, Hold: &HoldSet{key.String(), tt.kind, at(40), "429"}})
		s.mustAppend(t, batch, Event{Kind: "hold", At: t0, Hold: &HoldSet{key.String(), tt.kind, at(20), "a shorter one"}})
		for who, s := range map[string]*Store{"the store": s, "another store": open(t, path)} {
			v, err := s.Judge(tt.b, clock(39))
			if err != nil {
				t.Fatal(err)
			}
			if held := v.Free == 0 && v.Why == quota.Hold && v.At.Equal(at(40)); held != tt.held {
				t.Errorf("%s: %s judges %+v; want held: %v, until %v", tt.why, who, v, tt.held, at(40))
			}
			if got := s.free(t, tt.b, 40); got != 9 {
				t.Errorf("%s: free after the hold = %d; want 9", tt.why, got)
			}
		}
		s.mustVerify(t)
	}
}

// TestTwoStoresShareTheBudget has two stores on one file take slots as fast as
// they can, with calls of random length, and looks at the arrivals as a server
// would.
func TestTwoStoresShareTheBudget(t *testing.T) {
	t.Parallel()
	const limit, tries = 20, 300
	path := temp(t)
	b := budget(limit)
	var clock atomic.Int64
	now := func() time.Time { return t0.Add(time.Duration(clock.Add(int64(70 * time.Millisecond)))) }
	var mu sync.Mutex
	var arrivals []time.Time
	var wg sync.WaitGroup
	for i, name := range []string{"one", "two"} {
		s := open(t, path)
		batch, run := start(t, s, name)
		for w := range 4 {
			rng := rand.New(rand.NewPCG(uint64(i), uint64(w)))
			wg.Go(func() {
				for range tries {
					r, err := s.Reserve(batch, Intent{Run: run}, b, now)
					if no := (*NoSlot)(nil); errors.As(err, &no) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					over := now().Add(time.Duration(rng.Int64N(int64(time.Second))))
					arrival := r.At.Add(time.Duration(rng.Int64N(int64(over.Sub(r.At)))))
					mu.Lock()
					arrivals = append(arrivals, arrival)
					mu.Unlock()
					if err := s.Update(func(tx *Tx) error {
						_, err := tx.Append(batch, Event{Kind: "outcome", At: over, Outcome: []Outcome{{Attempt: r.Attempt, Over: over}}})
						return err
					}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	slices.SortFunc(arrivals, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
	for i := limit; i < len(arrivals); i++ {
		if d := arrivals[i].Sub(arrivals[i-limit]); d < time.Minute {
			t.Fatalf("calls %d to %d arrive within %v; want a minute or more", i-limit, i, d)
		}
	}
	if len(arrivals) < 2*limit {
		t.Errorf("%d calls went in %v; want more than one window's", len(arrivals), time.Duration(clock.Load()))
	}
	open(t, path).mustVerify(t)
}

// TestRolledBackRunIsNotOurs: the number of a run that was undone is given to
// the next one, which may be another process's and may die.
func TestRolledBackRunIsNotOurs(t *testing.T) {
	path := temp(t)
	s, other := open(t, path), open(t, path)
	batch, _ := start(t, s, "list", "d1")
	var undone int64
	no := errors.New("no")
	if err := s.Update(func(tx *Tx) (err error) {
		if undone, err = tx.Append(batch, startOfRun()); err != nil {
			return err
		}
		return no
	}); err != no {
		t.Fatal(err)
	}
	run := other.mustAppend(t, batch, startOfRun())
	if run != undone {
		t.Fatalf("run %d; want the number of the one that was undone, %d", run, undone)
	}
	other.mustReserve(t, batch, run, 1, "d1", budget(1), 0)
	other.Close()
	if got := s.free(t, budget(1), 120+60.2+unseen.Seconds()); got != 1 {
		t.Errorf("free when a dead run's call can no longer take effect = %d; want 1", got)
	}
}
