//go:build darwin || linux

package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStayAwake lets stayAwake find a stand-in for the system's program.
func TestStayAwake(t *testing.T) {
	dir := t.TempDir()
	said := filepath.Join(dir, "said")
	script := "#!/bin/sh\necho \"$@\" >" + said + "\ncat\necho released >>" + said + "\n"
	for _, name := range []string{"systemd-inhibit", "caffeinate"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	stayAwake()()
	b, err := os.ReadFile(said)
	if err != nil || !strings.HasSuffix(string(b), "cat\nreleased\n") {
		t.Errorf("the stand-in said %q, %v; want its arguments, and that it was released", b, err)
	}
	t.Setenv("PATH", t.TempDir())
	stayAwake()() // no such program, no fuss
}
