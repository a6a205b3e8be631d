package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var errUndo = errors.New("undo")

// doctored changes something in a transaction, verifies within it, and undoes
// it.
func doctored(t *testing.T, s *Store, query string, args ...any) (err error) {
	t.Helper()
	undo := s.Update(func(tx *Tx) error {
		if _, err := tx.Exec("PRAGMA defer_foreign_keys = ON"); err != nil {
			return err
		}
		res, err2 := tx.Exec(query, args...)
		if err2 != nil {
			return err2
		}
		if n, _ := res.RowsAffected(); n < 1 {
			return fmt.Errorf("%s changed nothing", query)
		}
		err = tx.verifyAll()
		return errUndo
	})
	if undo != errUndo {
		t.Fatal(undo)
	}
	return err
}

// TestEventDoctored changes each event in each of its parts.
func TestEventDoctored(t *testing.T) {
	t.Parallel()
	s := sample(t, temp(t))
	for _, e := range events(t, s) {
		for i := range len(e.body) {
			b := []byte(e.body)
			b[i] ^= 1
			if i%31 != 0 && i != len(b)-1 {
				continue
			}
			err := doctored(t, s, "UPDATE event SET body = $1 WHERE batch = $2 AND seq = $3", string(b), e.batch, e.seq)
			if !isNamed(err) || !strings.Contains(err.Error(), fmt.Sprintf("event %d ", e.seq)) {
				t.Errorf("byte %d of event %d of batch %d flipped: %v; want it named", i, e.seq, e.batch, err)
			}
		}
		for _, set := range []string{"at = at + 1", "kind = kind || 'x'", "hash = '0' || substr(hash, 2)", "hash = '1' || substr(hash, 2)", "seq = seq + 100", "batch = 3 - batch, seq = seq + 100"} {
			if strings.HasPrefix(set, "hash = '"+e.hash[:1]) {
				continue
			}
			err := doctored(t, s, "UPDATE event SET "+set+" WHERE batch = $1 AND seq = $2", e.batch, e.seq)
			if !isNamed(err) {
				t.Errorf("event %d of batch %d with %s: %v; want it named", e.seq, e.batch, set, err)
			}
		}
		err := doctored(t, s, "DELETE FROM event WHERE batch = $1 AND seq = $2", e.batch, e.seq)
		says := fmt.Sprintf("event %d is missing", e.seq)
		if e.seq == 8 {
			says = "should have 8 events" // the last one
		}
		if !isNamed(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("event %d of batch %d removed: %v; want %q", e.seq, e.batch, err, says)
		}
	}
	s.mustVerify(t)
}

// TestEventFlippedInTheFile flips one byte of each event where it lies on the
// disk.
func TestEventFlippedInTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.db")
	s := sample(t, path)
	all := events(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		// Everywhere: a page that was split still has what moved to another.
		b, there := bytes.Clone(file), []byte(e.body+e.hash)
		if !bytes.Contains(b, there) {
			t.Fatalf("event %d of batch %d is not in the file", e.seq, e.batch)
		}
		flip := bytes.Clone(there)
		flip[len(e.body)/2] ^= 4
		b = bytes.ReplaceAll(b, there, flip)
		flipped := filepath.Join(dir, "flipped.db")
		copyTo(t, path, flipped)
		if err := os.WriteFile(flipped, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := recognised(t, flipped); !isNamed(err) {
			t.Errorf("a bit of event %d of batch %d flipped in the file: %v; want it named", e.seq, e.batch, err)
		}
	}
}

// unchecked are the columns that no event says anything about.
var unchecked = map[string]string{
	"run.alive":      "a sign of life comes every few seconds and is no event",
	"hold.effective": "moves with the clock, and a later one makes a run wait",
}

// TestProjectionDoctored changes one value in every column of every table that
// events make, and removes one row of each.
func TestProjectionDoctored(t *testing.T) {
	t.Parallel()
	s := sample(t, temp(t))
	for _, table := range []string{"batch", "run", "task", "attempt", "hold"} {
		columns := columnsOf(t, s, table)
		if len(columns) < 5 {
			t.Fatalf("table %s has columns %v", table, columns)
		}
		id := "batch"
		if table == "batch" {
			id = "id"
		}
		for _, c := range columns {
			set := c.name + " = " + c.name + " || 'x'"
			if c.kind == "BIGINT" {
				set = c.name + " = " + c.name + " + 77"
			}
			err := doctored(t, s, fmt.Sprintf("UPDATE %s SET %s WHERE rowid = (SELECT MAX(rowid) FROM %s WHERE %s = 2)", table, set, table, id))
			if why := unchecked[table+"."+c.name]; why != "" {
				if err != nil {
					t.Errorf("%s.%s changed: %v; want none, as it %s", table, c.name, err, why)
				}
				continue
			}
			if !isNamed(err) || !strings.Contains(err.Error(), "table ") && !strings.Contains(err.Error(), "second") {
				t.Errorf("%s.%s changed: %v; want it named", table, c.name, err)
			}
		}
		if err := doctored(t, s, fmt.Sprintf("DELETE FROM %s WHERE rowid = (SELECT MIN(rowid) FROM %s WHERE %s = 2)", table, table, id)); !isNamed(err) {
			t.Errorf("a row of %s removed: %v; want it named", table, err)
		}
	}
	for _, tt := range []struct{ why, sql string }{
		{"the clock of a quota removed", "DELETE FROM clock"},
		{"an open call that counts as unsent", "UPDATE attempt SET counted = -1 WHERE over = 0"},
		{"an open call that counts as over", "UPDATE attempt SET counted = 1 WHERE over = 0"},
		{"a call that is over and counts as unsent", "UPDATE attempt SET counted = -1 WHERE over > 0"},
		{"a call that counts from an hour earlier", "UPDATE attempt SET counted = counted - 3600000000 WHERE counted > 1"},
		{"a call that counts from the beginning of time", "UPDATE attempt SET counted = 1 WHERE counted > 1"},
		{"a hold that ends an hour earlier", "UPDATE hold SET effective = until - 3600000000"},
		{"a hold that has no end", "UPDATE hold SET effective = 0"},
		{"a row that comes from no event", "INSERT INTO task SELECT batch, 99, position, file, line, device, name, comment, extra, status, reason, attempts, tries404, not_before, doubt_until, doubt_since, attempt, action, action_type, action_status, action_requestor, action_created, action_updated, action_error, health, taken, withdrawn FROM task WHERE batch = 1 AND n = 1"},
	} {
		if err := doctored(t, s, tt.sql); !isNamed(err) {
			t.Errorf("%s: %v; want it named", tt.why, err)
		}
	}
	s.mustVerify(t)
}

