//go:build darwin || linux

package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"mde-offboard/batch"
	"mde-offboard/batch/simulator"
)

// inhibitor puts a stand-in in the place of the system's program, which notes what it
// was told and that it was released.
func inhibitor(t *testing.T) (said string) {
	t.Helper()
	dir := t.TempDir()
	said = filepath.Join(dir, "said")
	script := "#!/bin/sh\necho \"$@\" >" + said + "\ncat\necho released >>" + said + "\n"
	for _, name := range []string{"systemd-inhibit", "caffeinate"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return said
}

func TestStayAwake(t *testing.T) {
	said := inhibitor(t)
	stayAwake()()
	if text := fileText(t, said); !strings.HasSuffix(text, "cat\nreleased\n") {
		t.Errorf("the stand-in said %q; want its arguments, and that it was released", text)
	}
	t.Setenv("PATH", t.TempDir())
	stayAwake()() // no such program, no fuss
}

// TestRunStaysAwake: the machine is kept awake for a run, and for no longer.
func TestRunStaysAwake(t *testing.T) {
	said, dir := inhibitor(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t, dir, 10, simulator.Options{})
		p.types = []string{"10"}
		awake := false
		p.thinks = func(int) { _, err := os.Stat(said); awake = err == nil }
		if err := p.a.run(p.j, []string{filepath.Join(dir, "list.csv")}); err != nil || p.a.code != batch.CodeDone || awake {
			t.Errorf("the run ended with %d, %v, and kept the machine awake for the question: %v; want 0, and that it did not", p.a.code, err, awake)
		}
	})
	if text := fileText(t, said); !strings.HasSuffix(text, "cat\nreleased\n") {
		t.Errorf("the stand-in said %q; want that a run had it, and that it was released", text)
	}
}
