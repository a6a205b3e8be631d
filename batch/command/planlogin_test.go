package command

import (
	"strings"
	"testing"
)

// TestPlanDigestWithoutLogin offers no digest that the run will not have: whether
// it speaks with a simulator is known after its first run.
func TestPlanDigestWithoutLogin(t *testing.T) {
	r := newRig(t)
	r.list("list.csv", 7)
	if first := r.planOf(t, "list.csv", "--no-inventory"); first.Digest != "" {
		t.Errorf("digest %s before the first run; want none, as no run will have it", first.Digest)
	}
	out, err := r.command("plan", "list.csv", "--no-inventory").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "no digest") || strings.Contains(string(out), "run --plan") {
		t.Errorf("plan before the first run: %v; want no digest offered\n%s", err, out)
	}
	code, said := exit(t, r.command("run", "list.csv", "--limit", "2"))
	want(t, "the first run", code, said, 4)
	second := r.planOf(t, "list.csv", "--no-inventory")
	if second.Digest == "" || !isOld(second) || second.Done["accepted"] != 2 {
		t.Errorf("after a run: digest %q, old %v, done %v; want a digest and 2 accepted", second.Digest, isOld(second), second.Done)
	}
	code, said = exit(t, r.command("run", "list.csv", "--no-inventory", "--plan", second.Digest))
	want(t, "the plan without a login", code, said, 0)
}
