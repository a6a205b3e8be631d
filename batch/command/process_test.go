package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// quick are windows, time-outs and waits that suit a test, for the program and
// the simulator alike.
var quick = []string{"--per-minute", "30", "--minute", "1s", "--per-hour", "150", "--hour", "6s"}

func quickRun(list string, more ...string) []string {
	args := append([]string{"run", list, "--yes", "--timeout", "2s", "--settle-wait", "1s"}, quick...)
	return append(args, more...)
}

// exit runs a command to its end and returns its code and what it said.
func exit(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func want(t *testing.T, what string, code int, out string, wantCode int, texts ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("%s ended with %d; want %d\n%s", what, code, wantCode, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%s did not say %q:\n%s", what, text, out)
		}
	}
}

// TestTwoRunners has two processes work on two batches of one tenant and
// application: they share the quota, and the simulator saw it kept.
func TestTwoRunners(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	all := r.list("both.csv", 200)
	for i, name := range []string{"one.csv", "two.csv"} {
		text := "MachineId,Comment\n" + strings.Join(all[i*100:(i+1)*100], ",retired\n") + ",retired\n"
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan string, 2)
	for _, name := range []string{"one.csv", "two.csv"} {
		go func() {
			cmd := r.command(quickRun(name)...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				ended <- fmt.Sprintf("%s: %v\n%s", name, err, out)
				return
			}
			ended <- ""
		}()
	}
	for range 2 {
		if failed := <-ended; failed != "" {
			t.Error(failed)
		}
	}
	results := r.results("one.results.csv")
	for id, row := range r.results("two.results.csv") {
		results[id] = row
	}
	r.judge(all, results)
	if b := r.books(); b.Throttled != 0 {
		t.Errorf("%d answers of 429; want none: the two did not share the quota", b.Throttled)
	}
}

// TestSecondRunner: the second runner of one batch leaves at once and names the
// first.
func TestSecondRunner(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	ids := r.list("list.csv", 100)
	first := r.command(quickRun("list.csv", "--log-level", "debug", "--log-file", "log", "--metrics-file", "run.prom")...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	r.await("log", "offboard status=20")
	code, out := exit(t, r.command(quickRun("list.csv", "--metrics-file", "run.prom")...))
	checkFigures(t, fileText(t, filepath.Join(r.dir, "run.prom")), `mde_offboard_running{batch="list",`+ofRig+`} 1`)
	want(t, "the second runner", code, out, 6, `another runner is at work on batch "list"`, fmt.Sprintf("process %d", first.Process.Pid))
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
	r.judge(ids, r.results("list.results.csv"))
}

// TestReaderGone: a run goes on to its end when nobody reads what it says, as with
// head; what there is to read alone ends without a word.
func TestReaderGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	ids := r.list("list.csv", 40)
	unread := func(both bool, args ...string) (code int, said string) {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		read.Close()
		defer write.Close()
		cmd, stderr := r.command(args...), &strings.Builder{}
		if cmd.Stdout, cmd.Stderr = write, stderr; both {
			cmd.Stderr = write
		}
		var e *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), stderr.String()
	}
	if code, _ := unread(true, quickRun("list.csv", "--log-level", "debug")...); code != 0 {
		t.Errorf("a run that nobody reads ended with %d; want 0", code)
	}
	r.judge(ids, r.results("list.results.csv"))
	for _, args := range [][]string{{"status"}, {"status", "list", "--json"}, {"plan", "list.csv", "--no-inventory", "--json"}, {"--help"}} {
		if code, said := unread(false, args...); code != 0 || said != "" {
			t.Errorf("%q ended with %d and said %q; want 0 and nothing", args, code, said)
		}
	}
}

// await waits until a file holds a text.
func (r *rig) await(name, text string) {
	r.t.Helper()
	for range 6000 {
		b, err := os.ReadFile(filepath.Join(r.dir, name))
		if err == nil && strings.Contains(string(b), text) {
			return
		}
		<-time.After(10 * time.Millisecond) // another process writes it, and tells nobody
	}
	r.t.Fatalf("%s: never says %q", name, text)
}

// TestDamagedCheckpoint: a checkpoint that is not what was written is named,
// and never silently started anew.
func TestDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	r.list("list.csv", 20)
	path := filepath.Join(r.dir, "checkpoint.db")
	args := quickRun("list.csv", "--checkpoint", path)
	if code, out := exit(t, r.command(args...)); code != 0 {
		t.Fatalf("code %d\n%s", code, out)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason string
		file   []byte
	}{
		{"cut to nothing", nil},
		{"cut in half", whole[:len(whole)/2]},
		{"without its last page", whole[:len(whole)-4096]},
		{"something else altogether", []byte("MachineId,Comment\n")},
	} {
		if err := os.WriteFile(path, tt.file, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out := exit(t, r.command(args...))
		want(t, tt.reason, code, out, 1, "error: ", "damaged", "hint: ")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	code, out := exit(t, r.command(args...))
	want(t, "gone", code, out, 1, "error: ", "damaged", "-head")
}
