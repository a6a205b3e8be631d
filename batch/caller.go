package batch

import (
	"context"
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
	lists      int // that the batch has tasks from
	opt        *Options
	halted     atomic.Bool // nothing new may be sent
	inFlight   atomic.Int64
	offset     atomic.Pointer[offset] // as the last dated answer had it
	auth       auth
	note       func(error) // told when a read meets an outage; may be nil
	outages    outages
	waited     atomic.Bool // for the hours, since the plan was last held to be good

	held atomic.Int64 // until when the hold is that the log knows, nanoseconds

	trusted atomic.Int64 // jumps of the clock that the history was counted anew for
}

// auth knows what to do about a token that is refused.
type auth struct {
	mu     sync.Mutex
	good   int           // the youngest generation of which a token was taken
	trying chan struct{} // held by the one call that shows whether a fresh one is
}

// caller is without its batch and its run, which a look needs not.
func (s *Session) caller(opt *Options) *caller {
	return &caller{store: s.Store, client: s.Client, clock: s.Clock, key: s.Key, opt: opt,
		auth: auth{trying: make(chan struct{}, 1)}, outages: newOutages(opt)}
}

// alone keeps a call back while another one tries a fresh token, and returns what
// to do when the call is over. Of two that go together one may be answered, the
// token revoked and the other refused, and that be heard first: it would look
// as if a fresh token was not taken.
func (c *caller) alone(ctx context.Context) (over func(), err error) {
	if c.proven() {
		return func() {}, ctx.Err()
	}
	select {
	case c.auth.trying <- struct{}{}:
		over = func() { <-c.auth.trying }
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.proven() {
		over()
		over = func() {}
	}
	return over, nil
}

// proven says whether the next call's token need not be tried: the first is
// like any other, and one that was taken is good.
func (c *caller) proven() bool {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	n := c.client.Token()
	return n == 1 || n <= c.auth.good
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

// heard learns from the end of a call: an answer of Defender's ends an outage,
// and shows that the token was taken if it is about the call.
func (c *caller) heard(kind string, x defender.Exchange, err error) {
	if !x.Sent {
		return
	}
	if answered(err) {
		c.auth.mu.Lock()
		c.auth.good = max(c.auth.good, x.Token)
		c.auth.mu.Unlock()
		c.outages.answered(noTurn + kind)
	}
	if answered(err) || turnedAway(err) {
		c.outages.answered(kind)
	}
}

// answered says whether a call ended with what Defender has to say about it.
func answered(err error) bool {
	switch defender.ClassOf(err) {
	case defender.Refused, defender.AlreadyActive, defender.NotFound, defender.Forbidden, defender.WrongDevice:
		return true
	}
	return err == nil
}

// turnedAway says whether a call ended with an answer that Defender gives before
// it looks at the call.
func turnedAway(err error) bool {
	class := defender.ClassOf(err)
	return class == defender.Throttled || class == defender.Unauthorized
}
