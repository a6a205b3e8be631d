package report

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mde-offboard/batch/checkpoint"
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
		{"results.csv" + string(filepath.Separator) + "mine.csv", "a folder of our name", false},
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

// TestReportOfAnother has no report written over that of another batch.
func TestReportOfAnother(t *testing.T) {
	mine := checkpoint.Batch{Name: "list", Key: checkpoint.Key{Cloud: "commercial", Tenant: "contoso"}}
	rehearsal := checkpoint.Batch{Name: "list", Key: checkpoint.Key{Cloud: "simulated", Tenant: "made up"}, Simulated: true}
	there := manifest{Batch: "list", Cloud: "commercial", TenantID: "contoso"}
	rehearsed := manifest{Batch: "list", Cloud: "simulated", TenantID: "made up", Simulated: true}
	tenant, name := there, there
	tenant.TenantID, name.Batch = "fabrikam", "other"
	for _, tt := range []struct {
		why   string
		there manifest
		b     checkpoint.Batch
		ok    bool
	}{
		{"the same batch's", there, mine, true},
		{"another tenant's of the same name", tenant, mine, false},
		{"another batch's", name, mine, false},
		{"a run's, by a rehearsal", there, rehearsal, false},
		{"a rehearsal's, by a run", rehearsed, mine, true},
		{"a rehearsal's, by a rehearsal", rehearsed, rehearsal, true},
	} {
		dir := t.TempDir()
		raw, err := json.Marshal(tt.there)
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, manifestName), raw, 0o600)); err != nil {
			t.Fatal(err)
		}
		var no *NoReport
		if err := checkOwner(dir, tt.b); (err == nil) != tt.ok || err != nil && !errors.As(err, &no) {
			t.Errorf("%s: %v; want accepted %v", tt.why, err, tt.ok)
		}
	}
	if err := checkOwner(t.TempDir(), mine); err != nil {
		t.Errorf("a folder without a manifest: %v; want none", err)
	}
}
