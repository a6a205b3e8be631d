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
