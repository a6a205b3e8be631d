package batch

import (
	"sync"
	"sync/atomic"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// caller makes the calls of one run: it takes their slots, writes their intents
// and outcomes, and keeps the clock honest.
type caller struct {
	store      *checkpoint.Store
	client     *defender.Client
	clock      *Clock
	key        checkpoint.Key
	batch, run int64
	opt        *Options
	halted     atomic.Bool // nothing new may be sent
	inFlight   atomic.Int64
	offset     atomic.Pointer[offset] // as the last dated answer had it
	auth       auth
	note       func(string) // told when a read meets an outage; may be nil

	held atomic.Int64 // until when the hold is that the log knows, nanoseconds

	trusting sync.Mutex
	trusted  int // jumps of the clock that the history was counted anew for
}

// auth knows what to do about a token that is refused.
type auth struct {
	mu   sync.Mutex
	good int // the youngest generation of which a token was taken
}

// refused gets a new token after a 401; if the refused one came after a refusal
// and met nothing but refusals, it is the authorization that is lost.
func (c *caller) refused(x defender.Exchange, err error) error {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	if x.Token > 1 && x.Token > c.auth.good {
		return &Stop{Why: "Defender does not take a fresh token either", Err: err, Code: CodeGuard,
			Hint: "check that the application still exists and still has its permissions, then run the same command again"}
	}
	if err := c.client.RefreshAfter(x); err != nil {
		return &Stop{Why: "no fresh token", Err: err, Code: CodeGuard}
	}
	return nil
}

// taken notes that a token was good for something.
func (c *caller) taken(x defender.Exchange) {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	c.auth.good = max(c.auth.good, x.Token)
}