type column struct{ name, kind string }

func columnsOf(t *testing.T, s *Store, table string) (all []column) {
	t.Helper()
	if err := s.View(t.Context(), func(r Reader) (err error) {
		all, err = collect(r, "SELECT name, type FROM pragma_table_info($1)", func(row scanner) (c column, err error) {
			return c, row.Scan(&c.name, &c.kind)
		}, table)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

type storedEvent struct {
	batch, seq int64
	body, hash string
}

func events(t testing.TB, s *Store) (all []storedEvent) {
	t.Helper()
	if err := s.View(t.Context(), func(r Reader) (err error) {
		all, err = collect(r, "SELECT batch, seq, body, hash FROM event ORDER BY batch, seq", func(row scanner) (e storedEvent, err error) {
			return e, row.Scan(&e.batch, &e.seq, &e.body, &e.hash)
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestWhatCannotBeWrittenAsItIs: JSON changes some text, and the tables must
// have what the chain has.
func TestWhatCannotBeWrittenAsItIs(t *testing.T) {
	s := open(t, temp(t))
	odd := "a\xff\x00b\u2028<\r\n'\"\U0001f4bb"
	batch, run := start(t, s, odd, "d1", odd)
	s.mustAppend(t, batch, Event{Kind: odd, At: t0.In(time.FixedZone("", 3600)).Add(123), Note: odd, Plan: &Plan{List: odd, Columns: []string{}, Options: odd},
		Lines: []Line{{N: 3, Device: odd, Comment: odd, Extra: []string{}}, {N: 4, Extra: []string{odd, ""}}}})
	a := s.mustReserve(t, batch, run, 1, "d1", budget(1), 0)
	e := outcome(a, 1, Refused, 1)
	e.Outcome[0].Over, e.Outcome[0].Message = at(1).In(time.FixedZone("", -7200)).Add(999), odd
	e.Tasks[0].Action.Requestor = odd
	s.mustAppend(t, batch, e)
	s.mustVerify(t)
}

// TestAsOf: at each of its events a batch is what a checkpoint would be that had
// ended there, and a chain that is not whole is none.
func TestAsOf(t *testing.T) {
	s := sample(t, temp(t))
	asOf := func(r Reader, seq int64) error {
		b, err := r.Batch(2)
		if err != nil {
			return err
		}
		return r.AsOf(b, seq, func(then Reader) error {
			b, err := then.Batch(2)
			if err != nil || b.Events != seq {
				return fmt.Errorf("%d events: %w", b.Events, err)
			}
			same, err := r.Continues(b)
			if err != nil || !same {
				return fmt.Errorf("the chain goes on from it: %v: %w", same, err)
			}
			return then.verify(2)
		})
	}
	all := int64(0)
	if err := s.View(t.Context(), func(r Reader) error {
		b, err := r.Batch(2)
		for all = b.Events; err == nil && all > 0; all-- {
			err = asOf(r, all)
		}
		return err
	}); err != nil {
		t.Errorf("AsOf(%d): %v; want it to fit", all, err)
	}
	for why, sql := range map[string]string{
		"event 3 is missing": "DELETE FROM event WHERE batch = 2 AND seq = 3",
		"event 3 is not":     "UPDATE event SET body = body || ' ' WHERE batch = 2 AND seq = 3",
	} {
		undo := s.Update(func(tx *Tx) error {
			if _, err := tx.Exec(sql); err != nil {
				return err
			}
			if err := asOf(tx.Reader, 2); err != nil {
				t.Errorf("AsOf(2) although %s: %v; want it to fit", why, err)
			}
			for _, seq := range []int64{3, 4} {
				var no *ErrMismatch
				if err := asOf(tx.Reader, seq); !errors.As(err, &no) || !strings.Contains(no.What, why) {
					t.Errorf("AsOf(%d) = %v; want %s", seq, err, why)
				}
			}
			return errUndo
		})
		if undo != errUndo {
			t.Fatal(undo)
		}
	}
}
