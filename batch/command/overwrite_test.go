package command

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mde-offboard/batch"
)

// TestWritesOverNothing: no file that a command needs is lost to one that it writes,
// nor is what it says of that.
func TestWritesOverNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"list.csv", "other.csv", "protect.txt", "hook.txt", "ca.pem", "cp.db", "cp.db-wal", "in.csv", "key", "list.results.csv"} {
		if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("list.csv", "link"); err != nil {
		t.Logf("no links here: %v", err)
		if err := os.Link("list.csv", "link"); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		reason string
		env    []string
		args   string
		want   string // what would be written over; empty: nothing
	}{
		{"figures over the list", nil, "run list.csv --metrics-file list.csv", "--metrics-file list.csv would be written over the list list.csv"},
		{"under another name", nil, "run list.csv --metrics-file " + filepath.Join(dir, "list.csv"), "over the list list.csv"},
		{"by a link", nil, "run list.csv --metrics-file link", "over the list list.csv"},
		{"by a pattern", nil, "run *.csv --batch b --metrics-file other.csv", "over the list other.csv"},
		{"the log over the list", nil, "plan list.csv --log-file list.csv", "--log-file list.csv would be written over the list list.csv"},
		{"with a flag that there is not", nil, "run list.csv --log-file list.csv --bogus", ""},
		{"and by the environment", []string{"MDE_OFFBOARD_LOG_FILE", "list.csv"}, "run --bogus list.csv", ""},
		{"by the environment", []string{"MDE_OFFBOARD_LOG_FILE", "list.csv"}, "run list.csv", "MDE_OFFBOARD_LOG_FILE list.csv would be written over the list list.csv"},
		{"results over the list", nil, "run list.csv --results list.csv", "--results list.csv would be written over the list list.csv"},
		{"over the protect file", nil, "run list.csv --protect key --protect protect.txt --results protect.txt", "over --protect protect.txt"},
		{"over the webhook", []string{"MDE_OFFBOARD_NOTIFY_FILE", "hook.txt"}, "run list.csv --metrics-file hook.txt", "over MDE_OFFBOARD_NOTIFY_FILE hook.txt"},
		{"over certificates", nil, "track b --ca-file ca.pem --log-file ca.pem", "over --ca-file ca.pem"},
		{"over the checkpoint", nil, "run list.csv --checkpoint cp.db --metrics-file cp.db", "over the checkpoint "},
		{"over its log", nil, "run list.csv --checkpoint cp.db --metrics-file cp.db-wal", "over the checkpoint "},
		{"over one that is yet to be", nil, "run list.csv --checkpoint new.db --metrics-file " + filepath.Join(dir, "new.db-head"), "over the checkpoint "},
		{"by a report", nil, "report b --checkpoint cp.db --results cp.db", "over the checkpoint "},
		{"over a key", nil, "report b --key key --log-file key", "over --key key"},
		{"by resolve", nil, "resolve list.csv -o list.csv", "--output list.csv would be written over the list list.csv"},
		{"over what is to be cancelled", nil, "cancel b --only *.csv --log-file in.csv", "over --only in.csv"},
		{"by a simulator", nil, "simulate --inventory in.csv --books in.csv", "over --inventory in.csv"},
		{"one over another", nil, "run list.csv --results both.csv --metrics-file both.csv", "--metrics-file both.csv would be written over --results both.csv"},
		{"the log over the results", nil, "run list.csv --log-file=list.results.csv --results=list.results.csv", "--log-file list.results.csv would be written over --results "},
		{"by the environment alone", []string{"MDE_OFFBOARD_LOG_FILE", "list.results.csv", "MDE_OFFBOARD_RESULTS", "list.results.csv"}, "run list.csv", "over MDE_OFFBOARD_RESULTS list.results.csv"},
		{"figures over the usual results", nil, "run list.csv --metrics-file list.results.csv", "--metrics-file list.results.csv would be written over --results list.results.csv"},
		{"the log over them", nil, "run list.csv --log-file list.results.csv", "over --results list.results.csv"},
		{"by a plan", nil, "plan in.csv --batch list --log-file list.results.csv", "over --results list.results.csv"},
	} {
		code, _, stderr := called(t, tt.env, strings.Fields(tt.args)...)
		if code != batch.CodeUsage || !strings.Contains(stderr, tt.want) || tt.want == "" && strings.Contains(stderr, "written over") {
			t.Errorf("%s: %s ended with %d; want 2 and %q\n%s", tt.reason, tt.args, code, tt.want, stderr)
		}
		for _, name := range []string{"list.csv", "other.csv", "protect.txt", "hook.txt", "ca.pem", "cp.db", "cp.db-wal", "in.csv", "key", "list.results.csv"} {
			if text := fileText(t, name); text != name {
				t.Fatalf("%s: %s holds %q; want it as it was", tt.reason, name, text)
			}
		}
	}
	if runtime.GOOS == "windows" {
		return // NUL is in every folder, and cannot be lost
	}
	// By a link: as root a mistake would cost the machine its /dev/null.
	if err := os.Symlink(os.DevNull, "null"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if f, err := os.Lstat("null"); err != nil || f.Mode().Type() != os.ModeSymlink {
			t.Errorf("the link to a device is %v (%v); want it as it was", f, err)
		}
	}()
	for _, args := range []string{
		"run list.csv --log-file null --metrics-file null", // where nothing is lost
		"run list.csv --log-file x.log --metrics-file x.prom --results x.csv --checkpoint x.db",
		"resolve - --output -",
	} {
		if _, _, stderr := called(t, nil, strings.Fields(args)...); strings.Contains(stderr, "written over") {
			t.Errorf("%s is refused: %s", args, stderr)
		}
	}
}

// TestFilesOfFlags: of each flag that names files it is known whether they are read
// or written.
func TestFilesOfFlags(t *testing.T) {
	files := regexp.MustCompile("`(FILE|LISTS)`")
	known := append(append([]string{"checkpoint"}, readBy...), writtenBy...)
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if files.MatchString(f.Usage) && !slices.Contains(known, f.Name) {
				t.Errorf("%s --%s is neither among those that are read nor those that are written", cmd.Name(), f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(testApp(t).root())
}
