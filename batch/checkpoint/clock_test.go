package checkpoint

import (
	"errors"
	"testing"
	"time"
)

// serverDate tells of an answer that took a second and came back at the moment
// when of the local clock, while the server's was ahead of it by offset.
func (s *Store) serverDate(t *testing.T, when, offset float64) {
	t.Helper()
	s.mustUpdate(t, func(tx *Tx) error {
		return tx.ServerDate(key, at(when-0.5+offset).Truncate(time.Second), at(when-1), at(when), at(when))
	})
}

// TestClockSet: two calls of a minute's two are over at 1 s and 3 s, the clock
// is set, and the true time is 10 s. What counts is that no slot is free before
// a minute has truly passed, and that one is free not long after.
func TestClockSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why     string
		set     float64 // by how much the clock is set forward
		between bool    // between two opens
	}{
		{"back an hour, within", -3600, false},
		{"back an hour, between", -3600, true},
		{"back a minute, within", -60, false},
		{"back a day, between", -86400, true},
		{"forward an hour, within", 3600, false},
		{"forward an hour, between", 3600, true},
		{"forward a year, between", 365 * 86400, true},
		{"not at all", 0, true},
	} {
		path := temp(t)
		s := open(t, path)
		d := devices(3)
		batch, run := start(t, s, "list", d...)
		for i := range 2 {
			a := s.mustReserve(t, batch, run, int64(i+1), d[i], budget(2), float64(2*i))
			s.serverDate(t, float64(2*i+1), 17)
			s.mustEnd(t, batch, a, int64(i+1), Accepted, float64(2*i+1))
		}
		if tt.between {
			s.Close()
			s = open(t, path)
		}
		now := 10 + tt.set
		// The first answer after it is that of a list call, whose intent has
		// stamped the time of the new clock.
		list := Budget{Key: key, Kind: "list", Windows: budget(9).Windows}
		s.mustReserve(t, batch, run, 0, "", list, now-1)
		s.serverDate(t, now, 17-tt.set)
		if got := s.free(t, budget(2), now+0.5); got != 0 {
			t.Errorf("%s: free at once = %d; want 0", tt.why, got)
		}
		if tt.set == 0 {
			if got := s.free(t, budget(2), 61.1); got != 0 {
				t.Errorf("%s: free one window after the first call = %d; want 0, as the clock may have been set by a little", tt.why, got)
			}
			if got := s.free(t, budget(2), 61.2+unseen.Seconds()); got != 1 {
				t.Errorf("%s: free one window and what goes unseen after the first call = %d; want 1", tt.why, got)
			}
			continue
		}
		if got := s.free(t, budget(2), now+59); got != 0 {
			t.Errorf("%s: free within a minute = %d; want 0", tt.why, got)
		}
		if got := s.free(t, budget(2), now+61); got != 2 {
			t.Errorf("%s: free a minute later = %d; want 2", tt.why, got)
		}
		s.mustVerify(t)
	}
}

// TestClockSetBackNoAnswer: the clock stands before the last stamp, which needs
// no server to be seen.
func TestClockSetBackNoAnswer(t *testing.T) {
	s := open(t, temp(t))
	batch, run := start(t, s, "list", "d1")
	a := s.mustReserve(t, batch, run, 1, "d1", budget(1), 0)
	s.mustEnd(t, batch, a, 1, Accepted, 1)
	if got := s.free(t, budget(1), -3600); got != 0 {
		t.Errorf("free an hour before the call = %d; want 0", got)
	}
	if got := s.free(t, budget(1), -3600+61.1); got != 1 {
		t.Errorf("free a minute after the call would have been over = %d; want 1: nobody waits for the hour to come again", got)
	}
}

func TestServerDateTolerance(t *testing.T) {
	type answer struct{ when, took, offset float64 }
	for _, tt := range []struct {
		why     string
		answers []answer
		free    int // at the time of the last answer plus one second, which is 70 s
	}{
		{"the same offset", []answer{{2, 1, 0}, {69, 1, 0}}, 1},
		{"a second more, which the Date's whole seconds hide", []answer{{2, 1, 0}, {69, 1, 1}}, 1},
		{"slewed by two seconds", []answer{{2, 1, 0}, {69, 1, 2}}, 1},
		{"set back by ten seconds", []answer{{2, 1, 0}, {69, 1, 10}}, 0},
		{"set forward by ten seconds", []answer{{2, 1, 0}, {69, 1, -10}}, 0},
		{"a slow answer does not hide a jump", []answer{{2, 1, 0}, {62, 60, 0}, {69, 1, 20}}, 0},
		{"a slow answer is not a jump", []answer{{2, 1, 0}, {62, 60, 0}, {69, 1, 0}}, 1},
		{"a drift that goes on is not a jump", []answer{{2, 1, 0}, {20, 1, 3}, {40, 1, 6}, {69, 1, 9}}, 1},
	} {
		s := open(t, temp(t))
		batch, run := start(t, s, "list", "d1")
		a := s.mustReserve(t, batch, run, 1, "d1", budget(1), 0)
		s.mustEnd(t, batch, a, 1, Accepted, 1)
		for _, an := range tt.answers {
			s.mustUpdate(t, func(tx *Tx) error {
				return tx.ServerDate(key, at(an.when-an.took/2+an.offset).Truncate(time.Second), at(an.when-an.took), at(an.when), at(an.when))
			})
		}
		if got := s.free(t, budget(1), 70); got != tt.free {
			t.Errorf("%s: free = %d; want %d", tt.why, got, tt.free)
		}
	}
}

