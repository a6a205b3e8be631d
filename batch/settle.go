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

// looked is what a look at the actions of the tenant gave.
type looked struct {
	at      time.Time                           // when it began
	actions map[string][]defender.MachineAction // by device, the youngest first
	tagged  map[string]defender.MachineAction   // by the tag at the end of the comment
	ids     map[string]defender.MachineAction   // by their own id
	asked   map[string]bool                     // devices that were asked for one by one: all their actions are here
	err     error
}

// add takes actions that were read.
func (l *looked) add(actions ...defender.MachineAction) {
	if l.actions == nil {
		l.actions = map[string][]defender.MachineAction{}
		l.tagged, l.ids = map[string]defender.MachineAction{}, map[string]defender.MachineAction{}
	}
	touched := map[string]bool{}
	for _, a := range actions {
		id := strings.ToLower(a.MachineID)
		l.actions[id], touched[id] = append(l.actions[id], a), true
		l.ids[strings.ToLower(a.ID)] = a
		if tag := tagIn(a.RequestorComment); tag != "" {
			l.tagged[tag] = a
		}
	}
	for id := range touched {
		slices.SortStableFunc(l.actions[id], func(a, b defender.MachineAction) int { return b.Created.Compare(a.Created) })
	}
}

// of are the actions that may be a task's: those with a tag of its attempts,
// whatever device they name (a list may name none), and then all of its device.
func (l *looked) of(w *work) (all []defender.MachineAction) {
	for _, tag := range w.tags {
		if a, ok := l.tagged[tag]; ok && a.MachineID != w.Device {
			all = append(all, a)
		}
	}
	return append(all, l.actions[w.Device]...)
}

// lookFirst looks, before the first call of a run, at the Offboard actions that
// the tenant already has, as far back as the service keeps them. A checkpoint
// that was lost, copied or is wrong, another administrator, the portal: none of
// them leads to a second action.
func (r *Runner) lookFirst(ctx context.Context) error {
	if len(r.ready)+len(r.later)+len(r.doubt) == 0 {
		return nil
	}
	if r.opt.NoReads {
		return r.askTheTime(ctx)
	}
	r.waitFor = WaitLookFirst
	r.tell()
	all, at, err := r.actions(ctx, defender.ActionQuery{Type: "Offboard"})
	if defender.ClassOf(err) == defender.NotFound { // wrong at times
		all, at, err = r.actions(ctx, defender.ActionQuery{Type: "Offboard"})
	}
	empty := defender.ClassOf(err) == defender.NotFound // so an empty list may be told
	if err != nil && !empty {
		if defender.ClassOf(err) == defender.Forbidden {
			return &Stop{Why: "machine actions may not be read", Err: err, Code: CodeError,
				Hint: "grant Machine.Read.All, or give --no-inventory: then nothing can be looked up or settled"}
		}
		return err
	}
	r.distrustFormer()
	l := &looked{at: at}
	l.add(all...)
	if err := r.former(ctx, l); err != nil {
		return err
	}
	var changes []checkpoint.TaskChange
	r.ready = slices.DeleteFunc(r.ready, func(w *work) bool { return r.before(w, l, &changes) })
	r.later = slices.DeleteFunc(r.later, func(w *work) bool { return r.before(w, l, &changes) })
	r.forgetFormer(&changes)
	if err := r.changeAll("look-first", changes); err != nil {
		return err
	}
	if !empty { // which settles nothing
		r.found(l)
	}
	return nil
}

// askTheTime makes a call that may be refused, for its date: a clock that was set
// forward since the last run makes old calls of those of a moment ago, and that
// must show before a burst goes into their slots.
func (r *Runner) askTheTime(ctx context.Context) error {
	_, err := r.read(ctx, CallListActions, func(ctx context.Context, gate defender.Gate) (defender.Exchange, error) {
		_, x, err := r.client.ListActions(ctx, defender.ActionQuery{Top: 1}, gate)
		return x, err
	})
	switch defender.ClassOf(err) {
	case defender.Forbidden, defender.NotFound:
		return nil
	}
	return err
}

// ours says whether an action is of an attempt of the task. One that is over and
// done is of an earlier round if the device is offboarded again, unless it is of
// the very attempt whose answer is not known.
func (r *Runner) ours(w *work, a defender.MachineAction) bool {
	return w.ours(a) && (!r.opt.Again || !a.Final() || w.Status == checkpoint.InDoubt && w.last(a))
}

