//go:build unix

package command

import (
	"strings"
	"syscall"
	"testing"
)

// freeze stops the simulator's process, as a network stops that loses all: its
// connections stay and nothing answers. thaw lets it go on.
func (r *rig) freeze() { r.signal(syscall.SIGSTOP) }

func (r *rig) thaw() { r.signal(syscall.SIGCONT) }

func (r *rig) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.sim.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// TestDefenderGone: the server goes away in the middle of a run. It is said, it
// is tried again, and after the longest outage the run stops with 4; no device is
// marked by it and no attempt spent on it, and when the server is back the same
// command goes on.
func TestDefenderGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	ids := r.list("list.csv", 100)
	run := r.command(quickRun("list.csv", "--max-outage", "2s", "--log-level", "debug", "--log-file", "log")...)
	var out strings.Builder
	run.Stderr = &out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	r.await("log", "offboard status=20")
	r.freeze()
	if err := run.Wait(); run.ProcessState.ExitCode() != 4 {
		t.Errorf("the run without a server: %v; want code 4\n%s", err, out.String())
	}
	r.thaw()
	for id, row := range r.results("list.results.csv") {
		if s := row["Status"]; s != "accepted" && s != "pending" && s != "in-doubt" {
			t.Errorf("device %s is %s by an outage", id, s)
		}
	}
	code, text := exit(t, r.command(quickRun("list.csv")...))
	want(t, "the same command with the server back", code, text, 0)
	r.judge(ids, r.results("list.results.csv"))
}