// TestHoldIsNotStretched: time that has really passed is not taken for a clock that
// was set forward, by which a hold would last longer.
func TestHoldIsNotStretched(t *testing.T) {
	const day = 86400.0
	path := temp(t)
	s := open(t, path)
	batch, run := start(t, s, "list", "d1")
	list := Budget{Key: key, Kind: "list", Windows: budget(9).Windows}
	end := func(attempt int64, when float64, change func(*Event)) {
		e := outcome(attempt, 0, "", when)
		change(&e)
		s.mustAppend(t, batch, e)
	}
	a := s.mustReserve(t, batch, run, 0, "", list, 0)
	s.serverDate(t, 1, 17)
	end(a, 1, func(e *Event) { e.Outcome[0].Date = at(18) })
	for _, again := range []func(){
		func() { // a jump, and a minute asked for by an answer without a date
			a = s.mustReserve(t, batch, run, 0, "", list, day)
			s.mustUpdate(t, func(tx *Tx) error { return tx.Rebase(key, at(day+1)) })
			end(a, day+1, func(e *Event) { e.Hold = &HoldSet{key.String(), "*", at(day + 61), "429"} })
		},
		func() {
			s.mustReserve(t, batch, run, 0, "", list, day+120)
			s.serverDate(t, day+121, 17)
		},
	} {
		s.Close()
		s = open(t, path)
		again()
	}
	if got := s.free(t, budget(2), day+121+60.1); got == 0 {
		t.Errorf("free a minute later = 0; want some: the hold was one of a minute")
	}
}

// TestRebaseKeepsWhatIsToCome: holds and given-up calls stay as far away, in
// both directions, and a dead run's open call is not over because of a jump.
func TestRebaseKeepsWhatIsToCome(t *testing.T) {
	for _, set := range []float64{-3600, 3600} {
		s := open(t, temp(t))
		batch, run := start(t, s, "list", "d1")
		a := s.mustReserve(t, batch, run, 1, "d1", budget(1), 0)
		e := outcome(a, 1, InDoubt, 2)
		e.Outcome[0].Over = at(30) // given up: it may arrive for so long
		e.Hold = &HoldSet{key.String(), "list", at(50), "429"}
		s.mustAppend(t, batch, e)
		now := 10 + set
		s.mustUpdate(t, func(tx *Tx) error { return tx.Rebase(key, at(now)) })
		list := Budget{Key: key, Kind: "list", Windows: budget(1).Windows}
		for _, tt := range []struct {
			why   string
			b     Budget
			after float64
			free  int
		}{
			{"given up, within its window", budget(1), 30 + 60, 0},
			{"given up, after its window", budget(1), 30 + 60.2, 1},
			{"held", list, 47.9, 0},
			{"no longer held than was asked for", list, 48.1, 1},
		} {
			if got := s.free(t, tt.b, now+tt.after); got != tt.free {
				t.Errorf("clock set by %v s: %s: free %v s later = %d; want %d", set, tt.why, tt.after, got, tt.free)
			}
		}
		s.mustVerify(t)
		for _, sql := range []string{"UPDATE hold SET effective = until - 3600000001", "UPDATE attempt SET counted = over - 3600000001"} {
			if err := doctored(t, s, sql); !isNamed(err) {
				t.Errorf("clock set by %v s: %s: %v; want it named, as no clock was set back so far", set, sql, err)
			}
		}
		// A checkpoint of before that was noted has it for right as it is.
		path := s.Path()
		if err := errors.Join(s.Close(), execIn(path, "ALTER TABLE clock DROP COLUMN set_back; ALTER TABLE task DROP COLUMN withdrawn; DELETE FROM schema_version WHERE version >= 4")); err != nil {
			t.Fatal(err)
		}
		open(t, path).mustVerify(t)
	}
}