// before says whether what the tenant already has makes a call needless.
func (r *Runner) before(w *work, l *looked, changes *[]checkpoint.TaskChange) bool {
	c := checkpoint.TaskChange{N: w.N, Reason: ptr("")}
	for i, a := range l.of(w) {
		switch {
		case r.ours(w, a) && w.another(a):
			c.Status, c.Reason = checkpoint.InDoubt, ptr(anotherReason(a))
			*changes = append(*changes, c)
			w.apply(c)
			r.recount(w)
			return true
		case r.ours(w, a):
			c.Status, c.Reason = checkpoint.Accepted, ptr("found by its tag")
		case !a.Final():
			c.Status, c.Reason = checkpoint.AlreadyActive, ptr(openReason(a))
		case i == 0 && a.Succeeded() && !r.opt.Again:
			c.Status, c.Reason = checkpoint.Skipped, ptr(doneReason(a))
		default:
			continue
		}
		c.Action = actionOf(a)
		*changes = append(*changes, c)
		w.apply(c)
		r.recount(w)
		return true
	}
	return false
}

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

// lookUp starts a look when one is due: one list call for all that is in doubt.
func (r *Runner) lookUp(ctx context.Context, now time.Time, wakes *[]time.Time) {
	if r.looking || len(r.doubt) == 0 {
		return
	}
	due := slices.MinFunc(r.doubt, func(a, b *work) int { return a.look.Compare(b.look) })
	if due.look.After(now) {
		*wakes = append(*wakes, due.look)
		return
	}
	r.looking = true
	oldest := slices.MinFunc(r.doubt, func(a, b *work) int { return a.DoubtSince.Compare(b.DoubtSince) }).DoubtSince
	var open []string
	for _, w := range r.doubt {
		if w.Status == checkpoint.AlreadyActive && !w.look.After(now) && len(open) < devicesInLook {
			open = append(open, w.Device)
		}
	}
	r.group.Go(func() error {
		var l *looked
		if err := guarded(func() error { l = r.lookNow(ctx, oldest, open); return nil }); err != nil {
			l = &looked{err: err}
		}
		r.ended <- ended{looked: l}
		return nil
	})
}

// devicesInLook is how many devices are asked for one by one in a look.
const devicesInLook = 20

// slack is by how much the creation time of an action is mistrusted.
const slack = 5 * time.Minute

// lookNow reads the Offboard actions since the oldest doubtful call, or all if
// nobody knows since when by the server's clock, and all actions of the devices
// of which Defender said that one is open: that one may be of any age and type.
func (r *Runner) lookNow(ctx context.Context, oldest time.Time, open []string) *looked {
	all, at, err := r.actionsSince(ctx, defender.ActionQuery{Type: "Offboard"}, func() time.Time {
		since := r.serverTime(oldest)
		if since.IsZero() {
			return since
		}
		return since.Add(-slack)
	})
	asked := map[string]bool{}
	for _, device := range open {
		if err != nil {
			break
		}
		var more []defender.MachineAction
		more, _, err = r.actions(ctx, defender.ActionQuery{MachineID: device})
		for i := range more {
			more[i].MachineID = device // which the answer may leave out
		}
		all, asked[device] = append(all, more...), true
	}
	l := &looked{at: at, asked: asked, err: err}
	l.add(all...)
	return l
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
	r.noList = time.Time{}
	r.noticeJump() // a moment of the old clock must not pass for a deadline that is over
	now := r.clock.Now()
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
		r.opt.logger().Info(LogSettle, r.task(w)...)
		if w.Status == checkpoint.Pending {
			if !r.settling {
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

// foundNoList plans another look: there may be no list where there are no
// actions, or none for the moment. For absence it is never taken.
func (r *Runner) foundNoList() {
	if r.noList.IsZero() {
		r.noList = time.Now()
	}
	if time.Since(r.noList) > r.opt.SettleWait+r.opt.MaxOutage {
		r.stop(&Stop{Why: fmt.Sprintf("Defender had no list of actions for %v, and devices are in doubt", time.Since(r.noList).Round(time.Minute)),
			Code: CodeStopped, Hint: "look the devices in doubt up in the portal; the same command looks for their actions again"})
	}
	now := r.clock.Now()
	for _, w := range r.doubt {
		if !w.look.After(now) {
			r.nextLook(w, now)
		}
	}
}

// settle says what a look shows of one task in doubt; ok is false while it must
// be looked at again.
func (r *Runner) settle(w *work, l *looked, now time.Time) (c checkpoint.TaskChange, ok bool) {
	c = checkpoint.TaskChange{N: w.N, Reason: ptr("")}
	actions := l.of(w)
	past := !l.at.Before(r.deadline(w))
	for _, a := range actions {
		if r.ours(w, a) && w.another(a) {
			c.Reason = ptr(anotherReason(a))
			return c, true
		}
		if r.ours(w, a) || r.looksOurs(w, a) {
			c.Status, c.Action, c.Reason = checkpoint.Accepted, actionOf(a), ptr("found by its tag")
			if !w.ours(a) {
				c.Reason = ptr("matched by device, time and requestor")
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
	c.Reason = ptr(fmt.Sprintf("attempt %d had no answer, and no action of it was found", w.Attempts))
	c.NotBefore = ptr(now.Add(r.jitter(time.Second << min(w.Attempts, 6))))
	return c, true
}
