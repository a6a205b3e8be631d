package batch

import (
	"os"
	"time"

	"github.com/gofrs/flock"

	"mde-offboard/batch/checkpoint"
)

// signLife is how long a run on another machine is taken for alive after its last
// sign of life.
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
