package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mde-offboard/batch"
	"mde-offboard/report"
)

// TestWrongFolder tells a wrong argument from a report that does not fit.
func TestWrongFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "list.csv")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(filepath.Join(dir, "empty"), 0o700)); err != nil {
		t.Fatal(err)
	}
	a := testApp(t)
	a.Home = dir
	for _, tt := range []struct {
		why  string
		err  error
		want int
	}{
		{"verify of nothing", a.verifyFolder(filepath.Join(dir, "nosuchdir"), "", false), batch.CodeUsage},
		{"verify of a file", a.verifyFolder(file, "", false), batch.CodeUsage},
		{"verify of a folder without a manifest", a.verifyFolder(filepath.Join(dir, "empty"), "", false), batch.CodeIncomplete},
		{"verify of a checkpoint that is not there", a.verifyCheckpoint(false), batch.CodeUsage},
		{"a report into a folder of other things", notReport(fmt.Errorf("report: %w", &report.NoReport{Dir: dir, File: "list.csv"})), batch.CodeUsage},
	} {
		if got := codeIn(tt.err); tt.err == nil || got != tt.want {
			t.Errorf("%s: %v, code %d; want code %d", tt.why, tt.err, got, tt.want)
		}
	}
	if a.hasCheckpoint() {
		t.Errorf("verify made a checkpoint")
	}
}
