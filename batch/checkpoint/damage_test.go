package checkpoint

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample fills a checkpoint so that every table has rows and every column a
// value of its own.
func sample(t testing.TB, path string) *Store {
	t.Helper()
	s := open(t, path)
	for _, name := range []string{"first", "second"} {
		d := devices(3)
		if name == "second" {
			d = []string{"e1", "e2", "e3"}
		}
		batch, run := start(t, s, name, d...)
		closed, health, reason, n, later := "cancelled", "Active", "a reason", 2, at(99)
		s.mustAppend(t, batch, Event{Kind: "plan", At: t0, Plan: &Plan{List: "list.csv", ListDigest: "12ab", PlanDigest: "34cd", Columns: []string{"Owner"}, Options: `{"a":1}`},
			Lines: []Line{{N: 3, Position: 4, File: "list.csv", Line: 9, Device: d[2], Name: "lap-3", Comment: "old", Extra: []string{"Ada"}, Status: Skipped, Reason: "duplicate"}}})
		a := s.mustReserve(t, batch, run, 1, d[0], budget(9), 1)
		s.mustAppend(t, batch, Event{Kind: "outcome", At: at(2), Run: run,
			Outcome: []Outcome{{Attempt: a, Over: at(2), Outcome: "throttled", Status: 429, Code: "TooManyRequests", Message: "wait", Target: "|1", RequestID: "r-1", Date: at(2)}},
			Tasks: []TaskChange{{N: 1, Status: Failed, Reason: &reason, Attempts: &n, Tries404: &n, NotBefore: &later, DoubtSince: &later, DoubtUntil: &later, Health: &health,
				Action: &Action{"a-1", "Offboard", "Pending", "ada", "c", "u", "e"}}},
			Hold: &HoldSet{key.String(), "list", at(9), "429"}})
		s.mustReserve(t, batch, run, 2, d[1], budget(9), 10)
		s.mustAppend(t, batch, Event{Kind: "end", At: at(11), Note: "it ended", End: &RunEnd{Run: run, Why: "done", Code: 3}, Closed: &closed})
	}
	s.mustVerify(t)
	return s
}

// copyTo copies a checkpoint's files as they are.
func copyTo(t testing.TB, from, to string) {
	t.Helper()
	for _, end := range []string{"", "-wal", "-head"} {
		b, err := os.ReadFile(from + end)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// recognised opens a checkpoint and verifies it, and says what was found.
func recognised(t *testing.T, path string) error {
	s, err := Open(path)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.VerifyAll(t.Context())
}

func isNamed(err error) bool {
	var mismatch *ErrMismatch
	return errors.Is(err, ErrDamaged) || errors.As(err, &mismatch)
}

// cuts are the page boundaries of a file and some odd offsets.
func cuts(size, header, page int64) (at []int64) {
	for n := header; n < size; n += page {
		at = append(at, n, n+page/2)
	}
	at = append(at, 0, 1, 16, 31, 99, 100, 511, 512, size-1)
	return slices.DeleteFunc(at, func(n int64) bool { return n >= size })
}

func TestFileCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "c.db")
	if err := sample(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range cuts(fi.Size(), 0, 4096) {
		cut := filepath.Join(dir, fmt.Sprint(n))
		copyTo(t, path, cut)
		if err := os.Truncate(cut, n); err != nil {
			t.Fatal(err)
		}
		if err := recognised(t, cut); !isNamed(err) {
			t.Errorf("file of %d bytes cut at %d: %v; want it named", fi.Size(), n, err)
		}
	}
}

// TestLogCut cuts the log of a checkpoint that is open, as a crash of the
// machine may if the disk lies about what it wrote.
func TestLogCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "c.db")
	s := sample(t, path)
	if err := s.writeHead(true); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range cuts(fi.Size(), 32, 24+4096) {
		cut := filepath.Join(dir, fmt.Sprint(n))
		copyTo(t, path, cut)
		if err := os.Truncate(cut+"-wal", n); err != nil {
			t.Fatal(err)
		}
		if err := recognised(t, cut); !errors.Is(err, ErrDamaged) {
			t.Errorf("log of %d bytes cut at %d: %v; want ErrDamaged", fi.Size(), n, err)
		}
	}
}

// TestOtherFiles: whatever lies there, nothing is started anew over it.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why   string
		spoil func(path string) error
		want  error
		says  string
	}{
		{"an empty file", func(p string) error { return os.Truncate(p, 0) }, ErrDamaged, "empty"},
		{"something else", func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("DeviceId\n"), 999), 0o600) }, ErrDamaged, "not a database"},
		{"another program's database", func(p string) error { return errors.Join(os.Remove(p), execIn(p, "CREATE TABLE t (a)")) }, ErrDamaged, "not a checkpoint"},
		{"the file is gone", os.Remove, ErrDamaged, "c.db-head too"},
		{"the file and its head are gone, not the log", func(p string) error {
			return errors.Join(os.Remove(p), os.Remove(p+"-head"), os.WriteFile(p+"-wal", []byte("x"), 0o600))
		}, ErrDamaged, "c.db-wal"},
		{"the head cannot be read", func(p string) error { return os.WriteFile(p+"-head", []byte(`{"1":`), 0o600) }, ErrDamaged, "c.db-head"},
		{"an index is torn", func(p string) error {
			return tear(p, "SELECT rootpage FROM sqlite_master WHERE type = 'index' LIMIT 1")
		}, ErrDamaged, "c.db"},
		{"a newer program's", func(p string) error { return execIn(p, "INSERT INTO schema_version VALUES (99)") }, ErrNewer, "version 99"},
		{"no schema version", func(p string) error { return execIn(p, "DELETE FROM schema_version") }, ErrDamaged, "version"},
		{"a batch is gone", func(p string) error { return execIn(p, "DELETE FROM batch WHERE id = 1") }, ErrDamaged, "batch 1: "},
		{"an older copy that went on", func(p string) error { return execIn(p, "UPDATE event SET hash = 'x' WHERE seq = 8") }, ErrDamaged, `batch "first": event 8`},
		{"the tenant's own chain is not what it was", func(p string) error {
			return execIn(p, "UPDATE batch SET name = '' WHERE id = 1; DELETE FROM event WHERE batch = 1 AND seq = 8")
		}, ErrDamaged, "the calls of tenant tenant that serve no batch: event 8"},
		{"the last event is gone, and counted out", func(p string) error {
			return execIn(p, "DELETE FROM event WHERE batch = 1 AND seq = 8; UPDATE batch SET events = 7, head = (SELECT hash FROM event WHERE batch = 1 AND seq = 7) WHERE id = 1")
		}, ErrDamaged, `batch "first": 1 of 8 events are missing`},
	} {
		path := temp(t)
		if err := sample(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		if err := tt.spoil(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		_, err := Open(path)
		if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.says) || !strings.Contains(fmt.Sprint(err), path) {
			t.Errorf("%s: Open = %v; want %v, with %q and the path", tt.why, err, tt.want, tt.says)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s: Open changed the file", tt.why)
		}
	}
}

// execIn changes a database file behind the back of the program.
func execIn(path, query string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	_, err = db.Exec(query)
	return errors.Join(err, db.Close())
}

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
