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

// changeAll writes many changes, some hundred in an event.
func (r *Runner) changeAll(kind string, changes []checkpoint.TaskChange) error {
	now := r.clock.Now()
	for part := range slices.Chunk(changes, perEvent) {
		if err := r.change(now, kind, part...); err != nil {
			return err
		}
	}
	return nil
}

// perEvent is how many lines or changes an event holds at most.
const perEvent = 500

// deadline is from when on an absent action counts as one that does not exist.
func (r *Runner) deadline(w *work) time.Time { return w.DoubtUntil.Add(r.opt.SettleWait) }

// toDoubt takes a task up that must be looked up before anything else.
func (r *Runner) toDoubt(w *work) {
	if r.opt.NoReads {
		return // it stays in doubt, and is not called again
	}
	now := r.clock.Now()
	w.looks = 0
	r.nextLook(w, now)
	if w.jumps != r.clock.Jumps() { // while it was called
		r.distrust(w, now)
	}
	r.doubt = append(r.doubt, w)
}

// nextLook plans a look: soon at first, then less often, and at the deadline.
func (r *Runner) nextLook(w *work, now time.Time) {
	step := r.opt.SettleWait / 10
	if w.looks == 0 {
		step /= 10
	}
	w.looks++
	w.look = now.Add(max(step, time.Second)) // a short wait must not spend the quota on looks
	if d := r.deadline(w); now.Before(d) && w.look.After(d) {
		w.look = d
	}
}

// found settles what a look shows. Absence counts only in a look that began
// after the deadline.
func (r *Runner) found(l *looked) {
	if defender.ClassOf(l.err) == defender.NotFound {
		r.foundNoList()
		return
	}
	if l.err != nil {
		if !errors.Is(l.err, errHalted) && !errors.Is(l.err, context.Canceled) {
			r.stop(asStop(l.err))
		}
		return
	}
	r.outages.answered(noList)
	now := r.clock.Now()
	if l.jumps != r.clock.Jumps() {
		l.at = time.Time{} // a moment of one clock is not after a deadline of another
	}
	var changes []checkpoint.TaskChange
	var settled []*work
	r.doubt = slices.DeleteFunc(r.doubt, func(w *work) bool {
		c, ok := r.settle(w, l, now)
		if !ok {
			if w.Status == checkpoint.InDoubt || l.asked[w.Device] { // else its turn comes
				r.nextLook(w, now)
			}
			return false
		}
		changes, settled = append(changes, c), append(settled, w)
		return true
	})
	if err := r.changeAll("settle", changes); err != nil {
		r.stop(asStop(err))
		return
	}
	for i, w := range settled {
		w.apply(changes[i])
		r.recount(w)
		r.opt.logger().Info(LogSettle, r.standing(r.name, &w.Task)...)
		if w.Status == checkpoint.Pending {
			if !r.settling && (r.opt.Canary == 0 || w.placed) { // else it waits with the rest
				r.later = append(r.later, w)
			}
			continue
		}
		word := "accepted"
		if w.Status == checkpoint.Failed {
			word = "failed"
		}
		r.judge(w, verdict{next: done, word: word})
	}
}

// noList is what goes without an answer while look-ups find no list.
const noList = "list"

// foundNoList plans another look: there may be no list where there are no
// actions, or none for the moment. For absence it is never taken.
func (r *Runner) foundNoList() {
	if without := r.outages.unanswered(noList, 0); without > r.opt.SettleWait+r.opt.MaxOutage {
		r.stop(&Stop{Why: fmt.Sprintf("Defender had no list of actions for %v, and devices are in doubt", without.Round(time.Minute)),
			Code: CodeStopped, Hint: "look the devices in doubt up in the portal; the same command looks for their actions again"})
		r.stop(asStop(r.nowhereToLook()))
	}
	now := r.clock.Now()
	for _, w := range r.doubt {
		if !w.look.After(now) {
			r.nextLook(w, now)
		}
	}
}

// nowhereToLook writes that devices in doubt were not found for want of a list. The
// rest of a batch waits for them no longer.
func (r *Runner) nowhereToLook() error {
	var changes []checkpoint.TaskChange
	for _, w := range r.doubt {
		if w.Status == checkpoint.InDoubt && !staysInDoubt(&w.Task) {
			changes = append(changes, checkpoint.TaskChange{N: w.N, Reason: ptr(reasonNoList)})
		}
	}
	return r.changeAll("settle", changes)
}

const reasonNoList = "Defender has no list of actions to find this call's in; look the device up in the portal"

// settle says what a look shows of one task in doubt; ok is false while it must
// be looked at again.
func (r *Runner) settle(w *work, l *looked, now time.Time) (c checkpoint.TaskChange, ok bool) {
	c = checkpoint.TaskChange{N: w.N, Reason: ptr("")}
	actions := l.of(w)
	past := !l.at.Before(r.deadline(w))
	for _, a := range actions {
		if w.ours(a) && w.another(a) {
			c.Reason = ptr(anotherReason(a))
			return c, true
		}
		if w.ours(a) || r.looksOurs(w, a) {
			c.Status, c.Action, c.Reason = checkpoint.Accepted, actionOf(a), ptr("found by its tag")
			if !w.ours(a) {
				c.Reason = ptr("matched by device, time and requestor")
			}
			if w.Attempts == 0 { // its call was turned away, as was said
				c.Attempts = ptr(1)
			}
			return c, true
		}
	}
	open := openOf(actions)
	if w.Status == checkpoint.AlreadyActive {
		switch past := past && l.asked[w.Device]; {
		case open < 0 && !past:
			return c, false
		case open < 0 && len(actions) > 0:
			open = 0 // it became final before it was seen
		case open < 0:
			c.Reason = ptr("Defender said that an action is open; it is not in the list of actions")
			return c, true
		}
		c.Action, c.Reason = actionOf(actions[open]), ptr(openReason(actions[open]))
		return c, true
	}
	if !past {
		return c, false
	}
	if open >= 0 {
		c.Status, c.Action, c.Reason = checkpoint.AlreadyActive, actionOf(actions[open]), ptr(openReason(actions[open]))
		return c, true
	}
	if i := r.done(w, actions); i >= 0 {
		c.Status, c.Action, c.Reason = checkpoint.Skipped, actionOf(actions[i]), ptr(doneReason(actions[i]))
		return c, true
	}
	if i := r.mayBeOurs(w, actions); i >= 0 { // a call too many is worse than a doubt
		c.Reason = ptr(maybeReason(actions[i]))
		return c, true
	}
	if strings.HasPrefix(w.Reason, reasonAnother) { // there is an action, whatever it is of
		c.Reason = &w.Reason
		return c, true
	}
	if why := r.keep[w.N]; why != "" { // a guard that was not there when it was sent
		c.Status, c.Reason = checkpoint.Skipped, &why
		return c, true
	}
	if w.Attempts >= r.opt.MaxAttempts {
		c.Status = checkpoint.Failed
		c.Reason = ptr(fmt.Sprintf("%d attempts without an answer, and no action of theirs was found", w.Attempts))
		return c, true
	}
	c.Status = checkpoint.Pending
	c.Reason = ptr(fmt.Sprintf("attempt %d had no answer, and no action of it was found", w.requests))
	c.NotBefore = ptr(now.Add(r.jitter(time.Second << min(w.Attempts, 6))))
	return c, true
}
