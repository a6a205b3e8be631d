package batch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
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

// TestLockOutlivesALook: who asks whether a runner is at work has its lock for a
// moment, and a run that starts in that moment does not take that for a runner.
func TestLockOutlivesALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		s := &Session{Store: store}
		look, err := s.lock(t.Context(), "batch", "list")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(150*time.Millisecond, func() { look.Close() })
		lock, err := s.lock(t.Context(), "batch", "list")
		if err != nil {
			t.Fatalf("a lock that is had for a moment: %v; want it", err)
		}
		defer lock.Close()
		var other *ErrOtherRunner
		if _, err := s.lock(t.Context(), "batch", "list"); !errors.As(err, &other) {
			t.Errorf("a lock that is kept: %v; want another runner", err)
		}
	})
}

// TestSignsOfLife: a run gives signs of life, whatever it waits for.
func TestSignsOfLife(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults string
		n      int
		closed bool // outside the hours for an hour
	}{
		{"a call", "hang-after@1", 1, false},
		{"a window", "", 2000, false},
		{"the first look", "actions/429-seconds@1:1h", 1, false},
		{"the hours", "", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults})
				w.opt.Timeout = 10 * time.Minute
				if opens := time.Now().Add(time.Hour); tt.closed {
					w.opt.Wait, w.opt.Allowed = true, func(at time.Time) time.Time { return slices.MaxFunc([]time.Time{at, opens}, time.Time.Compare) }
				}
				store := w.store()
				ended := make(chan error, 1)
				go func() {
					_, err := w.runOn(t.Context(), store, devices(tt.n))
					ended <- err
				}()
				time.Sleep(5*time.Minute + 50*time.Second)
				var runs []checkpoint.Run
				if err := store.View(t.Context(), func(r checkpoint.Reader) (err error) { runs, err = r.Runs(1); return err }); err != nil {
					t.Fatal(err)
				}
				if silent := time.Since(runs[0].Alive); len(runs) != 1 || silent > signLife {
					t.Errorf("%d runs, silent for %v; want one that was heard of within %v", len(runs), silent, signLife)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSilentRunner: of a runner that has the batch and does nothing it is told when
// it was last seen.
func TestSilentRunner(t *testing.T) {
	store, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := &Session{Store: store, Key: checkpoint.Key{Cloud: "commercial", Tenant: "contoso", Application: "app"}}
	for _, tt := range []struct {
		name, what, lock string
		silent           time.Duration
		want             bool
	}{
		{"at-work", "run", "batch", 20 * time.Second, false},
		{"hangs", "run", "batch", time.Hour, true},
		{"between-two-looks", whatTrack, whatTrack, time.Hour, false},
	} {
		alive := time.Now().Add(-tt.silent).UTC().Truncate(time.Second)
		err := store.Update(func(tx *checkpoint.Tx) error {
			id, err := tx.NewBatch(checkpoint.NewBatch{Name: tt.name, Cloud: s.Key.Cloud, Tenant: s.Key.Tenant, Application: s.Key.Application}, alive)
			if err == nil {
				_, err = tx.Append(id, checkpoint.Event{Kind: "run", At: alive, Start: &checkpoint.RunStart{What: tt.what, Who: "ops", Host: "OPS-07", PID: 42}})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		lock, err := s.lock(t.Context(), tt.lock, tt.name)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		_, err = s.lock(t.Context(), tt.lock, tt.name)
		var other *ErrOtherRunner
		if !errors.As(err, &other) || other.Silent != tt.want || strings.Contains(err.Error(), ", last seen "+alive.Format(time.RFC3339)) != tt.want {
			t.Errorf("%s: %v; want it told when it was last seen: %v", tt.name, err, tt.want)
		}
	}
}
