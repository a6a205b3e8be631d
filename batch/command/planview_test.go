package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mde-offboard/batch"
	"mde-offboard/batch/input"
)

// TestProblemsNamedAndCounted: the first 1,000 lines that cannot be used are
// named, each with its place, and the rest is counted.
func TestProblemsNamedAndCounted(t *testing.T) {
	const bad = 1500
	var text strings.Builder
	text.WriteString("MachineId,Comment\n" + strings.Repeat("a", 40) + ",retired\n")
	for i := range bad {
		fmt.Fprintf(&text, "lap-%04d,retired\n", i)
	}
	list, err := input.NewList("list.csv", strings.NewReader(text.String()), input.Options{IDColumn: "MachineId"})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	plan, err := batch.Draft(list, "list.csv", batch.Request{Name: "list"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "said")
	said, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{Env: Env{Stderr: said}}
	a.problems(plan)
	said.Close()
	out, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "list.csv:"); n != 1000 {
		t.Errorf("%d of %d bad lines are named; want the first 1000", n, bad)
	}
	for _, want := range []string{"list.csv:3:1: \"lap-0000\"", "list.csv:1002:1: \"lap-0999\"", "… and 500 more\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("what was said lacks %q", want)
		}
	}
}
