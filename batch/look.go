package batch

import (
	"context"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// looked is what a look at the actions of the tenant gave.
type looked struct {
	at      time.Time                           // when it began; zero: the list was not found, and nothing counts as absent
	jumps   int                                 // of the clock that were noticed until then
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

// first looks, before the first call of a run, at the Offboard actions that the
// tenant already has, as far back as the service keeps them. A checkpoint that was
// lost, copied or is wrong, another administrator, the portal: none of them leads
// to a second action.
//
// The look may wait for a hold or an outage. Meanwhile it is told how it stands,
// and looked whether the batch was closed.
func (r *Runner) first(ctx context.Context) *Stop {
	if r.left() == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var l *looked
	done := make(chan error, 1)
	go func() {
		done <- guarded(func() (err error) { l, err = r.lookFirst(ctx); return err })
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		r.tellLook()
		select {
		case err := <-done:
			if r.trouble.Store(nil); err == nil && l != nil {
				err = r.seenFirst(l)
			}
			return asStop(err)
		case <-tick.C:
		}
		if n%10 > 0 { // seconds
			continue
		}
		if r.beat(); r.stopping != nil {
			cancel()
			<-done
			return nil
		}
	}
}

// tellLook says what the first look waits for.
func (r *Runner) tellLook() {
	r.await(WaitedForLook, WaitLookFirst, time.Time{})
	if trouble := r.trouble.Load(); trouble != nil {
		r.await(WaitedForDefender, *trouble, time.Time{})
	}
	r.awaitLook()
	r.tell()
}

// awaitLook says for which window or hold a look waits, if it does.
func (r *Runner) awaitLook() {
	if v, err := r.store.Judge(r.opt.budget(r.key, CallListActions), r.clock.Now); err == nil && v.Free == 0 {
		r.awaitSlot(v)
	}
}

// troubled notes, for the status line and the log, that a look gets no answer.
func (r *Runner) troubled(err error) {
	r.trouble.Store(ptr(err.Error()))
	r.logOutage(r.name, err, time.Time{})
}

// lookFirst reads what the first look is about; nil where nothing may be read.
func (r *Runner) lookFirst(ctx context.Context) (*looked, error) {
	if r.opt.NoReads {
		return nil, r.askTheTime(ctx)
	}
	all, at, err := r.actions(ctx, defender.ActionQuery{Type: "Offboard"})
	empty := defender.ClassOf(err) == defender.NotFound // so an empty list may be told
	if err != nil && !empty {
		if defender.ClassOf(err) == defender.Forbidden {
			return nil, &Stop{Why: "machine actions may not be read", Err: err, Code: CodeError,
				Hint: "grant Machine.Read.All, or give --no-inventory: then nothing can be looked up or settled"}
		}
		return nil, err
	}
	if empty {
		at = time.Time{} // which settles nothing
	}
	l := &looked{at: at, jumps: r.jumps}
	l.add(all...)
	if !r.opt.Again {
		return l, nil
	}
	return l, r.former(ctx, l)
}

// seenFirst takes what the first look has shown.
func (r *Runner) seenFirst(l *looked) error {
	r.distrustFormer()
	var changes []checkpoint.TaskChange
	r.ready = slices.DeleteFunc(r.ready, func(w *work) bool { return r.before(w, l, &changes) })
	r.later = slices.DeleteFunc(r.later, func(w *work) bool { return r.before(w, l, &changes) })
	if err := r.changeAll("look-first", changes); err != nil {
		return err
	}
	r.found(l)
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

// before says whether what the tenant already has makes a call needless.
func (r *Runner) before(w *work, l *looked, changes *[]checkpoint.TaskChange) bool {
	c := checkpoint.TaskChange{N: w.N, Reason: ptr("")}
	for i, a := range l.of(w) {
		switch {
		case w.ours(a) && w.another(a):
			c.Status, c.Reason = checkpoint.InDoubt, ptr(anotherReason(a))
			*changes = append(*changes, c)
			w.apply(c)
			r.recount(w)
			return true
		case w.ours(a):
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
	jumps := r.jumps
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
		l.jumps = jumps
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
