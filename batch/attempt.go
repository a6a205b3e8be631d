package batch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

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
	if until, stop := c.opt.Closed(c.clock.Now()); stop != nil || !until.IsZero() {
		return errClosed
	}
	in := a.intent
	in.Number += a.number
	var id int64
	var refused error
	at, err := c.update(func(tx *checkpoint.Tx, now moment) (err error) {
		id, refused, err = tx.Reserve(c.batch, in, c.opt.budget(c.key, a.kind), now.Time)
		return err
	})
	if err = cmp.Or(err, refused); err != nil {
		return err
	}
	a.id = id
	a.number++
	now := c.clock.moment()
	if time.Since(at.mono) > sendWithin || now.jumps != at.jumps { // a machine that slept has made its clocks part
		if err := a.drop(); err != nil {
			return err
		}
		return errStale
	}
	return nil
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
	hold    time.Duration
	holdWhy string
}

// outcomeOf describes how a request ended.
func outcomeOf(word string, err error, x defender.Exchange) result {
	r := result{x: x}
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

// over writes how the last request ended, with what that means for its task, in
// one transaction, before anybody is told.
func (a *attempt) over(r result, task *checkpoint.TaskChange) error {
	c := a.c
	if !r.Unsent {
		a.sent++
	}
	r.Attempt, a.id = a.id, 0
	var e checkpoint.Event
	var o *offset
	_, err := c.update(func(tx *checkpoint.Tx, now moment) error {
		if !r.Date.IsZero() {
			sent, got := now.of(r.x.At), now.of(r.x.Over)
			o = &offset{low: r.Date.Sub(got), high: r.Date.Add(time.Second).Sub(sent), jumps: now.jumps}
			if err := tx.ServerDate(c.key, r.Date, sent, got, now.Time); err != nil {
				return err
			}
		}
		e = a.ended(r, now)
		if task != nil {
			e.Tasks = []checkpoint.TaskChange{*task}
		}
		_, err := tx.Append(c.batch, e)
		return err
	})
	if err != nil {
		return err
	}
	if o != nil {
		c.offset.Store(o)
	}
	if e.Hold != nil {
		c.logHold(e.Hold)
	}
	return nil
}

// ended is the event of a request that is over.
func (a *attempt) ended(r result, now moment) checkpoint.Event {
	c := a.c
	r.Over = now.of(r.x.Over)
	if r.x.Open {
		r.Over = now.Add(c.opt.Timeout) // it may be on its way for as long again
	}
	e := checkpoint.Event{Kind: "outcome", At: now.Time, Run: c.run, Outcome: []checkpoint.Outcome{r.Outcome}}
	if r.hold > 0 {
		// The disk has whole microseconds; the part that is cut off is not to be
		// cut off the hold.
		e.Hold = &checkpoint.HoldSet{Key: c.key.String(), Kind: "*", Until: now.Add(r.hold + time.Microsecond), Why: r.holdWhy}
	}
	return e
}
