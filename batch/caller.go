package batch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

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

// sendWithin is how long after its reservation a request may leave. One that is
// later, because the process was suspended, would go into a slot that others
// take for free.
const sendWithin = 10 * time.Second

var (
	errHalted = errors.New("the run is stopping")
	errStale  = errors.New("the reservation is too old to be used")
	errSpent  = errors.New("the call has made its one request")
)

// attempt is one call on its way: what its gate has reserved.
type attempt struct {
	c      *caller
	intent checkpoint.Intent
	kind   string
	id     int64 // of the last request that was let through; 0: none
	number int   // requests that were let through
	sent   int   // of these, those that left
	once   bool  // one request only: a challenge is answered by the next call
}

// ownError is what kept a call back on our side of the wire, and not for a while:
// the checkpoint cannot be written.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// isOurs says whether an error comes from our side of the wire.
func isOurs(err error) bool {
	var own *ownError
	return errors.As(err, &own) || errors.Is(err, checkpoint.ErrDisk) || errors.Is(err, checkpoint.ErrDamaged)
}

// gate is what the client asks before a request leaves. What is not known to go
// by is an error of our own.
func (a *attempt) gate(ctx context.Context, previous *defender.Exchange) error {
	err := a.admit(ctx, previous)
	var no *checkpoint.NoSlot
	var busy *checkpoint.Busy
	var closed *checkpoint.Closed
	switch {
	case err == nil, err == errStale, err == errSpent, err == errHalted, err == errClosed,
		errors.As(err, &no), errors.As(err, &busy), errors.As(err, &closed):
		return err
	}
	return &ownError{err}
}

// admit reserves a slot and writes the intent, both on the disk before it
// returns nil; only then does the request leave. A crash from there on leaves
// the device in doubt, never silently called again.
func (a *attempt) admit(ctx context.Context, previous *defender.Exchange) error {
	c := a.c
	if a.id != 0 && previous != nil {
		// The request before was answered with a challenge for more claims.
		var task *checkpoint.TaskChange
		if a.intent.N != 0 {
			task = &checkpoint.TaskChange{N: a.intent.N, Status: checkpoint.Pending}
		}
		if err := a.over(outcomeOf("challenged", nil, *previous), task); err != nil {
			return err
		}
		if a.once {
			return errSpent
		}
	}
	if c.halted.Load() {
		return errHalted
	}
	if until, stop := c.opt.closed(c.clock.Now()); stop != nil || !until.IsZero() {
		return errClosed
	}
	jumps, err := c.trustClock()
	if err != nil {
		return err
	}
	in := a.intent
	in.Number += a.number
	began := time.Now()
	r, err := c.store.Reserve(c.batch, in, c.opt.budget(c.key, a.kind), c.clock.Now)
	if err != nil {
		return err
	}
	a.id = r.Attempt
	a.number++
	if late := c.clock.Now().Sub(r.At) > sendWithin || time.Since(began) > sendWithin; late || c.clock.Jumps() != jumps {
		if err := a.drop(); err != nil {
			return err
		}
		return errStale
	}
	return nil
}

// trustClock counts the history as of now if the clock has jumped since it was
// looked at last, and returns the number of jumps until here. A reservation is
// good only if that number is the same when it is on the disk.
func (c *caller) trustClock() (int, error) {
	now, jumps := c.clock.Now(), c.clock.Jumps()
	c.trusting.Lock()
	defer c.trusting.Unlock()
	if jumps == c.trusted {
		return jumps, nil
	}
	err := c.store.Update(func(tx *checkpoint.Tx) error { return tx.Rebase(c.key, now) })
	if err == nil {
		c.trusted = jumps
	}
	return jumps, err
}

// drop gives a slot back whose request did not leave.
func (a *attempt) drop() error {
	c, now := a.c, a.c.clock.Now()
	e := checkpoint.Event{Kind: "drop", At: now, Run: c.run,
		Outcome: []checkpoint.Outcome{{Attempt: a.id, Over: now, Outcome: "dropped", Unsent: true}}}
	if a.intent.N != 0 {
		e.Tasks = []checkpoint.TaskChange{{N: a.intent.N, Status: checkpoint.Pending}}
	}
	a.id = 0
	return c.store.Update(func(tx *checkpoint.Tx) error {
		_, err := tx.Append(c.batch, e)
		return err
	})
}

