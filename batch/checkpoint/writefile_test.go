package checkpoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestWriteFileAtOnce: who reads a file that is written anew reads the old one until
// the new one is whole, and for good if that never is.
func TestWriteFileAtOnce(t *testing.T) {
	for name, write := range map[string]func(string, func(io.Writer) error) error{"WriteFile": WriteFile, "WritePublic": WritePublic} {
		dir := t.TempDir()
		path, full := filepath.Join(dir, "run.prom"), errors.New("the disk is full")
		holds := func(want string) {
			t.Helper()
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("%s: the file holds %q, %v; want %q", name, got, err, want)
			}
		}
		for _, tt := range []struct {
			text, before, after string
			err                 error
		}{{"old", "", "old", nil}, {"new", "old", "new", nil}, {"half", "new", "new", full}} {
			err := write(path, func(w io.Writer) error {
				if _, err := io.WriteString(w, tt.text); err != nil {
					return err
				}
				if tt.before != "" {
					holds(tt.before)
				}
				return tt.err
			})
			if !errors.Is(err, tt.err) {
				t.Errorf("%s = %v; want %v", name, err, tt.err)
			}
			holds(tt.after)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%s leaves %v, %v; want the file alone", name, left, err)
		}
	}
}
