package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mde-offboard/batch"
	"mde-offboard/batch/input"
)

// resultsName is how result CSVs are called, those included that were written
// beside one that was held open.
var resultsName = regexp.MustCompile(`(?i)\.results(-\d{8}T\d{6}Z)?\.csv$`)

// lists are the lists that the arguments name. Result CSVs are left out, for which
// a pattern such as INBOX/*.csv takes them once a run has written one there: a
// device that has left its list would come back by them. One that is named, and
// alone, is what is meant.
//
// Where patterns match no list, the folders being there, the run of a scheduler
// has nothing to do, and the error is a *noLists. A plan of nothing is refused.
func (j *job) lists(args []string) (lists []string, note string, err error) {
	files, err := input.Expand(args)
	var none *input.NoMatch
	switch errors.As(err, &none); {
	case none != nil && none.NoFolder != "":
		return nil, "", &batch.Stop{Why: err.Error(), Hint: "make the folder, or correct its name", Code: batch.CodeUsage}
	case none != nil && j.name == "":
		return nil, "", &batch.Stop{Why: err.Error(), Hint: "correct the pattern; with --batch NAME a folder without lists is nothing to do", Code: batch.CodeUsage}
	case none != nil:
		note = err.Error()
	case err != nil:
		return nil, "", usage{err}
	}
	lists, left := leaveOutResults(files, args)
	note = strings.Join(slices.DeleteFunc([]string{note, left}, func(s string) bool { return s == "" }), "; ")
	switch {
	case len(lists) > 0:
		return lists, note, nil
	case j.name != "" && !slices.ContainsFunc(files, isNamed(args)):
		return nil, "", usage{&noLists{note}}
	}
	return nil, "", usage{errors.New("there is no list: " + note)}
}

// noLists says that there is no list where lists come from.
type noLists struct{ why string }

func (e *noLists) Error() string { return "there is no list: " + e.why }

// isNamed says of a file whether the arguments name it, and do not only match it.
func isNamed(args []string) func(file string) bool {
	return func(file string) bool {
		return slices.ContainsFunc(args, func(arg string) bool { return filepath.Clean(arg) == file })
	}
}

// leaveOutResults takes result CSVs out of several lists, and out of those that
// the arguments do not name but match.
func leaveOutResults(files, args []string) (lists []string, note string) {
	var out []string
	named := isNamed(args)
	for _, name := range files {
		if resultsName.MatchString(name) && (len(files) > 1 || !named(name)) {
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
		return hinted{fmt.Errorf("--batch %q: the result CSV and the report are called after the batch", name), "give it a name without separators and control characters, in UTF-8"}
	}
	return nil
}

// usualResults is where the result CSV of a batch goes: beside its first list, but
// not into a report folder, which would then hold a file that is none of its own.
func usualResults(list, name string) string {
	dir := filepath.Dir(list)
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err == nil {
		dir = filepath.Join(dir, "..")
	}
	return filepath.Join(dir, name+".results.csv")
}

// placeResults says where the result CSV goes.
func (j *job) placeResults(a *app) error {
	j.results = either(j.results, usualResults(j.files[0], j.name))
	if err := a.writes("--results", j.results); err != nil {
		return err
	}
	if j.planning {
		return nil
	}
	return tryFile("--results", j.results)
}

// tryFile says of a file that is written at the end whether it can be, before
// anything else is done: a file beside it can be made, as the one that becomes it.
func tryFile(flag, path string) error {
	dir := filepath.Dir(path)
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return hinted{fmt.Errorf("%s %s is a folder", flag, path), "name a file in it"}
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return fmt.Errorf("%s %s: there is no folder %s", flag, path, dir)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if err != nil {
		return hinted{fmt.Errorf("%s %s: the file cannot be made: %w", flag, path, err), "name one in a folder that may be written to"}
	}
	return nil
}