// result is what is written of a request that is over.
type result struct {
	checkpoint.Outcome
	x       defender.Exchange
	gaveUp  bool
	hold    time.Duration
	holdWhy string
}

// outcomeOf describes how a request ended.
func outcomeOf(word string, err error, x defender.Exchange) result {
	r := result{x: x, gaveUp: gaveUp(err)}
	r.Outcome.Outcome = word
	r.Unsent = !x.Sent
	r.Status, r.RequestID = x.Status, x.RequestID
	if isDefenders(err, x) {
		r.Date = x.Date
	}
	if x.ClientRequestID != "" {
		r.RequestID = join(x.RequestID, "client:"+x.ClientRequestID)
	}
	var e *defender.Error
	if errors.As(err, &e) {
		r.Code, r.Message, r.Target = e.Code, e.Message, e.Target
		if r.Message == "" && e.Err != nil {
			r.Message = e.Err.Error()
		}
		if e.Class == defender.Throttled {
			r.hold, r.holdWhy = e.Wait, "429 from Defender"
			if !e.WaitNamed {
				r.holdWhy = "429 from Defender, which named no wait"
			}
		}
	}
	return r
}

// isDefenders says whether an answer is Defender's own: one that was read, or its
// JSON error. The date of a proxy's page is that of the proxy's clock.
func isDefenders(err error, x defender.Exchange) bool {
	if err == nil {
		return x.Status/100 == 2
	}
	var e *defender.Error
	return errors.As(err, &e) && (e.Code != "" || e.Class == defender.WrongDevice)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + " " + b
}

// gaveUp says whether we stopped waiting, so that the call may still arrive.
func gaveUp(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &n) && n.Timeout()
}

