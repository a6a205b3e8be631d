package batch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// WaitClosed is the wait for the hours that are allowed.
const WaitClosed = "outside the allowed hours"

// errClosed says that a call came too late for them.
var errClosed = errors.New(WaitClosed)

// Closed says until when calling is not allowed at a moment, or why there will
// be no call any more; both are zero while it is allowed.
func (o *Options) Closed(now time.Time) (until time.Time, stop *Stop) {
	if !o.Until.IsZero() && !now.Before(o.Until) {
		return until, &Stop{Why: "the time is up", Code: CodeStopped, Asked: true}
	}
	if o.Allowed == nil {
		return until, nil
	}
	open := o.Allowed(now)
	if !open.After(now) {
		return until, nil
	}
	if !o.Wait {
		return until, &Stop{Why: errClosed.Error(), Code: CodeStopped, Asked: true,
			Hint: "run the same command again from " + open.Format("Mon 2006-01-02 15:04 MST") + " on, or give --wait"}
	}
	return open, nil
}

// closed says until when this run must not call; ok if it may. It ends the run
// when there is nothing to wait for.
func (r *Runner) closed(now time.Time) (until time.Time, ok bool) {
	if r.left() == 0 {
		return now, true // nothing is left to be called
	}
	// Once a second for as long as a day: what is known of it is not asked again.
	if !now.Before(r.shutFrom) && now.Before(r.shutUntil) && r.opt.Until.IsZero() {
		return r.shutUntil, false
	}
	until, stop := r.opt.Closed(now)
	if stop != nil {
		r.stop(stop)
		return now, false
	}
	r.shutFrom, r.shutUntil = now, until
	if until.IsZero() {
		return until, r.stillJudged(now)
	}
	r.waited.Store(true)
	return until, false
}

// stillJudged says whether what the plan was judged by serves after a wait for the
// hours, and ends the run where it does not: what was protected meanwhile is to be
// heeded.
func (r *Runner) stillJudged(now time.Time) bool {
	spent := r.opt.Limit > 0 && r.sentCalls >= r.opt.Limit // then nothing more is sent
	if !r.waited.Swap(false) || spent {
		return true
	}
	stop := r.judged.outdated(now, true)
	r.stop(stop)
	return stop == nil
}

// untilOpen waits, before the first call of a run, for the hours.
func (r *Runner) untilOpen(ctx context.Context) {
	for n := 0; ctx.Err() == nil && r.stopping == nil; n++ {
		if n%10 == 0 { // seconds
			r.beat()
		}
		until, ok := r.closed(r.clock.Now())
		if ok {
			return
		}
		r.await(WaitedForHours, errClosed.Error(), until)
		r.tell()
		wait(ctx, time.Second)
	}
}

// hours waits until calls are allowed, in steps: the time that has passed, which
// a timer knows, is not that of a wall clock that is set or of a machine that
// sleeps. It returns the reason if there is nothing to wait for.
func (c *caller) hours(ctx context.Context) error {
	for {
		now := c.clock.Now()
		until, stop := c.opt.Closed(now)
		if stop != nil {
			return stop
		}
		if until.IsZero() {
			return nil
		}
		c.waited.Store(true)
		if err := wait(ctx, min(time.Minute, until.Sub(now))); err != nil {
			return err
		}
	}
}

// limited says whether the run has made as many calls as it may, and ends it
// when none of them is in doubt any more.
func (r *Runner) limited() bool {
	if r.opt.Limit == 0 || r.sentCalls < r.opt.Limit {
		return false
	}
	if r.flying == 0 && !r.looking && len(r.doubt) == 0 {
		made := "calls were"
		if r.sentCalls == 1 {
			made = "call was"
		}
		r.stop(&Stop{Why: fmt.Sprintf("%d %s made, as --limit says", r.sentCalls, made), Code: CodeStopped, Asked: true})
	}
	return true
}
