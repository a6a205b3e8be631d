package batch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"mde-offboard/batch/checkpoint"
)

// TestAtWork: on this machine a lock tells who is at work, elsewhere the last sign
// of life.
func TestAtWork(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		reason    string
		what      string
		locked    string // what another process has; empty: nothing ever had
		free      bool   // and its process is gone
		elsewhere bool
		silent    time.Duration
		want      bool
	}{
		{reason: "it has the lock", what: "run", locked: "batch", silent: time.Second, want: true},
		{reason: "it has, and was suspended for an hour", what: "run", locked: "batch", silent: time.Hour, want: true},
		{reason: "it was killed a second ago", what: "run", locked: "batch", free: true, silent: time.Second},
		{reason: "a cancel has it", what: whatCancel, locked: "batch", want: true},
		{reason: "a tracker has its own", what: whatTrack, locked: whatTrack, want: true},
		{reason: "a tracker was killed beside a run", what: whatTrack, locked: "batch"},
		{reason: "in a copy of the checkpoint", what: "run"},
		{reason: "another machine's, just heard of", what: "run", elsewhere: true, silent: signLife, want: true},
		{reason: "another machine's, not heard of any more", what: "run", locked: "batch", elsewhere: true, silent: signLife + time.Second},
	} {
		store, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint.db"))
		if err != nil {
			t.Fatal(err)
		}
		b := checkpoint.Batch{Name: "list", Key: checkpoint.Key{Cloud: "commercial", Tenant: "contoso"}}
		s := &Session{Store: store, Key: b.Key}
		if tt.locked != "" {
			lock, err := s.lock(t.Context(), tt.locked, b.Name)
			if err != nil {
				t.Fatal(err)
			}
			if t.Cleanup(func() { lock.Close() }); tt.free {
				lock.Close()
			}
		}
		run := checkpoint.Run{What: tt.what, Host: "OPS-07", Alive: now.Add(-tt.silent)}
		machine := "OPS-07"
		if tt.elsewhere {
			machine = "OPS-08"
		}
		if got := AtWork(store, b, run, machine, now); got != tt.want {
			t.Errorf("%s: AtWork = %v; want %v", tt.reason, got, tt.want)
		}
		if _, err := os.Stat(s.lockFile("batch", b.Name)); tt.locked == "" && !os.IsNotExist(err) {
			t.Errorf("%s: looking has made a lock: %v", tt.reason, err)
		}
		store.Close()
	}
}
