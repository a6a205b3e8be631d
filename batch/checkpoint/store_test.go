package checkpoint

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/quota"
)

var t0 = time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

func clock(s float64) func() time.Time { return func() time.Time { return at(s) } }

var key = Key{"commercial", "tenant", "app"}

func budget(limit int) Budget {
	return Budget{Key: key, Kind: "offboard", Windows: []quota.Window{{Limit: limit, Per: time.Minute}}}
}

// grace is that of every run of these tests.
const grace = 2 * time.Minute

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "c.db") }

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *Store) mustUpdate(t testing.TB, fn func(*Tx) error) {
	t.Helper()
	if err := s.Update(fn); err != nil {
		t.Fatal(err)
	}
}

func (s *Store) mustAppend(t testing.TB, batch int64, e Event) (seq int64) {
	t.Helper()
	s.mustUpdate(t, func(tx *Tx) (err error) {
		seq, err = tx.Append(batch, e)
		return err
	})
	return seq
}

// start makes a batch of some devices and a run in it.
func start(t testing.TB, s *Store, name string, devices ...string) (batch, run int64) {
	t.Helper()
	s.mustUpdate(t, func(tx *Tx) (err error) {
		batch, run, err = startIn(tx, name, devices...)
		return err
	})
	return batch, run
}

func startIn(tx *Tx, name string, devices ...string) (batch, run int64, err error) {
	if batch, err = tx.NewBatch(NewBatch{Name: name, Cloud: key.Cloud, Tenant: key.Tenant, Application: key.Application, Host: "https://host"}, t0); err != nil {
		return 0, 0, err
	}
	var lines []Line
	for i, d := range devices {
		lines = append(lines, Line{N: int64(i + 1), Position: int64(i + 1), File: "list.csv", Line: i + 2, Device: d})
	}
	if _, err = tx.Append(batch, Event{Kind: "lines", At: t0, Lines: lines}); err != nil {
		return 0, 0, err
	}
	run, err = tx.Append(batch, startOfRun())
	return batch, run, err
}

func startOfRun() Event {
	return Event{Kind: "run", At: t0, Start: &RunStart{What: "run", Who: "ada", Host: "ops", PID: 7, Version: "v1", Agreed: "--yes", Grace: grace.Microseconds()}}
}

// devices are n names of devices.
func devices(n int) []string {
	d := make([]string, n)
	for i := range d {
		d[i] = fmt.Sprintf("%040x", i+1)
	}
	return d
}

// reservation is a slot that was taken and when.
type reservation struct {
	Attempt int64
	At      time.Time
}

// Reserve is Tx.Reserve in a transaction of its own, its refusals among its errors.
func (s *Store) Reserve(batch int64, in Intent, b Budget, now func() time.Time) (r reservation, err error) {
	var refused error
	err = s.Update(func(tx *Tx) error {
		r.At = now()
		r.Attempt, refused, err = tx.Reserve(batch, in, b, r.At)
		return err
	})
	return r, cmp.Or(err, refused)
}

func (s *Store) reserve(batch, run, n int64, device string, b Budget, when float64) (int64, error) {
	r, err := s.Reserve(batch, Intent{Run: run, N: n, Device: device, Number: 1, Tag: Tag()}, b, clock(when))
	return r.Attempt, err
}

func (s *Store) mustReserve(t testing.TB, batch, run, n int64, device string, b Budget, when float64) int64 {
	t.Helper()
	id, err := s.reserve(batch, run, n, device, b, when)
	if err != nil {
		t.Fatalf("Reserve(%s) at %v s = %v; want a slot", device, when, err)
	}
	return id
}

func outcome(attempt, n int64, status Status, when float64) Event {
	e := Event{Kind: "outcome", At: at(when), Outcome: []Outcome{{Attempt: attempt, Over: at(when), Outcome: string(status), Status: 201}}}
	if n != 0 {
		e.Tasks = []TaskChange{{N: n, Status: status, Action: &Action{ID: "a1"}}}
	}
	return e
}

func (s *Store) mustEnd(t testing.TB, batch, attempt, n int64, status Status, when float64) {
	t.Helper()
	s.mustAppend(t, batch, outcome(attempt, n, status, when))
}

// free is how many calls may go.
func (s *Store) free(t testing.TB, b Budget, when float64) int {
	t.Helper()
	v, err := s.Judge(b, clock(when))
	if err != nil {
		t.Fatal(err)
	}
	return v.Free
}

