package report

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestForeignFolder has a report written into no folder of other things.
func TestForeignFolder(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		ok        bool
	}{
		{"results.csv", "ours, left by a crash", true},
		{"manifest.json.sig", "ours", true},
		{besideName("audit.html", time.Now()), "ours, while the other one was held open", true},
		{".audit.json-123456", "ours, half written", true},
		{"." + besideName("results.csv", time.Now()) + "-99", "ours, both", true},
		{".DS_Store", "a file manager's", true},
		{".~lock.results.csv#", "an office program's", true},
		{"devices.csv", "somebody's list", false},
		{"list.results.csv", "a run's result, which is kept apart", false},
		{".results.csv", "not a name that we give", false},
		{"results.csv.bak", "somebody's", false},
		{".git" + string(filepath.Separator) + "results.csv", "a folder", false},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, tt.name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		var no *NoReport
		if err := checkFolder(dir); (err == nil) != tt.ok || err != nil && !errors.As(err, &no) {
			t.Errorf("checkFolder of a folder with %s = %v; want accepted %v (%s)", tt.name, err, tt.ok, tt.why)
		}
	}
	if err := checkFolder(filepath.Join(t.TempDir(), "new")); err != nil {
		t.Errorf("checkFolder of a folder that is not there = %v; want none", err)
	}
}
