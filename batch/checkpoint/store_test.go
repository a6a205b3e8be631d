package checkpoint

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"mde-offboard/batch/quota"
)

var t0 = time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

var key = Key{"commercial", "tenant", "app"}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// start makes a batch of n devices and a run in it.
func start(t *testing.T, s *Store, name string, devices ...string) (batch, run int64) {
	t.Helper()
	if err := s.Update(func(tx *Tx) (err error) {
		if batch, err = tx.NewBatch(NewBatch{Name: name, Cloud: key.Cloud, Tenant: key.Tenant, Application: key.Application}, t0); err != nil {
			return err
		}
		var lines []Line
		for i, d := range devices {
			lines = append(lines, Line{N: int64(i + 1), Position: int64(i + 1), Line: i + 2, Device: d})
		}
		if _, err = tx.Append(batch, Event{Kind: "lines", At: t0, Lines: lines}); err != nil {
			return err
		}
		run, err = tx.Append(batch, Event{Kind: "run", At: t0, Start: &RunStart{What: "run", Grace: (2 * time.Minute).Microseconds()}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return batch, run
}

func budget(limit int) Budget {
	return Budget{Key: key, Kind: "offboard", Windows: []quota.Window{{Limit: limit, Per: time.Minute}}}
}

func clock(s float64) func() time.Time { return func() time.Time { return at(s) } }

func (s *Store) mustReserve(t *testing.T, batch, run, n int64, device string, b Budget, when float64) int64 {
	t.Helper()
	r, err := s.Reserve(batch, Intent{Run: run, N: n, Device: device, Number: 1, Tag: Tag()}, b, clock(when))
	if err != nil {
		t.Fatal(err)
	}
	return r.Attempt
}

func (s *Store) mustEnd(t *testing.T, batch, attempt, n int64, status Status, when float64) {
	t.Helper()
	if err := s.Update(func(tx *Tx) error {
		_, err := tx.Append(batch, Event{Kind: "outcome", At: at(when),
			Outcome: []Outcome{{Attempt: attempt, Over: at(when), Outcome: string(status), Status: 201}},
			Tasks:   []TaskChange{{N: n, Status: status, Action: &Action{ID: "a1"}}}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestQuotaSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder", "checkpoint #1%.db")
	s := open(t, path)
	batch, run := start(t, s, "list", "d1", "d2", "d3")
	a := s.mustReserve(t, batch, run, 1, "d1", budget(2), 0)
	s.mustEnd(t, batch, a, 1, Accepted, 1)
	a = s.mustReserve(t, batch, run, 2, "d2", budget(2), 2)
	s.mustEnd(t, batch, a, 2, Accepted, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, path)
	_, err := s.Reserve(batch, Intent{Run: run, N: 3, Device: "d3"}, budget(2), clock(4))
	var no *NoSlot
	if !errors.As(err, &no) || !no.Verdict.At.Equal(at(61.1)) {
		t.Fatalf("third call within the minute = %v; want no slot until %v", err, at(61.1))
	}
	s.mustReserve(t, batch, run, 3, "d3", budget(2), 61.1)
	if err := s.Verify(t.Context(), batch); err != nil {
		t.Error(err)
	}
}

func TestDeviceElsewhere(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "c.db"))
	b1, r1 := start(t, s, "one", "d1")
	b2, r2 := start(t, s, "two", "d1")
	a := s.mustReserve(t, b1, r1, 1, "d1", budget(9), 0)
	var busy *Busy
	if _, err := s.Reserve(b2, Intent{Run: r2, N: 1, Device: "d1"}, budget(9), clock(1)); !errors.As(err, &busy) || busy.Status != Sending {
		t.Errorf("a device in flight elsewhere: %v; want busy, sending", err)
	}
	s.mustEnd(t, b1, a, 1, Accepted, 2)
	if _, err := s.Reserve(b2, Intent{Run: r2, N: 1, Device: "d1"}, budget(9), clock(3)); !errors.As(err, &busy) || busy.Status != Accepted || busy.Action.ID != "a1" {
		t.Errorf("a device accepted elsewhere: %v; want busy, accepted, with its action", err)
	}
}
