package command

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// A file that a command writes replaces what was there, and the log is appended to
// it: a slip of the hand would cost a list, or the checkpoint with all that it
// remembers of the quota.

// The flags that name files which are read, and those which are written, that of the
// log first.
var (
	readBy    = []string{"protect", "only", "inventory", "notify-file", "ca-file", "key"}
	writtenBy = []string{"log-file", "metrics-file", "results", "output", "books"}
)

// needed is a file and what the command needs it for.
type needed struct{ what, path string }

// apart refuses to write a file that the command needs for something else. It is
// asked before the log is open, and so before anything is written.
func (a *app) apart(cmd *cobra.Command, args []string) error {
	a.needed = a.read(cmd, args)
	for _, name := range writtenBy {
		if f := cmd.Flags().Lookup(name); f != nil && f.Value.String() != "" {
			if err := a.writes("--"+name, f.Value.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// writes notes a file that a flag has the command write, unless it is needed.
func (a *app) writes(flag, path string) error {
	for _, n := range a.needed {
		if n.what != flag && sameFile(n.path, path) {
			return usage{hinted{fmt.Errorf("%s %s would be written over %s %s", flag, path, n.what, n.path), "name another file: " + flag + " FILE"}}
		}
	}
	a.needed = append(a.needed, needed{flag, path})
	return nil
}

// read are the files that a command reads, as far as its command line tells, and the
// results that it leaves.
func (a *app) read(cmd *cobra.Command, args []string) (files []needed) {
	add := func(what string, paths ...string) {
		for _, path := range paths {
			files = append(files, needed{what, path})
		}
	}
	add("the checkpoint", checkpoint.Files(a.checkpointPath())...)
	lists := listsOf(cmd.Name(), args)
	add("the list", lists...)
	add("--results", resultsOf(cmd, lists)...)
	for _, name := range readBy {
		if f := cmd.Flags().Lookup(name); f != nil {
			add("--"+name, namedBy(f)...)
		}
	}
	return files
}

// resultsOf is where a command leaves the result CSV, or an earlier one has left it,
// which figures and a log are not to be written over either.
func resultsOf(cmd *cobra.Command, lists []string) []string {
	value := func(flag string) string {
		if f := cmd.Flags().Lookup(flag); f != nil {
			return f.Value.String()
		}
		return ""
	}
	if path := value("results"); path != "" {
		return []string{path}
	}
	name, _, err := batch.Named(lists, value("batch"))
	if err != nil || len(lists) == 0 {
		return nil
	}
	return []string{usualResults(lists[0], name)}
}

// namedBy are the files that a flag names, by patterns too.
func namedBy(f *pflag.Flag) (files []string) {
	values := []string{f.Value.String()}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	} else if f.Value.Type() != "string" || values[0] == "" { // --inventory of track is none
		return nil
	}
	files, _ = input.Expand(values)
	return files
}

// listsOf are the lists among the arguments of a command. What is wrong with them
// is told where they are read.
func listsOf(command string, args []string) []string {
	if !slices.Contains([]string{"run", "plan", "resolve"}, command) {
		return nil
	}
	files, _ := input.Expand(args)
	if command != "resolve" {
		files, _ = leaveOutResults(files, args)
	}
	return slices.DeleteFunc(files, func(name string) bool { return name == "-" })
}

// sameFile says whether two names are of one file, which need not be there yet. A
// terminal or /dev/null is none: nothing there can be lost.
func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	switch {
	case errX == nil && errY == nil:
		return x.Mode().IsRegular() && os.SameFile(x, y)
	case errX == nil || errY == nil || !strings.EqualFold(filepath.Base(a), filepath.Base(b)):
		return false
	}
	x, errX = os.Stat(filepath.Dir(a))
	y, errY = os.Stat(filepath.Dir(b))
	return errX == nil && errY == nil && os.SameFile(x, y)
}
