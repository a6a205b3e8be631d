package command

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

// TestVerifyOfAnotherVersion: what could not be compared is named, and is no success.
func TestVerifyOfAnotherVersion(t *testing.T) {
	a, said := testApp(t), &bytes.Buffer{}
	a.global.checkpoint, a.Stdout = filepath.Join(t.TempDir(), "checkpoint.db"), said
	store, err := a.openStore()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var id int64
	if err := store.Update(func(tx *checkpoint.Tx) (err error) {
		id, err = tx.NewBatch(checkpoint.NewBatch{Name: "fleet", Cloud: "commercial", Tenant: "t"}, time.Now())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "fleet.report")
	if _, err := report.WriteFolder(t.Context(), store, id, dir, report.FolderOptions{Program: "0.0.1"}); err != nil {
		t.Fatal(err)
	}
	page, manifest := filepath.Join(dir, "audit.html"), filepath.Join(dir, "manifest.json")
	was, now := fileText(t, page), ""
	if now = strings.Replace(was, "#fff", "#ffe", 1); now == was {
		t.Fatal("the page has no white in it")
	}
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	if err := errors.Join(os.WriteFile(page, []byte(now), 0o600),
		os.WriteFile(manifest, []byte(strings.Replace(fileText(t, manifest), sum(was), sum(now), 1)), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := a.verifyFolder(dir, "", false); err != nil || a.code != batch.CodeIncomplete || !strings.Contains(said.String(), `but for audit.html, which version "0.0.1"`) {
		t.Errorf("verify = %v, code %d, %s; want code 3, and the page named", err, a.code, said)
	}
}

// TestVerifyDamaged: what verify is there to find has its own code and a hint that
// is about verifying, and is named by the batch's name.
func TestVerifyDamaged(t *testing.T) {
	for _, tt := range []struct{ why, query, want string }{
		{"the last event deleted", "DELETE FROM event WHERE batch = 2 AND seq = 2", `batch "fleet": event 2`},
		{"the last event deleted and counted out", `DELETE FROM event WHERE batch = 2 AND seq = 2;
			UPDATE batch SET events = 1, head = (SELECT hash FROM event WHERE batch = 2 AND seq = 1) WHERE id = 2`, `batch "fleet": 1 of 2 events are missing`},
		{"the same of calls that serve no batch", "DELETE FROM event WHERE batch = 1 AND seq = 2", "the calls of tenant t-1 that serve no batch: event 2"},
		{"an event in the middle", "DELETE FROM event WHERE batch = 2 AND seq = 1", `batch "fleet": event 1 is missing`},
	} {
		a := testApp(t)
		a.global.checkpoint = filepath.Join(t.TempDir(), "checkpoint.db")
		store, err := a.openStore()
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Update(func(tx *checkpoint.Tx) error {
			for _, name := range []string{"", "fleet"} {
				id, err := tx.NewBatch(checkpoint.NewBatch{Name: name, Cloud: "commercial", Tenant: "t-1"}, time.Now())
				if err == nil {
					_, err = tx.Append(id, checkpoint.Event{Kind: "note", At: time.Now()})
				}
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", a.global.checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(tt.query)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{"verify": a.verifyCheckpoint(false), "verify DIR": a.verifyFolder(t.TempDir(), "", false)} {
			code, hint := codeOf(err)
			if name == "verify DIR" && strings.Contains(fmt.Sprint(err), "manifest.json") {
				continue // the folder comes first where the checkpoint can be opened
			}
			if code != batch.CodeIncomplete || !strings.Contains(fmt.Sprint(err), tt.want) || strings.Contains(hint, "start with another") {
				t.Errorf("%s of a checkpoint with %s: %v, hint %q, code %d; want code 3 and %s", name, tt.why, err, hint, code, tt.want)
			}
		}
	}
}

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
		{"a report into a folder of other things", notReport(fmt.Errorf("report: %w", &report.NoReport{Dir: dir, Holds: "list.csv"})), batch.CodeUsage},
	} {
		if got := codeIn(tt.err); tt.err == nil || got != tt.want {
			t.Errorf("%s: %v, code %d; want code %d", tt.why, tt.err, got, tt.want)
		}
	}
	if a.hasCheckpoint() {
		t.Errorf("verify made a checkpoint")
	}
}
