package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestOpenPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"plain.db", "with space.db", "with #.db", "with 100%.db", "with %20.db", "with ?a=b&c.db", "größe-名前-💻.db", "a+b;c'd\"e.db", "(x)_pragma=y.db", "-c.db",
		"line\nbreak.db", "not utf-8 \xff.db",
	} {
		if runtime.GOOS == "windows" && (strings.ContainsAny(name, "?\"\n") || !utf8.ValidString(name)) {
			continue // no file there may be called so
		}
		if runtime.GOOS == "darwin" && !utf8.ValidString(name) {
			continue
		}
		dir := filepath.Join(t.TempDir(), "a "+strings.TrimSuffix(name, ".db"))
		path := filepath.Join(dir, name)
		s, err := Open(path)
		if err != nil {
			t.Errorf("Open(%q) = %v; want none", path, err)
			continue
		}
		start(t, s, "list", "d1")
		if err := s.Close(); err != nil {
			t.Errorf("Close of %q = %v; want none", path, err)
		}
		s = open(t, path)
		s.mustVerify(t)
		found, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if !strings.HasPrefix(f.Name(), name) {
				t.Errorf("Open(%q) made %q; want names that begin as the checkpoint's", path, f.Name())
			}
		}
		if len(found) < 3 {
			t.Errorf("Open(%q) made %v; want the file, its log and its lock", path, found)
		}
	}
}

func TestDSN(t *testing.T) {
	for _, tt := range []struct{ why, path, want string }{
		{"an absolute path", "/var/lib/c.db", "file:///var/lib/c.db?"},
		{"a drive letter", "C:/Users/Ada/c.db", "file:///C:/Users/Ada/c.db?"},
		{"a share", "//server/share/c.db", "file:////server/share/c.db?"},
		{"what a URI means something else by", "/a b/#?%.db", "file:///a%20b/%23%3F%25.db?"},
	} {
		if got := dsn(tt.path, "last=1"); !strings.HasPrefix(got, tt.want) || !strings.HasSuffix(got, "&last=1") {
			t.Errorf("%s: dsn(%q) = %q; want %q… and what was added", tt.why, tt.path, got, tt.want)
		}
	}
}

// TestPragmas: a pragma that is misspelt is none, and nobody says so.
func TestPragmas(t *testing.T) {
	s := open(t, temp(t))
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "fullfsync": "1", "busy_timeout": "600000", "foreign_keys": "1", "application_id": fmt.Sprint(applicationID),
	} {
		var got string
		if err := s.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("PRAGMA %s = %q, %v; want %q", pragma, got, err, want)
		}
	}
	if _, err := s.reads.Exec("DELETE FROM clock"); err == nil {
		t.Error("a connection that reads has written")
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes mean nothing on Windows")
	}
	dir := filepath.Join(t.TempDir(), "above", "state")
	s := open(t, filepath.Join(dir, "c.db"))
	start(t, s, "list", "d1")
	if err := s.KeepHead(); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"", "-wal", "-shm", "-head", "-lock"} {
		fi, err := os.Stat(s.Path() + end)
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("mode of c.db%s = %v, %v; want 0600", end, fi.Mode(), err)
		}
	}
	fi, err := os.Stat(dir)
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory = %v, %v; want 0700", fi.Mode(), err)
	}
}

func TestOpenAtTheSameTime(t *testing.T) {
	path := temp(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Update(func(tx *Tx) error { _, _, err := startIn(tx, fmt.Sprint("list ", i), "d1"); return err }); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, path)
	s.mustVerify(t)
	var n int
	if err := s.db.QueryRow("SELECT COUNT(*) FROM batch").Scan(&n); err != nil || n != 8 {
		t.Errorf("%d batches, %v; want one of each of the 8", n, err)
	}
}

// TestHeadLags: the head file may lag behind and is never ahead.
func TestHeadLags(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	batch, run := start(t, s, "list", "d1")
	if _, err := os.Stat(headFile(path)); err == nil {
		t.Error("a head was written before anybody asked for it")
	}
	if err := s.KeepHead(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(headFile(path))
	if err != nil {
		t.Fatal(err)
	}
	s.mustReserve(t, batch, run, 1, "d1", budget(1), 2)
	s.Close()
	if now, _ := os.ReadFile(headFile(path)); string(now) == string(old) {
		t.Error("Close left the head as it was; want the last event in it")
	}
	if err := os.WriteFile(headFile(path), old, 0o600); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(filepath.Dir(path), ".c.db-head-123") // by a crash
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	s.mustVerify(t)
	if _, err := os.Stat(left); err == nil {
		t.Error("what a crash left of the head is still there; want it removed")
	}
	s.Close() // it wrote nothing
	if now, _ := os.ReadFile(headFile(path)); string(now) != string(old) {
		t.Error("a store that wrote nothing wrote the head; want it left alone")
	}
}

// TestHeadHeldUp: a head file that cannot be replaced ends a run only if that
// lasts, and then with its name.
func TestHeadHeldUp(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	batch, run := start(t, s, "list", "d1")
	hold := func() {
		if err := os.MkdirAll(filepath.Join(headFile(path), "held"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	hold()
	for i := range heldUp - 1 {
		if err := s.KeepHead(); err != nil {
			t.Fatalf("KeepHead with the head file held for the %d. time = %v; want none", i+1, err)
		}
	}
	if err := os.RemoveAll(headFile(path)); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepHead(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(headFile(path)); err != nil {
		t.Errorf("the head file, when nobody holds it any more: %v", err)
	}
	os.Remove(headFile(path))
	hold()
	if err := s.KeepHead(); err != nil || s.behind.Load() > 0 {
		t.Errorf("KeepHead with nothing new = %v; want the file left alone", err)
	}
	s.mustReserve(t, batch, run, 1, "d1", budget(1), 2)
	var err error
	for i := range heldUp {
		if err != nil {
			t.Fatalf("KeepHead with the head file held again for the %d. time = %v; want none", i, err)
		}
		err = s.KeepHead()
	}
	if err == nil || errors.Is(err, ErrDisk) || !strings.Contains(err.Error(), headFile(path)) {
		t.Errorf("KeepHead with the head file held for %d times = %v; want its name, and not that the disk is full", heldUp, err)
	}
}

func TestDefaultPath(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == k {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	home, want := "/home/ada", "/home/ada/.local/state"
	switch runtime.GOOS {
	case "darwin":
		want = "/home/ada/Library/Application Support"
	case "windows": // where nothing says where the user's data is
		home, want = `C:\Users\ada`, `C:\Users\ada\.local\state`
	}
	if got := DefaultPath(env("APPDATA", filepath.Join(home, "roams")), home); got != filepath.Join(want, "mde-offboard", "checkpoint.db") {
		t.Errorf("DefaultPath = %q; want it in %q", got, want)
	}
	if got := DefaultPath(env(), ""); got != "" {
		t.Errorf("DefaultPath without a home = %q; want none", got)
	}
	local := filepath.Join(home, "AppData", "Local")
	if got := DefaultPath(env("LOCALAPPDATA", local), home); runtime.GOOS == "windows" && got != filepath.Join(local, "mde-offboard", "checkpoint.db") {
		t.Errorf("DefaultPath with LOCALAPPDATA = %q; want it in %q", got, local)
	}
	if runtime.GOOS == "linux" {
		if got := DefaultPath(env("XDG_STATE_HOME", "/s"), home); got != "/s/mde-offboard/checkpoint.db" {
			t.Errorf("DefaultPath with XDG_STATE_HOME = %q; want it there", got)
		}
	}
}
