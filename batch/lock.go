package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gofrs/flock"

	"mde-offboard/batch/checkpoint"
)

// ErrOtherRunner says that another process is at work on the batch.
type ErrOtherRunner struct {
	Name   string
	Run    checkpoint.Run
	Silent bool // it is at work, and gave no sign of life for a while
}

func (e *ErrOtherRunner) Error() string {
	who := ""
	if e.Run.PID != 0 {
		who = fmt.Sprintf(": %s on %s, process %d, since %s", e.Run.Who, e.Run.Host, e.Run.PID, e.Run.Started.Format(time.RFC3339))
	}
	if e.Silent {
		who += ", last seen " + e.Run.Alive.Format(time.RFC3339)
	}
	return fmt.Sprintf("another runner is at work on batch %q%s", e.Name, who)
}

// What runs do. One of whatTrack only watches: it may stand beside one of the
// others, and has a lock of its own.
const (
	whatTrack  = "track"
	whatCancel = "cancel"
)

// lock takes what only one process at a time may have: a batch, or the tracking
// of one. If another has it, the error is an *ErrOtherRunner.
func (s *Session) lock(ctx context.Context, what, name string) (*flock.Flock, error) {
	lock := flock.New(s.lockFile(what, name))
	for n := 0; ; n++ {
		switch ok, err := lock.TryLock(); {
		case err != nil:
			return nil, fmt.Errorf("lock of %s %q: %w", what, name, err)
		case ok:
			return lock, nil
		case n == 2 || wait(ctx, 100*time.Millisecond) != nil: // who only looks (AtWork) has it for a moment
			return nil, s.otherRunner(ctx, name, what == whatTrack)
		}
	}
}

// LockBatch takes a batch and the tracking of it from all other processes, for
// whoever has no session. If one has either, the error is an *ErrOtherRunner.
func LockBatch(ctx context.Context, store *checkpoint.Store, b checkpoint.Batch) (unlock func(), err error) {
	s := &Session{Store: store, Key: b.Key}
	run, err := s.lock(ctx, "batch", b.Name)
	if err != nil {
		return nil, err
	}
	track, err := s.lock(ctx, whatTrack, b.Name)
	if err != nil {
		run.Close()
		return nil, err
	}
	return func() { track.Close(); run.Close() }, nil
}

// lockFile is never deleted: a process that waits for it must not wait for a
// file that has no name any more.
func (s *Session) lockFile(what, name string) string {
	h := sha256.Sum256([]byte(s.Key.Cloud + "|" + s.Key.Tenant + "|" + name))
	return s.Store.Path() + "-" + what + "-" + hex.EncodeToString(h[:6]) + "-lock"
}

func (s *Session) otherRunner(ctx context.Context, name string, tracks bool) error {
	e := &ErrOtherRunner{Name: name}
	err := s.Store.View(ctx, func(r checkpoint.Reader) error {
		b, err := r.FindBatch(s.Key.Cloud, s.Key.Tenant, name)
		if err != nil {
			return err
		}
		runs, err := r.Runs(b.ID)
		for _, run := range runs {
			if run.Ended.IsZero() && (run.What == whatTrack) == tracks {
				e.Run, e.Silent = run, !tracks && time.Since(run.Alive) > signLife
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, checkpoint.ErrNoBatch) {
		return err
	}
	return e
}

// signLife is how long a run is taken for alive after its last sign of life where
// nothing else tells. A tracker gives one with each look alone.
const signLife = 30 * time.Second

// AtWork says whether a run of a batch that has not ended is at work. On this
// machine the lock tells that it holds, which the system frees when its process
// ends, however it ends; of one on another machine only the signs of life are known.
func AtWork(store *checkpoint.Store, b checkpoint.Batch, run checkpoint.Run, machine string, now time.Time) bool {
	seen := now.Sub(run.Alive) <= signLife
	if run.Host != machine {
		return seen
	}
	what := "batch"
	if run.What == whatTrack {
		what = whatTrack
	}
	file := (&Session{Store: store, Key: b.Key}).lockFile(what, b.Name)
	if _, err := os.Stat(file); os.IsNotExist(err) { // a copy of the checkpoint; looking makes no lock
		return false
	}
	lock := flock.New(file)
	free, err := lock.TryLock()
	if err != nil {
		return seen
	}
	lock.Close()
	return !free
}
