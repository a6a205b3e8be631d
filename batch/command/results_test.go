package command

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// TestResultsAreNoLists: what earlier runs have written among the lists is no
// list, and no run writes over one or into a report folder.
func TestResultsAreNoLists(t *testing.T) {
	dir := t.TempDir()
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, filepath.FromSlash(name)))
		}
		return paths
	}
	for _, name := range in("in/a.csv", "in/b.csv", "in/night.results.csv", "in/night.results-20261122T220000Z.csv", "in/other.RESULTS.csv",
		"alone/night.results.csv", "x.report/failed.csv", "x.report/manifest.json", "in/called.results.csv/x") {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		why, batch, results string
		plans               bool
		args                []string
		lists               []string
		want                string // the result CSV
		wrong               string
		idle                bool // it is nothing to do, and not wrong
	}{
		{why: "a pattern", batch: "night", args: in("in/*.csv"), lists: in("in/a.csv", "in/b.csv"), want: "in/night.results.csv"},
		{why: "the same, by the shell", batch: "night", args: in("in/a.csv", "in/night.results.csv", "in/other.RESULTS.csv"), lists: in("in/a.csv"), want: "in/night.results.csv"},
		{why: "one file alone is what is meant", args: in("in/night.results.csv"), lists: in("in/night.results.csv"), want: "in/night.results.results.csv"},
		{why: "but not over itself", batch: "night", args: in("alone/night.results.csv"), wrong: "would be written over the list"},
		{why: "a pattern for one file is for lists", batch: "night", args: in("alone/*.csv"), wrong: "there is no list: left out, being results", idle: true},
		{why: "nothing but results", batch: "night", args: in("in/night.*"), wrong: "there is no list", idle: true},
		{why: "nothing but results, by the shell", batch: "night", args: in("in/night.results.csv", "in/other.RESULTS.csv"), wrong: "there is no list"},
		{why: "an empty folder", batch: "night", args: in("in/*.tsv"), wrong: ".tsv: no file matches", idle: true},
		{why: "an empty folder beside another", batch: "night", args: in("alone/*.tsv", "in/b.*"), lists: in("in/b.csv"), want: "in/night.results.csv"},
		{why: "an empty folder, and no batch", args: in("in/*.tsv"), wrong: "no file matches"},
		{why: "a folder that is not there", batch: "night", args: in("nowhere/*.csv"), wrong: "there is no folder"},
		{why: "a list of a report folder", args: in("x.report/failed.csv"), lists: in("x.report/failed.csv"), want: "failed.results.csv"},
		{why: "a result CSV in no folder", results: "out/night.csv", args: in("in/a.csv"), wrong: "there is no folder"},
		{why: "in a file", results: "in/b.csv/night.csv", args: in("in/a.csv"), wrong: "there is no folder"},
		{why: "that is a folder", results: "in", args: in("in/a.csv"), wrong: "is a folder"},
		{why: "that is no file by its name", batch: "called", args: in("in/a.csv"), wrong: "called.results.csv is a folder"},
		{why: "a plan writes none", plans: true, batch: "called", args: in("in/a.csv"), lists: in("in/a.csv"), want: "in/called.results.csv"},
		{why: "that cannot be made", results: "in/" + strings.Repeat("n", 250), args: in("in/a.csv"), wrong: "the file cannot be made"},
		{why: "of a batch in another folder", batch: "../night", args: in("in/a.csv"), wrong: `--batch "../night"`},
		{why: "of one by another's separator", batch: `..\night`, args: in("in/a.csv"), wrong: "--batch"},
		{why: "of one in two lines", batch: "night\n1", args: in("in/a.csv"), wrong: `--batch "night\n1"`},
		{why: "of one that is no text", batch: "n\xe4cht", args: in("in/a.csv"), wrong: `--batch "n\xe4cht"`},
		{why: "of one above", batch: "..", args: in("in/a.csv"), wrong: "--batch"},
		{why: "a name that no checkpoint can hold", args: in("in/caf\xe9.csv"), wrong: `--batch "caf\xe9"`},
		{why: "a list by its own name", results: "in/a.csv", args: in("in/a.csv"), wrong: "would be written over the list"},
	} {
		j, flags := &job{planning: tt.plans}, pflag.NewFlagSet("run", pflag.ContinueOnError)
		j.addFlags(flags) // with their defaults
		if j.name = tt.batch; tt.results != "" {
			j.results = in(tt.results)[0]
		}
		a := &app{}
		for _, list := range listsOf("run", tt.args) {
			a.needed = append(a.needed, needed{"the list", list})
		}
		err := j.prepare(a, tt.args)
		if tt.wrong != "" {
			_, idle := errors.AsType[*noLists](err)
			if err == nil || !strings.Contains(err.Error(), tt.wrong) || idle != tt.idle {
				t.Errorf("%s: %v, nothing to do: %v; want %q, %v", tt.why, err, idle, tt.wrong, tt.idle)
			}
			if code, _ := codeOf(err); code != batch.CodeUsage {
				t.Errorf("%s: code %d; want that of wrong usage, but for a run of nothing", tt.why, code)
			}
			continue
		}
		if err != nil || !slices.Equal(j.files, tt.lists) || j.results != in(tt.want)[0] {
			t.Errorf("%s: %v, lists %q, results %s; want %q, %s", tt.why, err, j.files, j.results, tt.lists, tt.want)
		}
		if left := len(j.notes) > 0; left != (len(tt.args) != len(tt.lists) || strings.Contains(tt.args[0], "*")) {
			t.Errorf("%s: notes %q", tt.why, j.notes)
		}
	}
}

// TestResultsNotWritten says how they can be had after all: from the checkpoint, if
// that stays.
func TestResultsNotWritten(t *testing.T) {
	store, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	a := testApp(t)
	a.global.checkpoint = "my.db"
	for fresh, want := range map[bool]string{false: "mde-offboard report fleet --checkpoint my.db", true: "--results FILE"} {
		j := &job{name: "fleet", results: filepath.Join(t.TempDir(), "fleet.results.csv"), fresh: fresh}
		err := a.tellResults(j, &connected{Session: batch.Session{Store: store}}, 1, 0) // there is no such batch
		if code, hint := codeOf(err); code != batch.CodeError || !strings.Contains(hint, want) || strings.Contains(hint, "report") == fresh {
			t.Errorf("fresh books %v: code %d, hint %q; want 1 and %q", fresh, code, hint, want)
		}
	}
}
