package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestOpenThroughLinks has one file be one checkpoint under all its names: its
// locks are named after the path.
func TestOpenThroughLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	link := func(to, from string) string {
		from = filepath.Join(dir, from)
		if err := os.Symlink(to, from); err != nil {
			t.Skip("links cannot be made here:", err)
		}
		return from
	}
	want := open(t, filepath.Join(real, "c.db")).Path()
	for _, tt := range []struct{ reason, path string }{
		{"a linked directory", filepath.Join(link(real, "dir"), "c.db")},
		{"a linked file", link(filepath.Join(real, "c.db"), "file.db")},
		{"a link to a link", link(filepath.Join(dir, "file.db"), "again.db")},
	} {
		if got := open(t, tt.path).Path(); got != want {
			t.Errorf("%s: Open(%s).Path() = %s; want %s", tt.reason, tt.path, got, want)
		}
	}
	if got, want := open(t, filepath.Join(dir, "dir", "new.db")).Path(), filepath.Join(filepath.Dir(want), "new.db"); got != want {
		t.Errorf("Path() of a new one in a linked directory = %s; want %s", got, want)
	}
	if _, err := Open(link(filepath.Join(dir, "gone", "c.db"), "nowhere.db")); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open of a link to nothing = %v; want ErrDamaged, and no new checkpoint in its place", err)
	}
}
