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
// file stands for that file, since browsers save "devices[1].csv"; a pattern
// that matches no file is an error; a name without wildcards is returned
// whether the file exists or not, as is "-".
func Expand(patterns []string) ([]string, error) {
	var files []string
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
			return nil, fmt.Errorf("%s: no file matches this pattern", pattern)
		}
		slices.Sort(matches)
		for _, name := range matches {
			add(name)
		}
	}
	return files, nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
