package batch

import (
	"context"
	"errors"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

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
// its slot, for holds and for outages, for as long as these are allowed. do is given
// the gate.
func (c *caller) read(ctx context.Context, kind string, do func(context.Context, defender.Gate) (defender.Exchange, error)) (at time.Time, err error) {
	noted := false
	for n := 0; ; n++ {
		if err := c.slot(ctx, kind); err != nil {
			return at, err
		}
		var x defender.Exchange
		if at, x, err = c.try(ctx, kind, n, do); err == nil {
			return at, nil
		}
		again, err := c.again(ctx, kind, err, x)
		switch {
		case !again:
			return at, err
		case err == nil: // no slot, a hold, a token: at once
			continue
		}
		if c.note != nil && !noted {
			c.note(unreachable(err))
			noted = true
		}
		if stop := c.silent(kind, err); stop != nil {
			return at, stop
		}
		if err := wait(ctx, patience(backoff(n), err)); err != nil {
			return at, err
		}
	}
}

// try makes a read once and writes how it went.
func (c *caller) try(ctx context.Context, kind string, n int, do func(context.Context, defender.Gate) (defender.Exchange, error)) (at time.Time, x defender.Exchange, err error) {
	over, err := c.alone(ctx)
	if err != nil {
		return at, x, err
	}
	defer over()
	a := &attempt{c: c, kind: kind, intent: checkpoint.Intent{Run: c.run, Number: n + 1}}
	at = c.clock.Now()
	c.inFlight.Add(1)
	x, err = do(ctx, a.gate)
	c.inFlight.Add(-1)
	word := "read"
	if err != nil {
		word = defender.ClassOf(err).String()
	}
	if a.id != 0 {
		if broken := a.over(outcomeOf(word, err, x), nil); broken != nil {
			return at, x, broken
		}
	}
	c.heard(kind, x, err)
	return at, x, err
}

// again says whether a call of a kind that went wrong may be made again, since it changed
// nothing or is looked up before: at once if the error that comes back is nil,
// after a while if it is not.
func (c *caller) again(ctx context.Context, kind string, err error, x defender.Exchange) (bool, error) {
	var no *checkpoint.NoSlot
	switch {
	case isOurs(err), errors.Is(err, errHalted), ctx.Err() != nil:
		return false, err
	case errors.As(err, &no), errors.Is(err, errStale), errors.Is(err, errClosed):
		return true, nil
	}
	if busy(err) {
		return true, err
	}
	switch defender.ClassOf(err) {
	case defender.Throttled:
		if stop := c.toldToWait(kind); stop != nil {
			return false, stop
		}
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

// busy says whether a call was told when to come back by an answer that leaves its
// effect open.
func busy(err error) bool {
	e, ok := errors.AsType[*defender.Error](err)
	return ok && e.Busy()
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
		var now time.Time // of the judgement: the clock may be set behind it
		v, err := c.store.Judge(c.opt.budget(c.key, kind), func() time.Time { now = c.clock.Now(); return now })
		if err != nil {
			return err
		}
		if v.Free > 0 {
			return nil
		}
		d := time.Second
		if !v.At.IsZero() {
			d = min(v.At.Sub(now), time.Minute) // or while it is slept
		}
		if err := wait(ctx, max(time.Millisecond, d)); err != nil {
			return err
		}
	}
}

// pages reads a list to its end, page by page, without what came twice. A page
// that is not found is asked for twice, since that is wrong at times. If it is not
// the first it is the empty one behind the last: so an empty list may be told.
func pages[T any](ctx context.Context, c *caller, kind string, id func(T) string,
	page func(ctx context.Context, skip int, gate defender.Gate) ([]T, defender.Exchange, error)) (all []T, at time.Time, err error) {
	seen := map[string]bool{}
	for skip := 0; ; skip += pageSize {
		var got []T
		ask := func() (time.Time, error) {
			return c.read(ctx, kind, func(ctx context.Context, gate defender.Gate) (x defender.Exchange, err error) {
				got, x, err = page(ctx, skip, gate)
				return x, err
			})
		}
		began, err := ask()
		if defender.ClassOf(err) == defender.NotFound {
			began, err = ask()
		}
		switch {
		case skip > 0 && defender.ClassOf(err) == defender.NotFound:
			return all, at, nil
		case err != nil:
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
