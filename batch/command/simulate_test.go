package command

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVariablesQuoted: the files of variables are taken over as they are, whatever
// the folder is called.
func TestVariablesQuoted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Anna's  ‘simulator’ $HOME")
	if code, _, stderr := called(t, nil, "simulate", "--dir", dir); code != 0 {
		t.Fatalf("simulate ended with %d\n%s", code, stderr)
	}
	ca := filepath.Join(dir, "ca.pem")
	want := "$env:MDE_OFFBOARD_CA_FILE = '" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’").Replace(ca) + "'\n"
	if got := fileText(t, filepath.Join(dir, "env.ps1")); !strings.Contains(got, want) {
		t.Errorf("env.ps1 has\n%s; want %s", got, want)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("needs sh")
	}
	cmd := exec.Command(sh, "-c", `. ./env; printf %s "$MDE_OFFBOARD_CA_FILE"`)
	cmd.Dir = dir
	if got, err := cmd.CombinedOutput(); err != nil || string(got) != ca {
		t.Errorf("sh took %q over (%v); want %q", got, err, ca)
	}
}
