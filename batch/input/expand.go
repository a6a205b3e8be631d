package input

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Expand returns the files that the patterns name, in the order of the
// patterns and sorted within each, every file once. PowerShell and cmd hand
// patterns to a program as they are typed. A pattern that is the name of a
// file stands for that file, since browsers save "devices[1].csv"; a name without
// wildcards is returned whether the file exists or not, as is "-". Where a pattern
// matches no file the error is a *NoMatch, beside the files of the others.
func Expand(patterns []string) (files []string, err error) {
	var none NoMatch
	add := func(name string) {
		name = filepath.Clean(name)
		if !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	for _, pattern := range patterns {
		if _, err := os.Stat(pattern); err == nil || !strings.ContainsAny(pattern, "*?[") {
			add(pattern)
			continue
		}
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
		matches = slices.DeleteFunc(matches, isDir)
		if len(matches) == 0 {
			if dir := filepath.Dir(pattern); !isThere(dir) {
				return nil, &NoMatch{Patterns: []string{pattern}, NoFolder: dir}
			}
			none.Patterns = append(none.Patterns, pattern)
		}
		slices.Sort(matches)
		for _, name := range matches {
			add(name)
		}
	}
	if none.Patterns != nil {
		return files, &none
	}
	return files, nil
}

// NoMatch says that patterns match no file.
type NoMatch struct {
	Patterns []string
	NoFolder string // the folder of one of them, which is not there; empty: all are
}

func (e *NoMatch) Error() string {
	text := strings.Join(e.Patterns, ", ") + ": no file matches"
	if e.NoFolder != "" {
		text += ": there is no folder " + e.NoFolder
	}
	return text
}

// isThere says whether there is a folder of that name, which may be a pattern.
func isThere(dir string) bool {
	if isDir(dir) {
		return true
	}
	dirs, err := filepath.Glob(dir)
	return err == nil && slices.ContainsFunc(dirs, isDir)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