func TestRebaseAndADeadRun(t *testing.T) {
	path := temp(t)
	dead := open(t, path)
	batch, run := start(t, dead, "list", "d1")
	dead.mustReserve(t, batch, run, 1, "d1", budget(1), 0)
	dead.Close()
	s := open(t, path)
	s.mustUpdate(t, func(tx *Tx) error { return tx.Rebase(key, at(3600)) })
	for _, tt := range []struct {
		why   string
		after float64
		free  int
	}{
		{"its grace has begun anew", 100, 0},
		{"its window", 120 + 60, 0},
		{"what the clock may have been set by meanwhile", 120 + 60 + unseen.Seconds(), 0},
		{"over", 120 + 60.2 + unseen.Seconds(), 1},
	} {
		if got := open(t, path).free(t, budget(1), 3600+tt.after); got != tt.free {
			t.Errorf("%s: free %v s after the jump = %d; want %d", tt.why, tt.after, got, tt.free)
		}
	}
}

// TestRebaseOfANewStamp: an outcome that was written by the new clock before the
// jump was noticed does not hold its slot for the length of the jump.
func TestRebaseOfANewStamp(t *testing.T) {
	s := open(t, temp(t))
	batch, run := start(t, s, "list", "d1")
	a := s.mustReserve(t, batch, run, 1, "d1", budget(1), 0)
	s.mustEnd(t, batch, a, 1, Accepted, 3601)
	s.mustUpdate(t, func(tx *Tx) error { return tx.Rebase(key, at(3602)) })
	if got := s.free(t, budget(1), 3602+grace.Seconds()+60.2); got != 1 {
		t.Errorf("free a grace and a window after the jump = %d; want 1", got)
	}
}

// TestClockSetUnseen: between two opens the clock is set forward by less than a
// comparison with the server can show. No slot is free before a minute has
// truly passed since the calls were over.
func TestClockSetUnseen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why  string
		set  float64
		when float64 // true time since the last call was over
		free int
	}{
		{"by 1.9 s: a minute later by its own count", 1.9, 60.1 - 1.9, 0},
		{"by 1.9 s: just before a minute is truly over", 1.9, 60, 0},
		{"by all that goes unseen", unseen.Seconds(), 60, 0},
		{"by 1.9 s: in the end", 1.9, 60.2 + unseen.Seconds(), 2},
		{"not at all: it costs no more than that once", 0, 60.2 + unseen.Seconds(), 2},
	} {
		path := temp(t)
		s := open(t, path)
		d := devices(2)
		batch, run := start(t, s, "list", d...)
		for i := range 2 {
			s.mustEnd(t, batch, s.mustReserve(t, batch, run, int64(i+1), d[i], budget(2), 0), int64(i+1), Accepted, 1)
		}
		s.Close()
		s = open(t, path)
		if got := s.free(t, budget(2), 1+tt.when+tt.set); got != tt.free {
			t.Errorf("%s: free after %v s = %d; want %d", tt.why, tt.when, got, tt.free)
		}
		s.mustVerify(t)
	}
}

// TestSharedBudgetBegins: in a budget for all kinds of call the first one of a
// process goes at once, whatever the clock was set to since the last run, and
// the second waits until a date has shown how long ago that was.
func TestSharedBudgetBegins(t *testing.T) {
	b := budget(3)
	b.Shared = true
	for _, tt := range []struct {
		why   string
		gone  float64 // seconds since the last run
		set   float64 // by how much the clock was set forward meanwhile
		dated int     // free slots once an answer is dated
	}{
		{"a run just now", 1, 0, 0},
		{"a run of an hour ago", 3600, 0, 1},
		{"just now, and the clock was set", 1, 3600, 0},
		{"just now, and the clock was set by a day", 1, 86400, 0},
	} {
		path := temp(t)
		s := open(t, path)
		batch, run := start(t, s, "list")
		for i := range 2 {
			a := s.mustReserve(t, batch, run, 0, "", b, float64(i))
			s.serverDate(t, float64(i)+0.5, 17)
			e := outcome(a, 0, Accepted, float64(i)+0.5)
			e.Outcome[0].Date = at(float64(i) + 17)
			s.mustAppend(t, batch, e)
		}
		if got := s.free(t, b, 2); got != 0 {
			t.Errorf("%s: free for the run before = %d; want 0: the last slot is for one that begins", tt.why, got)
		}
		s.Close()
		s = open(t, path)
		now := 2 + tt.gone + tt.set
		if got := s.free(t, b, now); got != 1 {
			t.Errorf("%s: free at the beginning = %d; want 1", tt.why, got)
		}
		s.mustReserve(t, batch, run, 0, "", b, now)
		if got := open(t, path).free(t, b, now+0.1); got != 0 {
			t.Errorf("%s: free for another process that begins = %d; want 0", tt.why, got)
		}
		s.serverDate(t, now+0.2, 17-tt.set)
		if got := s.free(t, b, now+0.3); got != tt.dated {
			t.Errorf("%s: free after a date = %d; want %d", tt.why, got, tt.dated)
		}
		s.mustVerify(t)
	}
}
