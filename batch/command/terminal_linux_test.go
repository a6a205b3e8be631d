package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// pseudoTerminal opens both ends of a new one.
func pseudoTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// TestAgree asks somebody at a terminal while standard input is something else,
// and asks nobody where there is no terminal.
func TestAgree(t *testing.T) {
	for _, tc := range []struct {
		reason   string
		terminal bool
		canary   string
		typed    string
		asked    string
		want     string
	}{
		{"the number", true, "0", "12\r", "Type 12 to offboard 12 devices of tenant contoso, anything else to leave: ", "agreed: typed 12"},
		{"the number, with spaces", true, "0", " 12 \r", "Type 12 ", "agreed: typed 12"},
		{"another number", true, "0", "13\r", "Type 12 ", "not agreed to (2)"},
		{"yes", true, "0", "yes\r", "Type 12 ", "not agreed to (2)"},
		{"nothing", true, "0", "\r", "Type 12 ", "not agreed to (2)"},
		{"the end of the input", true, "0", "\x04", "Type 12 ", "not agreed to (2)"},
		{"an interrupt", true, "0", "\x03", "Type 12 ", "not agreed to (2)"},
		{"the canary's number", true, "3", "3\r", "Type 3 to offboard the first 3 of 12 devices of tenant contoso", "agreed: typed 3"},
		{"all of them, but the question is about the canary", true, "3", "12\r", "Type 3 ", "not agreed to (2)"},
		{"no terminal", false, "0", "", "", "there is no terminal to ask on (2)"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestAgreeHelper$", "-test.v")
			cmd.Env = append(os.Environ(), "AGREE_HELPER="+tc.canary)
			cmd.Stdin = strings.NewReader("99\n99\n") // what a list might say is no answer
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			var ours *os.File
			if tc.terminal {
				var theirs *os.File
				ours, theirs = pseudoTerminal(t)
				cmd.ExtraFiles = []*os.File{theirs}
				cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, 3
			}
			out := &strings.Builder{}
			cmd.Stdout = out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if ours != nil {
				answer(t, ours, tc.asked, tc.typed)
			}
			err := cmd.Wait()
			if got := lineWith(out.String(), "answer: "); err != nil || got != tc.want {
				t.Errorf("%v: %q; want %q\n%s", err, got, tc.want, out)
			}
		})
	}
}

// answer types when the question is there.
func answer(t *testing.T, terminal *os.File, asked, typed string) {
	t.Helper()
	if err := terminal.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Logf("no deadline: %v", err)
	}
	shown, b := "", make([]byte, 1024)
	for !strings.Contains(shown, "leave: ") {
		n, err := terminal.Read(b)
		if err != nil {
			t.Fatalf("the terminal shows %q, then: %v; want %q", shown, err, asked)
		}
		shown += string(b[:n])
	}
	if !strings.Contains(shown, asked) {
		t.Errorf("the terminal shows %q; want %q", shown, asked)
	}
	if _, err := terminal.WriteString(typed); err != nil {
		t.Fatal(err)
	}
}

func lineWith(text, prefix string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// TestAgreeHelper is the process at the terminal.
func TestAgreeHelper(t *testing.T) {
	canary := os.Getenv("AGREE_HELPER")
	if canary == "" {
		return // it is run by TestAgree, in a process of its own
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	a := &app{Env: Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Context: ctx}}
	list := "MachineId\n"
	for i := range 12 {
		list += fmt.Sprintf("%040x\n", i+1)
	}
	l, err := input.NewList("list.csv", strings.NewReader(list), input.Options{})
	if err != nil {
		t.Fatal(err)
	}
	req := batch.Request{Comment: "retired"}
	fmt.Sscan(canary, &req.Canary)
	plan, err := batch.MakePlan(l, "list.csv", checkpoint.Batch{}, nil, req)
	if err != nil {
		t.Fatal(err)
	}
	how, err := a.agree(&job{}, &connected{Session: batch.Session{Key: checkpoint.Key{Tenant: "contoso"}}}, plan)
	if stop, ok := err.(*batch.Stop); ok {
		fmt.Printf("\nanswer: %s (%d)\n", stop.Why, stop.Code)
		return
	}
	fmt.Printf("\nanswer: agreed: %s\n", how)
}

// TestLive draws on a terminal what track and cancel show, with a line of text in
// between; elsewhere it writes lines, and with --quiet nothing.
func TestLive(t *testing.T) {
	t.Setenv("TERM", "xterm")
	file := func(*testing.T) (*os.File, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		return r, w
	}
	const up2, eol = "\x1b[2A\r\x1b[J", "\x1b[K\r\n"
	for _, tc := range []struct {
		reason string
		open   func(*testing.T) (ours, theirs *os.File)
		quiet  bool
		want   string
	}{
		{"a terminal", pseudoTerminal, false, "a" + eol + "b" + eol +
			up2 + "trouble\r\na" + eol + "b" + eol +
			up2 + "c" + eol + "01234567890123456789012345678" + eol +
			up2 + "end\r\n"},
		{"a pipe", file, false, "a and b\ntrouble\nc and 0123456789012345678901234567890123456789\nend\n"},
		{"a terminal, and --quiet", pseudoTerminal, true, "end\r\n"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			ours, theirs := tc.open(t)
			unix.IoctlSetWinsize(int(theirs.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 30, Row: 9}) // a pipe has none
			a := &app{Env: Env{Stderr: theirs}, global: globals{quiet: tc.quiet}}
			live := a.live(0)
			for _, frame := range [][]string{{"a", "b"}, nil, {"c", "0123456789012345678901234567890123456789"}} {
				if frame == nil {
					a.say("trouble")
					continue
				}
				live.show(frame, strings.Join(frame, " and "))
			}
			live.close()
			a.tell("end")
			got, b := "", make([]byte, 1024)
			for !strings.HasSuffix(strings.TrimSpace(got), "end") {
				n, err := ours.Read(b)
				if err != nil {
					t.Fatalf("after %q: %v", got, err)
				}
				got += string(b[:n])
			}
			if got != tc.want {
				t.Errorf("%q; want\n%q", got, tc.want)
			}
		})
	}
}
