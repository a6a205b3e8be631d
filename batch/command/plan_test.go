package command

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"mde-offboard/batch"

	"github.com/spf13/pflag"
)

// planOf runs the command plan --json and returns what a script would read.
func (r *rig) planOf(t *testing.T, args ...string) (plan planJSON) {
	t.Helper()
	out, err := r.command(append([]string{"plan", "--json"}, args...)...).Output()
	if err != nil {
		t.Fatalf("plan %q: %v", args, err)
	}
	if err := json.Unmarshal(out, &plan); err != nil {
		t.Fatalf("plan %q wrote %s: %v", args, out, err)
	}
	return plan
}

// isOld says whether a plan says that its batch is in the checkpoint.
func isOld(p planJSON) bool { return p.New != nil && !*p.New }

// TestPlanDigest agrees to a plan by its digest: that plan is run, once, and
// nothing that differs from it.
func TestPlanDigest(t *testing.T) {
	r := newRig(t)
	r.list("list.csv", 7)
	first := r.planOf(t, "list.csv")
	if again := r.planOf(t, "list.csv"); first.Digest == "" || again.Digest != first.Digest {
		t.Fatalf("digests %q and %q of one plan; want one and the same", first.Digest, again.Digest)
	}
	for _, tc := range []struct {
		reason string
		args   []string
	}{
		{"a setting differs", []string{"--max-devices", "7"}},
		{"the inventory is left out", []string{"--no-inventory"}},
		{"another batch", []string{"--batch", "other"}},
		{"a slower rate", []string{"--per-minute", "5"}},
	} {
		out, err := r.command(append([]string{"run", "list.csv", "--plan", first.Digest}, tc.args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "as was agreed\nhint: the target, the list or a flag is another than that plan's; ") {
			t.Errorf("%s: run ended with %v; want it refused\n%s", tc.reason, err, out)
		}
	}
	if b := r.books(); b.Actions() != 0 {
		t.Errorf("%d actions after refusals; want none", b.Actions())
	}
	if out, err := r.command("run", "list.csv", "--plan", first.Digest).CombinedOutput(); err != nil {
		t.Fatalf("run --plan: %v\n%s", err, out)
	}
	if b := r.books(); b.Actions() != 7 || len(b.Doubled) != 0 {
		t.Errorf("%d actions, doubled %v; want 7 and none", b.Actions(), b.Doubled)
	}
	done := r.planOf(t, "list.csv")
	if done.Digest == first.Digest || !isOld(done) || done.ToDo != 0 || done.Done["accepted"] != 7 {
		t.Errorf("afterwards: digest %s, old %v, to do %d, done %v; want another digest and 7 accepted", done.Digest, isOld(done), done.ToDo, done.Done)
	}
}

// TestPlanDigestOfARehearsal: each rehearsal has a simulator of its own, and the plan
// of one is that of the next. What is refused is refused for what has changed.
func TestPlanDigestOfARehearsal(t *testing.T) {
	r := newRig(t)
	r.list("list.csv", 7)
	rehearse := func(what string, wantCode int, says string, more ...string) {
		t.Helper()
		code, out := exit(t, r.command(append([]string{"run", "--simulate", "list.csv"}, more...)...))
		want(t, what, code, out, wantCode, says)
	}
	digest := r.planOf(t, "--simulate", "list.csv").Digest
	rehearse("with fresh books", batch.CodeDone, "7 accepted", "--plan", digest)
	kept := []string{"--checkpoint", filepath.Join(r.dir, "kept.db")}
	rehearse("with other flags", batch.CodeStopped, "2 accepted", append(kept, "--limit", "2")...)
	rehearse("what was done since", batch.CodeUsage, "hint: target, list and flags are those of that plan; what is to be done with its devices has changed since; ", append(kept, "--plan", digest)...)
	digest = r.planOf(t, append(kept, "--simulate", "list.csv")...).Digest
	rehearse("with the books of the one before", batch.CodeDone, "7 accepted", append(kept, "--plan", digest)...)
}

// TestPlanDigestGoesOn runs a plan in parts, each by the same command, as a
// scheduler does; what was not agreed to is refused in between.
func TestPlanDigestGoesOn(t *testing.T) {
	r := newRig(t)
	r.list("list.csv", 7)
	limit := []string{"--limit", "3"}
	digest := r.planOf(t, append([]string{"list.csv"}, limit...)...).Digest
	run := func(args ...string) (string, int) {
		t.Helper()
		cmd := r.command(append([]string{"run", "list.csv", "--plan", digest}, args...)...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	for i, want := range []int{batch.CodeStopped, batch.CodeStopped} {
		if out, code := run(limit...); code != want {
			t.Fatalf("run %d ended with %d; want %d\n%s", i+1, code, want, out)
		}
	}
	r.list("list.csv", 8)
	if out, code := run(limit...); code != batch.CodeUsage || !strings.Contains(out, "as was agreed") {
		t.Errorf("a longer list ended with %d; want it refused\n%s", code, out)
	}
	r.list("list.csv", 7)
	if out, code := run("--limit", "2"); code != batch.CodeUsage || !strings.Contains(out, "as was agreed") {
		t.Errorf("another limit ended with %d; want it refused\n%s", code, out)
	}
	if out, code := run(append(limit, "--again")...); code != batch.CodeUsage {
		t.Errorf("--again ended with %d; want it refused\n%s", code, out)
	}
	for i := range 2 { // the rest, and nothing
		if out, code := run(limit...); code != batch.CodeDone {
			t.Errorf("run %d ended with %d; want 0\n%s", i+3, code, out)
		}
	}
	if b := r.books(); b.Actions() != 7 || len(b.Doubled) != 0 {
		t.Errorf("%d actions, doubled %v; want 7 and none", b.Actions(), b.Doubled)
	}
}

// TestSettings: no setting that plan shows can change behind its digest.
func TestSettings(t *testing.T) {
	of := func(args ...string) string {
		t.Helper()
		j := &job{}
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		j.addFlags(f)
		if err := errors.Join(f.Parse(args), j.check()); err != nil {
			t.Fatal(err)
		}
		return j.settings()
	}
	seen := map[string]string{of(): "nothing"}
	if of() != of("--workers", "3") {
		t.Error("the number of workers is a setting of the plan")
	}
	for _, args := range []string{"--between=22:00-06:00", "--between=22:00-06:30", "--timezone=Asia/Tokyo", "--wait", "--until=06:00", "--for=8h", "--limit=3",
		"--per-minute=5", "--per-hour=5", "--shared-budget", "--id-column=x", "--comment-column=x", "--name-column=x"} {
		got := of(args)
		if other, same := seen[got]; same {
			t.Errorf("%s gives the same settings as %s: %s", args, other, got)
		}
		seen[got] = args
	}
}

// TestPlanFields holds the fields that the help names against those that are
// written: scripts rely on both.
func TestPlanFields(t *testing.T) {
	b, err := json.Marshal(planJSON{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		found := false
		for line := range strings.Lines(planFields) {
			for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }) {
				found = found || word == name
			}
		}
		if !found {
			t.Errorf("the help does not tell of the field %q", name)
		}
	}
}

// TestPlanLeavesNoTrace has plan leave nothing in the list's folder, and no batch
// in the checkpoint.
func TestPlanLeavesNoTrace(t *testing.T) {
	r := newRig(t)
	r.list("list.csv", 3)
	r.planOf(t, "list.csv")
	files, err := filepath.Glob(filepath.Join(r.dir, "*.csv"))
	if err != nil || len(files) != 1 {
		t.Errorf("files %q, %v; want the list alone", files, err)
	}
	out, err := r.command("status").Output()
	if err != nil || strings.Contains(string(out), "list") {
		t.Errorf("status: %s, %v; want no batch", out, err)
	}
}
