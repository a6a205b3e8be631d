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
