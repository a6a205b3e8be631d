package command

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"mde-offboard/batch"
)

// elsewhen are hours that are closed now and open in six hours.
func elsewhen() string {
	from := time.Now().UTC().Add(6 * time.Hour)
	return from.Format("15:04") + "-" + from.Add(time.Hour).Format("15:04")
}

// TestHoursOfARun plays the nights of one batch with the real program.
func TestHoursOfARun(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	r.list("list.csv", 12)
	calls := func() int {
		if all := r.books().Calls["all"]; all != nil {
			return all.Calls
		}
		return 0
	}
	closed := []string{"--between", elsewhen(), "--timezone", "UTC"}

	code, out := exit(t, r.command(quickRun("list.csv", "--between", "")...))
	want(t, "a run in hours that are empty", code, out, 2, "--between: it is empty")
	for _, name := range []string{"MDE_OFFBOARD_BETWEEN", "MDE_OFFBOARD_LIMIT"} {
		code, out = exit(t, cmdWith(r.command(quickRun("list.csv")...), name+"="))
		want(t, "a run with "+name+" set and empty", code, out, 2, name+": it is empty")
	}
	code, out = exit(t, r.command(quickRun("list.csv", closed...)...))
	want(t, "a run outside the hours", code, out, 4, "stopped: outside the allowed hours", "hint: run the same command again from ", "UTC on, or give --wait")
	if n := calls(); n != 0 {
		t.Errorf("a run outside the hours made %d calls; want none", n)
	}

	t.Run("a signal while it waits", func(t *testing.T) {
		needsSignals(t)
		for _, tt := range []struct{ format, says string }{
			{"text", "Outside the allowed hours: waiting until "},
			{"json", `"msg":"wait","batch":"list","reason":"outside the allowed hours","until":"`},
		} {
			cmd := r.command(quickRun("list.csv", append(closed, "--wait", "--log-format", tt.format)...)...)
			out := endWhenItSays(t, cmd, tt.says, syscall.SIGTERM)
			want(t, "a run that waits, after SIGTERM", cmd.ProcessState.ExitCode(), out, 4, tt.says, "interrupted")
		}
		if n := calls(); n != 0 {
			t.Errorf("a run that waits for the hours made %d calls; want none", n)
		}
	})

	code, out = exit(t, r.command(append([]string{"plan", "list.csv"}, append(quick, closed...)...)...))
	want(t, "a plan outside the hours", code, out, 0, "allowed hours), in the 1st of the allowed hours ("+closed[1]+", UTC)")

	code, out = exit(t, r.command(quickRun("list.csv", "--limit", "5", "--between", "00:00-24:00")...))
	want(t, "a run of five calls", code, out, 4, "this run makes 5 of them", "stopped: 5 calls were made, as --limit says", "5 accepted, 7 pending")

	code, out = exit(t, r.command(quickRun("list.csv")...))
	want(t, "the next run", code, out, 0, "12 accepted")

	before := calls()
	code, out = exit(t, r.command(quickRun("list.csv", closed...)...))
	want(t, "a list that is done", code, out, 0, "Nothing is left to do.")
	if n := calls() - before; n != 0 {
		t.Errorf("a list that is done made %d calls; want none", n)
	}
}

// TestServiceOfARun is the service manager of a run that waits for its hours.
func TestServiceOfARun(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	r := newRig(t, quick...)
	r.list("list.csv", 2)
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	cmd := cmdWith(r.command(quickRun("list.csv", "--between", elsewhen(), "--timezone", "UTC", "--wait")...),
		"NOTIFY_SOCKET="+path, "WATCHDOG_USEC=300000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	heard := func(begins string) {
		t.Helper()
		socket.SetReadDeadline(time.Now().Add(time.Minute)) // where it never comes
		for b := make([]byte, 1000); ; {
			n, _, err := socket.ReadFrom(b)
			if err != nil {
				t.Fatalf("no %q: %v", begins, err)
			}
			if strings.HasPrefix(string(b[:n]), begins) {
				return
			}
		}
	}
	heard("READY=1")
	heard("STATUS=batch list: waiting: outside the allowed hours until ")
	for range 3 {
		heard("WATCHDOG=1")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	heard("STOPPING=1")
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != batch.CodeStopped {
		t.Errorf("the service ended with %d; want 4", code)
	}
}

// TestInterruptedWhileReading: before anything is sent the first signal ends a
// command, also one that waits for a list of which nothing more comes.
func TestInterruptedWhileReading(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	r := newRig(t, quick...)
	for _, tt := range []struct {
		args []string
		hint string
	}{
		{quickRun("-", "--batch", "piped"), "hint: the same command goes on; nothing was sent"},
		{[]string{"resolve", "-"}, "hint: the same command goes on\n"},
	} {
		args := tt.args
		cmd := r.command(args...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// More than a pipe holds: when all is written, most has been read.
		if _, err := io.WriteString(in, strings.Repeat("MachineId,Comment\n", 20_000)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		want(t, strings.Join(args[:2], " ")+" after SIGTERM", cmd.ProcessState.ExitCode(), out.String(), 4, "stopped: interrupted", tt.hint)
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, "mde-offboard-list-*")); err != nil || len(left) > 0 {
		t.Errorf("what was read is still there: %q, %v", left, err)
	}
}

// needsSignals skips a test where a process can be sent no signal but a kill.
func needsSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("on Windows no process can be sent the signals of a service manager")
	}
}

// endWhenItSays sends a signal to a process when it has said something, and
// returns all that it said.
func endWhenItSays(t *testing.T, cmd *exec.Cmd, what string, s syscall.Signal) string {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), what) {
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait() // its code is looked at by the caller
	return out.String()
}
