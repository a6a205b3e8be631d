package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
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

// checkName refuses a batch that no file can be called after, or that a screen or
// a script would not show as it is.
func checkName(name string) error {
	control := strings.ContainsFunc(name, unicode.IsControl)
	if strings.ContainsAny(name, `/\`) || control || !utf8.ValidString(name) || !filepath.IsLocal(name) {
		return fmt.Errorf("--batch %q: the result CSV and the report are called after the batch\nhint: give it a name without separators and control characters, in UTF-8", name)
	}
	return nil
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
	there, err := os.Stat(j.results)
	for _, name := range j.files {
		if list, e := os.Stat(name); err == nil && e == nil && os.SameFile(list, there) {
			return fmt.Errorf("the results would be written over the list %s: give another --results", name)
		}
	}
	switch {
	case j.planning:
		return nil
	case err == nil && there.IsDir():
		return fmt.Errorf("--results %s is a folder\nhint: name a file in it", j.results)
	}
	return j.tryResults()
}

// tryResults has the file be made that the result CSV is written to first. Before
// anything is sent: that it cannot be made is else seen when all is over.
func (j *job) tryResults() error {
	dir := filepath.Dir(j.results)
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return fmt.Errorf("--results %s: there is no folder %s", j.results, dir)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(j.results)+"-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if err != nil {
		return fmt.Errorf("--results %s: the file cannot be made: %w\nhint: name one in a folder that may be written to", j.results, err)
	}
	return nil
}
