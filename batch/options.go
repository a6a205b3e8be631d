package batch

import (
	"fmt"
	"log/slog"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
)

// Window is quota.Window, for whoever tells of a schedule.
type Window = quota.Window

// Options are the settings of a run. A resumed batch may have other ones.
type Options struct {
	Windows      []quota.Window // of each kind of call, or of all
	SharedBudget bool           // one budget for all kinds of call

	Workers     int           // calls in flight at once
	Timeout     time.Duration // of one call; also the grace after giving one up
	SettleWait  time.Duration // how long an action may stay invisible
	MaxAttempts int           // of one device
	MaxOutage   time.Duration // without an answer of Defender's
	NoTag       bool          // leave the comment as it is
	Again       bool          // devices whose action succeeded, too
	NoReads     bool          // no permission to read actions: nothing is looked up or settled

	MaxFailures Threshold

	// Log gets the events of a run; nil: none.
	Log *slog.Logger

	// Hours says what Allowed is, for people. Allowed maps a moment to the
	// first from it on at which calling is allowed, look-ups included; nil:
	// always. Night tells in which of the stretches of time that are allowed from a
	// moment on a later one lies: 1 is the first. Wait says to wait for it instead
	// of stopping.
	Hours   string
	Allowed func(time.Time) time.Time
	Night   func(from, later time.Time) int // nil: not known
	Wait    bool
	Until   time.Time // no call from then on; zero: no end
	Limit   int       // at most so many offboard calls in this run; 0: no limit
	Canary  int       // the run ends with the first devices, of which so many lacked an answer; 0: with all. Start sets it by the plan

	Seed int64 // of the jitter of back-off
}

// Threshold is a number or a share of failures that stops a run.
type Threshold struct {
	Count   int // stop beyond so many; with Percent, 0
	Percent float64
	From    int // judged from so many devices on
}

// exceeded judges failed of done devices.
func (t Threshold) exceeded(failed, done int) bool {
	if done < t.From {
		return false
	}
	if t.Percent > 0 {
		return float64(failed)*100 > t.Percent*float64(done)
	}
	return failed > t.Count
}

// String is how the threshold is written on the command line.
func (t Threshold) String() string {
	if t.Percent > 0 {
		return fmt.Sprintf("%g%%", t.Percent)
	}
	return fmt.Sprint(t.Count)
}

// The kinds of call, each with a budget of its own unless it is shared.
const (
	CallOffboard     = "offboard"
	CallCancel       = "cancel"
	CallListActions  = "list-actions"
	CallGetAction    = "get-action"
	CallListMachines = "list-machines"
)

// Grace is how long a call can still take effect after its runner's last sign
// of life: it may run for its time-out, and what was sent may be on its way for
// as long again.
func (o *Options) Grace() time.Duration { return 2 * o.Timeout }

func (o *Options) budget(key checkpoint.Key, kind string) checkpoint.Budget {
	return checkpoint.Budget{Key: key, Kind: kind, Shared: o.SharedBudget, Windows: o.Windows}
}

// Codes with which the program ends, a promise to scripts.
const (
	CodeDone        = 0 // every device accepted, already active, or skipped as agreed
	CodeError       = 1 // the work could not be done
	CodeUsage       = 2 // refused before anything was sent
	CodeIncomplete  = 3 // ran to the end, some devices did not make it
	CodeStopped     = 4 // stopped before the end, the same command goes on
	CodeGuard       = 5 // stopped by a guard on the way
	CodeOtherRunner = 6 // another runner holds the batch
)

// Stop is why a run ended before all was done, and the code for it.
type Stop struct {
	Why   string
	Hint  string
	Code  int
	Err   error
	Asked bool // for: it was told to end there, and nothing is wrong
}

// Interrupted is why a run ends that a signal has stopped.
const Interrupted = "interrupted"

// Interruption is the stop of a command that a signal has ended.
func Interruption(hint string) *Stop {
	return &Stop{Why: Interrupted, Hint: hint, Code: CodeStopped, Asked: true}
}

func (s *Stop) Error() string {
	switch {
	case s.Err == nil:
		return s.Why
	case s.Why == "": // it adds nothing but what goes with it
		return s.Err.Error()
	}
	return s.Why + ": " + s.Err.Error()
}

func (s *Stop) Unwrap() error { return s.Err }
