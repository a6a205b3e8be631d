package checkpoint

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullFileSystem fills a real file system.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		t.Skip("a small file system cannot be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "c.db")
	s := open(t, path)
	batch, _ := start(t, s, "list", devices(1)...)
	told := fill(t, s, batch, "first")
	if len(told) < 20 {
		t.Fatalf("%d acknowledged before the disk was full; want more", len(told))
	}
	mustHave(t, s, batch, told)
	s.Close() // the head file may not fit

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	told = append(told, notesOf(t, s, batch, "second"))
	mustHave(t, s, batch, told)
	if err := s.Close(); err != nil {
		t.Errorf("Close with space again = %v; want none", err)
	}
}

// TestOpenOnFullFileSystem: a checkpoint that cannot be made is no checkpoint,
// and can be made later.
func TestOpenOnFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Skip("a small file system cannot be mounted here: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	ballast, path := filepath.Join(dir, "ballast"), filepath.Join(dir, "c.db")
	for free := 0; free < 256; free += 8 {
		if err := os.WriteFile(ballast, bytes.Repeat([]byte("x"), (256-free)<<10), 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			s.Close()
		} else if !errors.Is(err, ErrDisk) {
			t.Errorf("Open with %d kB free = %v; want ErrDisk", free, err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	start(t, s, "list", devices(1)...)
	s.mustVerify(t)
}
