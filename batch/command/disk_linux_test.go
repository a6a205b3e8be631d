package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// disk is a small file system of its own. grow makes it a large one.
func disk(t *testing.T, path, size string) (grow func()) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a file system of its own needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(path, 0) })
	return func() {
		if err := syscall.Mount("tmpfs", path, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk runs on file systems that fill up, that of the checkpoint and that
// of the result CSV: one clear message, code 1, nothing that was answered is lost,
// and with more space the same command goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	grow := disk(t, filepath.Join(r.dir, "disk"), "640k")
	ids := r.list("list.csv", 240)
	args := quickRun("list.csv", "--checkpoint", filepath.Join("disk", "checkpoint.db"))
	code, out := exit(t, r.command(args...))
	want(t, "a run on a full disk", code, out, 1, "error: ", "full", "hint: ")
	if n := strings.Count(out, "error: "); n != 1 {
		t.Errorf("%d messages of an error; want one\n%s", n, out)
	}
	grow()
	code, out = exit(t, r.command(args...))
	want(t, "the same command with more space", code, out, 0)
	r.judge(ids, r.results("list.results.csv"))

	grow = disk(t, filepath.Join(r.dir, "results"), "16k")
	results := filepath.Join("results", "list.csv")
	args = append(args, "--results", results)
	code, out = exit(t, r.command(args...))
	want(t, "results on a full disk", code, out, 1, "error: the result CSV could not be written: ", "no space left", "hint: nothing is lost; mde-offboard report list")
	if strings.Contains(out, "the checkpoint cannot be written") {
		t.Errorf("results on a full disk are told of as if the checkpoint were on it:\n%s", out)
	}
	if left, err := os.ReadDir(filepath.Join(r.dir, "results")); err != nil || len(left) > 0 {
		t.Errorf("on the full disk are %v, %v; want nothing left", left, err)
	}
	grow()
	code, out = exit(t, r.command(args...))
	want(t, "the same command with more space for the results", code, out, 0)
	r.judge(ids, r.results(results))
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
