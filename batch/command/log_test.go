package command

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
)

// TestLogRotates: the log file is begun anew before it would pass its size, what
// was in it stays beside it, and only so many old ones do.
func TestLogRotates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.log")
	for month := range logOldFiles + 1 { // more than are kept, the oldest first
		name := fmt.Sprintf("run-2025-%02d-01T00-00-00.000.log", month+1)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := testApp(t)
	a.global.logFile = path
	w, err := a.logWriter(slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	// A hole that leaves space for one record, as nobody looks at what is in it.
	if err := os.Truncate(path, logMegabytes<<20-10); err != nil {
		t.Fatal(err)
	}
	for _, record := range []string{"the last\n", "the first\n"} {
		if _, err := io.WriteString(w, record); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { w.(io.Closer).Close() }) // before the folder goes, as Windows wants it
	if got := fileText(t, path); got != "the first\n" {
		t.Errorf("the log file holds %q; want the record that did not fit", got)
	}
	var old []string
	for range 6000 { // old ones are removed beside the writing
		if old, err = filepath.Glob(filepath.Join(dir, "run-*.log")); err != nil {
			t.Fatal(err)
		}
		if len(old) <= logOldFiles {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if len(old) != logOldFiles || strings.Contains(strings.Join(old, " "), "run-2025-01") || strings.Contains(strings.Join(old, " "), "run-2025-02") {
		t.Fatalf("old log files %q; want the newest %d", old, logOldFiles)
	}
	newest := old[len(old)-1]
	if got := fileText(t, newest); len(got) > logMegabytes<<20 || !strings.HasSuffix(got, "the last\n") {
		t.Errorf("%s has %d bytes and ends with %q; want all up to the last record that fitted", newest, len(got), got[max(0, len(got)-10):])
	}
	for _, name := range []string{path, newest} {
		if fi, err := os.Stat(name); runtime.GOOS != "windows" && (err != nil || fi.Mode().Perm() != 0o600) {
			t.Errorf("%s: mode %v, %v; want it for its owner alone", name, fi.Mode(), err)
		}
	}
}

// TestErrorsAreRecords: where records are wanted errors are records from the first
// one on, also those of the flags, and of the program.
func TestErrorsAreRecords(t *testing.T) {
	logFile := filepath.Join(t.TempDir(), "run.log")
	env := variables("MDE_OFFBOARD_LIMIT", "many", "MDE_OFFBOARD_LOG_FORMAT", "json")
	broken := func(name string) string {
		if name == "MDE_OFFBOARD_EXCEL" {
			panic("out of order: Bearer eyJhbGciOiJub25lIn0.e30.c2ln")
		}
		return variables("MDE_OFFBOARD_LOG_FORMAT", "json")(name)
	}
	for _, tt := range []struct {
		reason string
		args   string
		getenv func(string) string
		code   int
		says   string
		words  bool // and no records
	}{
		{"a flag that is none", "run x.csv --nosuch --log-format json", variables(), 2, "unknown flag: --nosuch", false},
		{"a value before it", "run x.csv --limit many --log-format=json", variables(), 2, "--limit", false},
		{"a value in the environment", "run x.csv", env, 2, "MDE_OFFBOARD_LIMIT", false},
		{"words where the command line says so", "run x.csv --nosuch --log-format text", env, 2, "hint: mde-offboard run --help", true},
		{"a command that is none", "nosuch --log-format json", variables(), 2, "unknown command", false},
		{"no list", "run --log-format json", variables(), 2, "LIST… is missing", false},
		{"a level that is none", "run x.csv --log-format json --log-level loud", variables(), 2, "--log-level", false},
		{"a format that is none", "run x.csv --log-format yaml", variables(), 2, "--log-format", true},
		{"a log that cannot be", "run x.csv --log-format json --log-file " + filepath.Join(logFile, "x"), variables(), 2, "run.log", false},
		{"the same in words", "run x.csv --log-file " + filepath.Join(logFile, "x"), variables(), 2, "error: --log-file: ", true},
		{"a log in a file", "run x.csv --nosuch --log-file " + logFile, variables(), 2, "error: unknown flag", true},
		{"a fault of the program", "run x.csv", broken, 1, "out of order: Bearer [redacted]", false},
	} {
		said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		defer said.Close()
		code := Main(Env{Stdout: said, Stderr: said, Getenv: tt.getenv, Context: t.Context(), Hard: t.Context(), Last: t.Context()}, strings.Fields(tt.args))
		text := fileText(t, said.Name())
		if code != tt.code || !strings.Contains(text, tt.says) {
			t.Errorf("%s: code %d, %q; want %d, %q", tt.reason, code, text, tt.code, tt.says)
		}
		if tt.words {
			if strings.Contains(text, "{") {
				t.Errorf("%s: %q; want words", tt.reason, text)
			}
			continue
		}
		if all := records(t, text); len(all) != 1 || all[0]["msg"] != logError || tt.code == batch.CodeError && tt.getenv("MDE_OFFBOARD_LOG_FORMAT") != "" && all[0]["stack"] == nil {
			t.Errorf("%s: %q; want one record of an error", tt.reason, text)
		}
	}
	if text := fileText(t, logFile); !strings.Contains(text, "unknown flag: --nosuch") {
		t.Errorf("the log file holds %q; want the error", text)
	}
}
