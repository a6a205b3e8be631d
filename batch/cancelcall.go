package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

const (
	reasonCancelled = "cancelled on request"
	cancelCalls     = 10 // for one action, at most
	outcomeInDoubt  = "in doubt"
)

func isCancelled(status string) bool {
	return strings.EqualFold(status, "Cancelled") || strings.EqualFold(status, "Canceled")
}

// one cancels one action and returns when its fate is known, or when it cannot
// be had. An error is why the whole cancel cannot go on.
//
// A call whose answer is not known is never simply made again: the action
// itself is read, until it is cancelled or until the call can no longer take
// effect.
func (c *canceller) one(ctx, hard context.Context, t *checkpoint.Task) error {
	if until, ok := c.doubts[t.Device]; ok { // of an earlier run
		if final, err := c.follow(ctx, t, until); final || err != nil {
			return err
		}
	}
	why := ""
	for calls, tries := 0, 0; calls < cancelCalls; {
		if err := errors.Join(c.slot(ctx, CallCancel), ctx.Err()); err != nil {
			return err
		}
		over, err := c.alone(ctx)
		if err != nil {
			return err
		}
		x, err, broken := c.post(hard, t)
		over()
		if broken != nil {
			return broken
		}
		until := time.Now().Add(invisible)
		switch class := defender.ClassOf(err); {
		case err == nil:
			why = "it was taken for cancelled and is not"
		case class == defender.Forbidden:
			return c.leave(t, err.Error(), class)
		case class == defender.WrongDevice:
			return &Stop{Why: "Defender answered for another action than the one that was named", Err: err, Code: CodeGuard}
		case class == defender.InDoubt && !busy(err):
			why, until = "no answer is known to its cancel calls", time.Now().Add(c.opt.Timeout)
		case class == defender.Refused:
			why = err.Error()
		case class == defender.NotFound: // wrong at times, and for fresh actions
			why, until = err.Error(), time.Now().Add(5*time.Second<<calls)
		default:
			if err := c.pause(ctx, err, x, &tries); err != nil {
				return err
			}
			if class == defender.InDoubt { // it may have been cancelled all the same
				if final, err := c.follow(ctx, t, time.Now()); final || err != nil {
					return err
				}
			}
			continue
		}
		calls, tries = calls+1, 0
		if isFinal(t.Action) {
			return nil
		}
		if final, err := c.follow(ctx, t, until); final || err != nil {
			return err
		}
	}
	return c.leave(t, why, defender.Unclassified)
}

// post makes one cancel call and writes what became of it. err is the call's,
// broken that of the writing.
func (c *canceller) post(hard context.Context, t *checkpoint.Task) (x defender.Exchange, err, broken error) {
	tag := ""
	if !c.opt.NoTag {
		tag = checkpoint.Tag()
	}
	c.mu.Lock()
	a := &attempt{c: c.caller, kind: CallCancel, intent: checkpoint.Intent{Run: c.run, Device: t.Device, Number: c.calls[t.Device] + 1,
		Tag: tag, Action: t.Action.ID}}
	c.tags[t.Device] = append(c.tags[t.Device], tag)
	c.mu.Unlock()
	c.inFlight.Add(1)
	action, x, err := c.client.Cancel(hard, t.Action.ID, comment(c.plan.Request.Comment, tag), a.gate)
	c.inFlight.Add(-1)
	c.mu.Lock()
	c.calls[t.Device] += a.number
	n := c.calls[t.Device]
	if err == nil {
		c.forbidden = 0
	}
	c.mu.Unlock()
	if a.id == 0 {
		return x, err, nil
	}
	word := defender.ClassOf(err).String()
	var to *checkpoint.TaskChange
	if err == nil {
		word = "cancelled"
		to = c.fate(t, action)
	}
	out := outcomeOf(word, err, x)
	if broken = a.over(out, to); broken != nil {
		return x, err, broken
	}
	if to != nil {
		set(&t.Action, to.Action)
		set(&t.Reason, to.Reason)
	}
	c.logOutcome(c.about.Name, t, n, x, out.Outcome)
	c.heard(CallCancel, x, err)
	return x, err, nil
}

// fate is what an action that was read says about the task, nil if nothing new.
func (c *canceller) fate(t *checkpoint.Task, a defender.MachineAction) *checkpoint.TaskChange {
	to := checkpoint.TaskChange{N: t.N}
	if changes := seen(t, a); len(changes) > 0 {
		to = changes[0].to
	}
	switch {
	case !a.Final():
	case !isCancelled(a.Status):
		to.Reason = ptr(a.Status + " before it could be cancelled")
	case a.CancellationRequestor == "" || c.oursToo(t, a):
		to.Reason = ptr(reasonCancelled)
	default:
		to.Reason = ptr("cancelled by " + a.CancellationRequestor)
	}
	if to.Action == nil && to.Reason == nil {
		return nil
	}
	return &to
}

// oursToo says whether an action was cancelled by a call of ours.
func (c *canceller) oursToo(t *checkpoint.Task, a defender.MachineAction) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.tags[t.Device], func(tag string) bool {
		return tag == "" || strings.Contains(a.CancellationComment, "["+tag+"]")
	})
}

// follow reads an action until it is final, or until the time is up, of the clock
// that cannot be set.
func (c *canceller) follow(ctx context.Context, t *checkpoint.Task, until time.Time) (final bool, err error) {
	for n := 0; ; n++ {
		a, err := c.get(ctx, t.Action.ID)
		switch {
		case err == nil:
			if to := c.fate(t, a); to != nil {
				if _, err := c.write([]change{{t, *to}}); err != nil {
					return false, err
				}
			}
			if a.Final() {
				return true, nil
			}
		case defender.ClassOf(err) != defender.NotFound: // a fresh one may not be there yet
			return false, readStop(err)
		}
		left := time.Until(until)
		if left <= 0 {
			return false, nil
		}
		if err := wait(ctx, min(backoff(n), left)); err != nil {
			return false, err
		}
	}
}

// pause waits before a call that had no effect is made again; tries counts those
// in a row that nobody answered.
func (c *canceller) pause(ctx context.Context, failed error, x defender.Exchange, tries *int) error {
	again, failed := c.again(ctx, CallCancel, failed, x)
	switch {
	case !again:
		return failed
	case failed == nil: // no slot, a hold, a token: at once
		*tries = 0
		return nil
	}
	if stop := c.silent(CallCancel, failed); stop != nil {
		return stop
	}
	*tries++
	return wait(ctx, patience(backoff(*tries-1), failed))
}

// leave gives an action up.
func (c *canceller) leave(t *checkpoint.Task, why string, class defender.Class) error {
	c.mu.Lock()
	c.left[t.N] = true
	c.forbidden++
	if class != defender.Forbidden {
		c.forbidden = 0
	}
	row := c.forbidden
	c.mu.Unlock()
	_, err := c.write([]change{{t, checkpoint.TaskChange{N: t.N, Reason: ptr("could not be cancelled: " + why)}}})
	if err == nil && row >= refusedInRow {
		return &Stop{Why: fmt.Sprintf("%d cancel calls in a row were forbidden", row), Code: CodeGuard,
			Hint: "the application or user may not cancel these actions: look at its permissions and at the role's device groups"}
	}
	return err
}
