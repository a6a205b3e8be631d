package command

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
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
	code, out = exit(t, r.command("report", "list", "--results", results, "--checkpoint", filepath.Join("disk", "checkpoint.db")))
	want(t, "report with more space for the results", code, out, 0)
	r.judge(ids, r.results(results))
	code, out = exit(t, r.command(args...))
	want(t, "the same command with more space for the results", code, out, 0)
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

// heedingModes runs a command that file modes hold for, also where root runs tests.
func heedingModes(t *testing.T, cmd *exec.Cmd) (code int, out string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with what it was denied
		for _, c := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EPERM) { // who may not needs not
				done <- err
				return
			}
		}
		code, out = exit(t, cmd)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return code, out
}

// TestReadOnlyCheckpoint has a checkpoint that may only be read: that is said, with
// what to do, and once it is done the same command goes on.
func TestReadOnlyCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	ids := r.list("list.csv", 20)
	mode := func(m os.FileMode) {
		if err := os.Chmod(filepath.Join(r.dir, "c.db"), m); err != nil {
			t.Fatal(err)
		}
	}
	args := quickRun("list.csv", "--checkpoint", "c.db")
	code, out := heedingModes(t, r.command(append(args, "--limit", "5")...))
	want(t, "a run of a part", code, out, 4)

	mode(0o400)
	code, out = heedingModes(t, r.command("status", "--checkpoint", "c.db"))
	want(t, "to look into it", code, out, 0, "5/20")
	code, out = heedingModes(t, r.command(args...))
	want(t, "a run that may not write", code, out, 1, "for want of permission", "hint: ", "let this user write the checkpoint")

	mode(0o600)
	code, out = heedingModes(t, r.command(args...))
	want(t, "the same command once it may", code, out, 0)
	r.judge(ids, r.results("list.results.csv"))
}

// TestFullDiskOfLog: a run goes on without its log, says once that it does, and when
// there is space again the log goes on with a whole line.
func TestFullDiskOfLog(t *testing.T) {
	a := testApp(t)
	dir := filepath.Join(t.TempDir(), "disk")
	grow := disk(t, dir, "8k")
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	a.Stderr, a.global = stderr, globals{logFile: filepath.Join(dir, "run.log")}
	w, err := a.logWriter(slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.(io.Closer).Close() }) // before the disk goes
	a.log = slog.New(slog.NewJSONHandler(w, nil))
	for range 100 {
		a.log.Info(logNote, "note", strings.Repeat("x", 100))
	}
	grow()
	a.log.Info(logNote, "note", "space again")
	want(t, "a log on a full disk", 0, fileText(t, stderr.Name()), 0, "warning: --log-file "+a.global.logFile+": no space left on device: records are missing from it\n")
	if n := strings.Count(fileText(t, stderr.Name()), "warning"); n != 1 {
		t.Errorf("%d warnings; want one", n)
	}
	lines := strings.Split(strings.TrimSpace(fileText(t, a.global.logFile)), "\n")
	if last := records(t, lines[len(lines)-1]); last[0]["note"] != "space again" {
		t.Errorf("the log ends with %v; want what came when there was space", last)
	}
}
