package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
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
		"alone/night.results.csv", "x.report/failed.csv", "x.report/manifest.json") {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		why, batch, results string
		args                []string
		lists               []string
		want                string // the result CSV
		wrong               string
	}{
		{why: "a pattern", batch: "night", args: in("in/*.csv"), lists: in("in/a.csv", "in/b.csv"), want: "in/night.results.csv"},
		{why: "the same, by the shell", batch: "night", args: in("in/a.csv", "in/night.results.csv", "in/other.RESULTS.csv"), lists: in("in/a.csv"), want: "in/night.results.csv"},
		{why: "one file alone is what is meant", args: in("in/night.results.csv"), lists: in("in/night.results.csv"), want: "in/night.results.results.csv"},
		{why: "but not over itself", batch: "night", args: in("alone/*.csv"), wrong: "would be written over the list"},
		{why: "nothing but results", batch: "night", args: in("in/night.*"), wrong: "there is no list"},
		{why: "a list of a report folder", args: in("x.report/failed.csv"), lists: in("x.report/failed.csv"), want: "failed.results.csv"},
		{why: "a list by its own name", results: "in/a.csv", args: in("in/a.csv"), wrong: "would be written over the list"},
	} {
		j, flags := &job{}, pflag.NewFlagSet("run", pflag.ContinueOnError)
		j.addFlags(flags) // with their defaults
		if j.name = tt.batch; tt.results != "" {
			j.results = in(tt.results)[0]
		}
		err := j.prepare(&app{}, tt.args)
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: %v; want %q", tt.why, err, tt.wrong)
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