// over writes how the last request ended, with what that means for its task, in
// one transaction, before anybody is told.
func (a *attempt) over(r result, task *checkpoint.TaskChange) error {
	c := a.c
	if !r.Unsent {
		a.sent++
	}
	if _, err := c.trustClock(); err != nil { // before something is written by the new clock
		return err
	}
	now, jumps := c.clock.Now(), c.clock.Jumps()
	r.Attempt, r.Over = a.id, now
	if r.gaveUp && !r.Unsent {
		r.Over = now.Add(c.opt.Timeout) // it may be on its way for as long again
	}
	e := checkpoint.Event{Kind: "outcome", At: now, Run: c.run, Outcome: []checkpoint.Outcome{r.Outcome}}
	if task != nil {
		e.Tasks = []checkpoint.TaskChange{*task}
	}
	if r.hold > 0 {
		// The disk has whole microseconds; the part that is cut off is not to be
		// cut off the hold.
		e.Hold = &checkpoint.HoldSet{Key: c.key.String(), Kind: "*", Until: now.Add(r.hold + time.Microsecond), Why: r.holdWhy}
	}
	a.id = 0
	err := c.store.Update(func(tx *checkpoint.Tx) error {
		if !r.Date.IsZero() {
			// The exchange's times are of the clock that cannot be set; what
			// counts is their distance from now.
			late := time.Since(r.x.Over)
			got := now.Add(-late)
			sent := got.Add(-r.x.Over.Sub(r.x.At))
			c.offset.Store(&offset{low: r.Date.Sub(got), high: r.Date.Add(time.Second).Sub(sent), jumps: jumps})
			if err := tx.ServerDate(c.key, r.Date, sent, got, now); err != nil {
				return err
			}
		}
		_, err := tx.Append(c.batch, e)
		return err
	})
	if err == nil && e.Hold != nil {
		c.logHold(e.Hold)
	}
	return err
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

// backoff is the wait before the n-th try again, from one second to a minute.
func backoff(n int) time.Duration {
	return min(time.Minute, time.Second<<min(n, 6))
}

// wait sleeps until t, or until ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read makes a call that changes nothing, as often as it takes: it waits for
// its slot, for holds and for outages, the latter for as long as is allowed. do
// is given the gate.
func (c *caller) read(ctx context.Context, kind string, do func(context.Context, defender.Gate) (defender.Exchange, error)) (at time.Time, err error) {
	var outage time.Time
	for n := 0; ; n++ {
		if err := c.slot(ctx, kind); err != nil {
			return at, err
		}
		a := &attempt{c: c, kind: kind, intent: checkpoint.Intent{Run: c.run, Number: n + 1}}
		at = c.clock.Now()
		c.inFlight.Add(1)
		x, err := do(ctx, a.gate)
		c.inFlight.Add(-1)
		word := "read"
		if err != nil {
			word = defender.ClassOf(err).String()
		}
		if a.id != 0 {
			if err := a.over(outcomeOf(word, err, x), nil); err != nil {
				return at, err
			}
		}
		if err == nil {
			c.taken(x)
			return at, nil
		}
		again, err := c.again(ctx, err, x)
		if !again {
			return at, err
		}
		if err == nil { // no slot, a hold, a token: at once
			outage = time.Time{}
			continue
		}
		if outage.IsZero() {
			outage = time.Now()
			if c.note != nil {
				c.note("Defender cannot be reached: " + err.Error())
			}
		}
		if time.Since(outage) > c.opt.MaxOutage {
			return at, &Stop{Why: fmt.Sprintf("no answer of Defender's for %v", c.opt.MaxOutage), Err: err, Code: CodeStopped,
				Hint: "the same command goes on"}
		}
		if err := wait(ctx, backoff(n)); err != nil {
			return at, err
		}
	}
}

// again says whether a read that went wrong may be made again: at once if the
// error that comes back is nil, after a while if it is not.
func (c *caller) again(ctx context.Context, err error, x defender.Exchange) (bool, error) {
	var no *checkpoint.NoSlot
	switch {
	case isOurs(err), errors.Is(err, errHalted), ctx.Err() != nil:
		return false, err
	case errors.As(err, &no), errors.Is(err, errStale), errors.Is(err, errClosed):
		return true, nil
	}
	switch defender.ClassOf(err) {
	case defender.Throttled:
		return true, nil
	case defender.Unauthorized:
		if err := c.refused(x, err); err != nil {
			return false, err
		}
		return true, nil
	case defender.Outage, defender.NotSent:
		return true, err
	}
	return false, err
}

// slot waits until a call of a kind may be reserved.
func (c *caller) slot(ctx context.Context, kind string) error {
	for {
		if c.halted.Load() {
			return errHalted
		}
		if err := c.hours(ctx); err != nil {
			return err
		}
		v, err := c.store.Judge(c.opt.budget(c.key, kind), c.clock.Now)
		if err != nil {
			return err
		}
		if v.Free > 0 {
			return nil
		}
		d := time.Second
		if !v.At.IsZero() {
			d = v.At.Sub(c.clock.Now())
		}
		if err := wait(ctx, max(time.Millisecond, d)); err != nil {
			return err
		}
	}
}

// pages reads a list to its end, page by page, without what came twice.
func pages[T any](ctx context.Context, c *caller, kind string, id func(T) string,
	page func(ctx context.Context, skip int, gate defender.Gate) ([]T, defender.Exchange, error)) (all []T, at time.Time, err error) {
	seen := map[string]bool{}
	for skip := 0; ; skip += pageSize {
		var got []T
		began, err := c.read(ctx, kind, func(ctx context.Context, gate defender.Gate) (x defender.Exchange, err error) {
			got, x, err = page(ctx, skip, gate)
			return x, err
		})
		if err != nil {
			return nil, at, err
		}
		if skip == 0 {
			at = began
		}
		added := false
		for _, v := range got {
			if !seen[id(v)] {
				seen[id(v)], added = true, true
				all = append(all, v)
			}
		}
		if len(got) < pageSize || !added {
			return all, at, nil
		}
	}
}

// pageSize is the most that a list call gives.
const pageSize = 10000

// actions lists machine actions, the youngest first, and when it began to look.
func (c *caller) actions(ctx context.Context, q defender.ActionQuery) ([]defender.MachineAction, time.Time, error) {
	return c.actionsSince(ctx, q, func() time.Time { return q.Since })
}

// actionsSince asks before each request since when actions are listed: what is
// known of the server's clock may change while a request is made again.
func (c *caller) actionsSince(ctx context.Context, q defender.ActionQuery, since func() time.Time) ([]defender.MachineAction, time.Time, error) {
	return pages(ctx, c, CallListActions, func(a defender.MachineAction) string { return a.ID },
		func(ctx context.Context, skip int, gate defender.Gate) ([]defender.MachineAction, defender.Exchange, error) {
			q.Top, q.Skip, q.Since = pageSize, skip, since()
			return c.client.ListActions(ctx, q, gate)
		})
}