func (s *Store) mustVerify(t testing.TB) {
	t.Helper()
	if err := s.VerifyAll(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUpdateKeepsErrorsApart(t *testing.T) {
	s := open(t, temp(t))
	batch, _ := start(t, s, "list", devices(1)...)
	own := errors.New("of one caller")
	note := func(text string, err error) func(*Tx) error {
		return func(tx *Tx) error {
			if _, e := tx.Append(batch, Event{Kind: "note", At: t0, Note: text}); e != nil {
				return e
			}
			return err
		}
	}
	// One group, as if the four had come at the same time.
	group := []*op{
		{fn: note("kept", nil), done: make(chan struct{})},
		{fn: note("undone", own), done: make(chan struct{})},
		{fn: func(tx *Tx) error { note("undone too", nil)(tx); panic("of another") }, done: make(chan struct{})},
		{fn: note("kept as well", nil), done: make(chan struct{})},
	}
	s.mustUpdate(t, func(*Tx) error { return nil })
	idle(s, func() { s.commit(group) })
	if group[0].err != nil || group[1].err != own || group[2].panicked != "of another" || group[3].err != nil {
		t.Errorf("errors of a group = %v, %v, %v, %v; want none, own, a panic, none", group[0].err, group[1].err, group[2].panicked, group[3].err)
	}
	if got, want := notes(t, s, batch), []string{"kept", "kept as well"}; !slices.Equal(got, want) {
		t.Errorf("notes = %q; want %q", got, want)
	}
	s.mustVerify(t)
}

// idle runs fn in place of the writing goroutine.
func idle(s *Store, fn func()) { s.Update(func(*Tx) error { return nil }); fn() }

func notes(t testing.TB, s *Store, batch int64) (texts []string) {
	t.Helper()
	if err := s.View(t.Context(), func(r Reader) error {
		return r.EachEvent(batch, func(_ int64, _, body string) error {
			if e := parse(t, body); e.Note != "" {
				texts = append(texts, e.Note)
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestUpdatePanicsInItsCaller(t *testing.T) {
	s := open(t, temp(t))
	func() {
		defer func() {
			if got := recover(); got != "mine" {
				t.Errorf("recover() = %v; want the panic of the function", got)
			}
		}()
		s.Update(func(*Tx) error { panic("mine") })
	}()
	if err := s.Update(func(*Tx) error { return nil }); err != nil {
		t.Errorf("Update after a panic = %v; want none", err)
	}
}

// TestGroup: those who wait while a transaction is written share the next one, and so
// one sync of the disk.
func TestGroup(t *testing.T) {
	path := temp(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var callers sync.WaitGroup
		update := func(fn func(*Tx)) {
			callers.Go(func() {
				if err := s.Update(func(tx *Tx) error { fn(tx); return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		written := make(chan struct{})
		update(func(*Tx) { <-written })
		synctest.Wait()
		transactions := map[*Tx]int{}
		for range 20 {
			update(func(tx *Tx) { transactions[tx]++ })
		}
		synctest.Wait()
		close(written)
		callers.Wait()
		if len(transactions) != 1 {
			t.Errorf("20 callers who waited had %d transactions: %v; want one", len(transactions), transactions)
		}
	})
}

func TestGroupFailsWhole(t *testing.T) {
	s := open(t, temp(t))
	batch, _ := start(t, s, "list", devices(1)...)
	group := []*op{
		{fn: func(tx *Tx) error { _, err := tx.Append(batch, Event{Kind: "note", At: t0, Note: "a"}); return err }, done: make(chan struct{})},
		{fn: func(tx *Tx) error { return fmt.Errorf("write: %w", ErrDisk) }, done: make(chan struct{})},
		{fn: func(tx *Tx) error { _, err := tx.Append(batch, Event{Kind: "note", At: t0, Note: "c"}); return err }, done: make(chan struct{})},
	}
	idle(s, func() { s.commit(group) })
	for i, o := range group {
		if !errors.Is(o.err, ErrDisk) {
			t.Errorf("operation %d of a group that met a full disk = %v; want ErrDisk", i, o.err)
		}
	}
	if got := notes(t, s, batch); got != nil {
		t.Errorf("notes = %q; want none", got)
	}
	s.mustVerify(t)
}

// TestLocked: while another process writes, a checkpoint is opened and read as
// ever. Who wants to write waits, is told why when that was for nothing, and can go on.
func TestLocked(t *testing.T) {
	path := temp(t)
	other := open(t, path)
	batch, _ := start(t, other, "list", "d1")
	tx, err := other.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	s := open(t, path)
	s.mustVerify(t)
	if _, err := s.db.Exec("PRAGMA busy_timeout(1)"); err != nil {
		t.Fatal(err)
	}
	err = s.Update(func(*Tx) error { return nil })
	if err == nil || errors.Is(err, ErrDisk) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("Update while another process writes = %v; want that it does", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	notesOf(t, s, batch, "afterwards")
	s.mustVerify(t)
}

func TestCloseWhileUpdating(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := open(t, temp(t))
		batch, _ := start(t, s, "list", devices(1)...)
		var wg sync.WaitGroup
		var mu sync.Mutex
		acknowledged := 0
		for range 8 {
			wg.Go(func() {
				for {
					err := s.Update(func(tx *Tx) error {
						_, err := tx.Append(batch, Event{Kind: "note", At: t0, Note: "x"})
						return err
					})
					if err != nil {
						if err != ErrClosed {
							t.Errorf("Update while closing = %v; want ErrClosed", err)
						}
						return
					}
					mu.Lock()
					acknowledged++
					mu.Unlock()
				}
			})
		}
		wg.Go(func() { s.Close() })
		s.Close()
		wg.Wait()
		again := open(t, s.Path())
		if got := len(notes(t, again, batch)); got != acknowledged {
			t.Fatalf("after Close the chain has %d notes; want the %d that were acknowledged", got, acknowledged)
		}
		again.Close()
	}
}

func parse(t testing.TB, body string) (e Event) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}
