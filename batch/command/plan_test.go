package command

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
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
	} {
		out, err := r.command(append([]string{"run", "list.csv", "--plan", first.Digest}, tc.args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "as was agreed") {
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
	if done.Digest == first.Digest || done.New || done.ToDo != 0 || done.Done["accepted"] != 7 {
		t.Errorf("afterwards: digest %s, new %v, to do %d, done %v; want another digest and 7 accepted", done.Digest, done.New, done.ToDo, done.Done)
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
