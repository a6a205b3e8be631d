package command

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

var key = checkpoint.Key{Cloud: "commercial", Tenant: "t", Application: "a"}

// past puts a batch of one device into a checkpoint, as it was left then.
func past(t *testing.T, store *checkpoint.Store, name string, status checkpoint.Status, then time.Time) {
	t.Helper()
	pastOf(t, store, key, name, status, then)
}

// pastOf is past for a tenant.
func pastOf(t *testing.T, store *checkpoint.Store, key checkpoint.Key, name string, status checkpoint.Status, then time.Time) {
	t.Helper()
	err := store.Update(func(tx *checkpoint.Tx) error {
		id, err := tx.NewBatch(checkpoint.NewBatch{Name: name, Cloud: key.Cloud, Tenant: key.Tenant, Application: key.Application}, then)
		if err != nil || name == "" {
			return err
		}
		_, err = tx.Append(id, checkpoint.Event{Kind: "plan", At: then, Plan: &checkpoint.Plan{List: name + ".csv"},
			Lines: []checkpoint.Line{{N: 1, Position: 1, Line: 2, Device: strings.Repeat("a", 40), Comment: "retired", Status: status}}})
		if err != nil {
			return err
		}
		run, err := tx.Append(id, checkpoint.Event{Kind: "run", At: then, Start: &checkpoint.RunStart{What: "run"}})
		if err != nil {
			return err
		}
		_, err = tx.Append(id, checkpoint.Event{Kind: "end", At: then, Run: run, End: &checkpoint.RunEnd{Run: run, At: then, Why: "done"}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, store *checkpoint.Store) (names []string) {
	t.Helper()
	err := store.View(t.Context(), func(r checkpoint.Reader) error {
		all, err := r.Batches()
		for _, b := range all {
			names = append(names, b.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// openNowhere opens one file for all: the test of the README makes more
// executions than a process may have files.
var openNowhere = sync.OnceValues(func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_WRONLY, 0) })

// testApp is an execution of the program that says nothing.
func testApp(t *testing.T) *app {
	t.Helper()
	nowhere, err := openNowhere()
	if err != nil {
		t.Fatal(err)
	}
	return &app{Env: Env{Stdout: nowhere, Stderr: nowhere, Getenv: variables(), Context: t.Context(), Hard: t.Context(), Last: t.Context()},
		log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func TestRetire(t *testing.T) {
	dir := t.TempDir()
	store, err := checkpoint.Open(filepath.Join(dir, "checkpoint.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	long := time.Now().AddDate(0, 0, -100)
	past(t, store, "done long ago", checkpoint.Skipped, long)
	past(t, store, "pending since long ago", checkpoint.Pending, long)
	past(t, store, "in doubt since long ago", checkpoint.InDoubt, long)
	past(t, store, "done yesterday", checkpoint.Skipped, time.Now().AddDate(0, 0, -1))
	past(t, store, "this one", checkpoint.Skipped, long)
	past(t, store, "", "", long)
	pastOf(t, store, checkpoint.Key{Cloud: key.Cloud, Tenant: "another", Application: "a"}, "another tenant's", checkpoint.Skipped, long)
	pastOf(t, store, checkpoint.Key{Cloud: "gcc", Tenant: key.Tenant, Application: "a"}, "another cloud's", checkpoint.Skipped, long)

	a, j := testApp(t), &job{name: "this one"}
	s := &connected{Session: batch.Session{Store: store, Clock: &batch.Clock{}, Key: key}}
	all := names(t, store)
	a.retire(j, s)
	if got := names(t, store); !slices.Equal(got, all) {
		t.Errorf("without --retention: %q are left; want all", got)
	}
	j.retention = days(90 * 24 * time.Hour)
	unlock, err := batch.LockBatch(t.Context(), store, checkpoint.Batch{Name: "done long ago", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	a.retire(j, s)
	if got := names(t, store); !slices.Equal(got, all) {
		t.Errorf("with a runner at the prompt of the old batch: %q are left; want all", got)
	}
	unlock()
	a.retire(j, s)
	want := slices.DeleteFunc(all, func(n string) bool { return n == "done long ago" })
	if got := names(t, store); !slices.Equal(got, want) {
		t.Errorf("with --retention 90d: %q are left; want %q", got, want)
	}
	found, err := filepath.Glob(filepath.Join(dir, "forgotten", "done long ago-*", "results.csv"))
	if err != nil || len(found) != 1 {
		t.Fatalf("reports %q, %v; want that of the batch that is gone", found, err)
	}
	if _, err := report.VerifyFolder(t.Context(), filepath.Dir(found[0]), nil, nil, ""); err != nil {
		t.Errorf("the report of the batch that is gone: %v", err)
	}
}

func TestFileName(t *testing.T) {
	for name, want := range map[string]string{"list one": "list one", `a/b\c:d`: "a_b_c_d", "..": "..", "a\nb": "a_b"} {
		if got := fileName(name); got != want {
			t.Errorf("fileName(%q) = %q; want %q", name, got, want)
		}
	}
}

// TestForgetCommand forgets what is not needed any more, and nothing else.
func TestForgetCommand(t *testing.T) {
	t.Parallel()
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, path: program, env: []string{"HOME=" + dir}}
	file := filepath.Join(dir, "checkpoint.db")
	store, err := checkpoint.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().AddDate(0, 0, -100)
	past(t, store, "done", checkpoint.Skipped, long)
	past(t, store, "doubtful", checkpoint.InDoubt, long)
	store.Close()
	run := func(args ...string) (int, string) { return exit(t, r.command(append(args, "--checkpoint", file)...)) }

	code, out := run("forget", "doubtful", "--yes")
	want(t, "forgetting a batch in doubt", code, out, 2, "still needed", "in doubt", "hint: nothing was forgotten")
	code, out = run("forget", "done", "--yes")
	want(t, "forgetting a batch that is done", code, out, 0, `Forgot      batch "done"`, "done.report")
	code, out = run("forget", "done", "--yes")
	want(t, "forgetting it again", code, out, 2, "no such batch")
	code, out = exit(t, r.command("verify", "done.report"))
	want(t, "verifying what remains", code, out, 0)
}
