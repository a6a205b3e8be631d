package command

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// resultsName is how result CSVs are called, those included that were written
// beside one that was held open.
var resultsName = regexp.MustCompile(`(?i)\.results(-\d{8}T\d{6}Z)?\.csv$`)

// leaveOutResults takes result CSVs out of several lists, for which a pattern such
// as INBOX/*.csv takes them once a run has written one there: a device that has
// left its list would come back by them.
func leaveOutResults(files []string) (lists []string, note string) {
	var out []string
	for _, name := range files {
		if len(files) > 1 && resultsName.MatchString(name) {
			out = append(out, name)
		} else {
			lists = append(lists, name)
		}
	}
	if len(out) == 0 {
		return lists, ""
	}
	return lists, "left out, being results and no lists: " + strings.Join(out, ", ")
}

// placeResults says where the result CSV goes: beside the list, but not into a
// report folder, which would then hold a file that is none of its own.
func (j *job) placeResults() error {
	dir := filepath.Dir(j.files[0])
	if j.results == "" {
		if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err == nil {
			dir = filepath.Join(dir, "..")
		}
		j.results = filepath.Join(dir, j.name+".results.csv")
	}
	if fi, err := os.Stat(filepath.Dir(j.results)); err != nil || !fi.IsDir() {
		return fmt.Errorf("--results %s: there is no folder %s", j.results, filepath.Dir(j.results))
	}
	there, err := os.Stat(j.results)
	if err != nil {
		return nil
	}
	for _, name := range j.files {
		if list, err := os.Stat(name); err == nil && os.SameFile(list, there) {
			return fmt.Errorf("the results would be written over the list %s: give another --results", name)
		}
	}
	return nil
}
