package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk runs on a file system that fills up: one clear message, code 1,
// nothing that was answered is lost, and with more space the same command goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	disk := filepath.Join(r.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=640k"); err != nil {
		t.Skipf("a file system of its own needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, 0) })
	ids := r.list("list.csv", 240)
	args := quickRun("list.csv", "--checkpoint", filepath.Join(disk, "checkpoint.db"))
	code, out := exit(t, r.command(args...))
	want(t, "a run on a full disk", code, out, 1, "error: ", "full", "hint: ")
	if n := strings.Count(out, "error: "); n != 1 {
		t.Errorf("%d messages of an error; want one\n%s", n, out)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	code, out = exit(t, r.command(args...))
	want(t, "the same command with more space", code, out, 0)
	r.judge(ids, r.results("list.results.csv"))
}

// TestFailingDisk has the system fail a write or a sync of the real process.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	for _, fault := range []struct{ reason, inject string }{
		{"a sync that fails and then works again", "fsync,fdatasync:error=EIO:when=30"},
		{"no sync works from then on", "fsync,fdatasync:error=EIO:when=12+"},
		{"a write that fails", "pwrite64:error=EIO:when=60"},
		{"no space for a write", "pwrite64:error=ENOSPC:when=60+"},
	} {
		t.Run(fault.reason, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, quick...)
			ids := r.list("list.csv", 100)
			calls, _, _ := strings.Cut(fault.inject, ":")
			args := append([]string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + fault.inject, r.path}, quickRun("list.csv")...)
			cmd := exec.Command(strace, args...)
			cmd.Dir, cmd.Env = r.dir, r.env
			code, out := exit(t, cmd)
			want(t, "the run", code, out, 1, "error: ", "hint: ")
			code, out = exit(t, r.command(quickRun("list.csv")...))
			want(t, "the same command on a sound disk", code, out, 0)
			r.judge(ids, r.results("list.results.csv"))
		})
	}
}
