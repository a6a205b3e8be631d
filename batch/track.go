package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// TrackOptions say for how long the actions of a batch are watched. The zero
// value looks once.
type TrackOptions struct {
	Every      time.Duration // between two looks, while actions are fresh
	UntilFinal bool          // look until every action is final or missing
	For        time.Duration // and no longer than this; with it alone, too, it looks again
	// Inventory says to keep at the end what the inventory says of each device:
	// evidence of how it is, and no proof of why.
	Inventory bool
	Note      func(string) // told when Defender cannot be reached or asks to wait; may be nil
}

// next is how long to wait for the next look: a tenth of the age of the youngest
// open action. A device that was not online for a day will not be within the
// next minute, and its answer is not worth a call a minute.
func (o TrackOptions) next(youngest time.Duration) time.Duration {
	return min(max(o.Every, youngest/10), max(o.Every, 15*time.Minute))
}

// Track asks Defender how the actions of a batch went and writes what has
// changed, once or until all are final. It does not need the batch: a run may
// be at work on it at the same time, and what that one sends is watched too. A
// second tracker of the same batch gets an *ErrOtherRunner.
//
// What it says of an action is what Defender says, in Defender's words. An
// action that is not there counts as open for two minutes, since reads lag, and
// as missing then.
func (s *Session) Track(ctx context.Context, name string, t TrackOptions, opt Options, show func(Tracking)) (Tracking, *Stop, error) {
	lock, err := s.lock(ctx, whatTrack, name)
	if err != nil {
		return Tracking{}, nil, err
	}
	defer lock.Close()
	b, err := s.known(ctx, name)
	if err != nil {
		return Tracking{}, nil, err
	}
	if err := s.recover(ctx, b.ID, func(run checkpoint.Run) (bool, error) { return run.What == whatTrack, nil }); err != nil {
		return Tracking{}, nil, err
	}
	w := &tracker{watcher: s.watcher(b, &opt), s: s, how: t, show: show}
	w.note = w.troubled(inWords(t.Note))
	state, stop, err := w.watch(ctx)
	if err == nil && stop == nil && t.Inventory {
		stop, err = w.inventory(ctx)
	}
	if err == nil && w.run != 0 {
		why, code := state.why(), state.Code()
		if stop != nil {
			why, code = stop.Error(), stop.Code
		}
		err = w.end(why, code)
	}
	return state, stop, err
}

// refresh tracks a batch once. Where somebody else does, the checkpoint is as
// fresh as a look of ours.
func (s *Session) refresh(ctx context.Context, name string, opt Options, note func(string)) (*Stop, error) {
	_, stop, err := s.Track(ctx, name, TrackOptions{Note: note}, opt, nil)
	if _, other := errors.AsType[*ErrOtherRunner](err); other {
		return nil, nil
	}
	return stop, err
}

// known finds a batch of this tenant that was begun by this application.
func (s *Session) known(ctx context.Context, name string) (b checkpoint.Batch, err error) {
	err = s.Store.View(ctx, func(r checkpoint.Reader) (err error) {
		b, err = r.FindBatch(s.Key.Cloud, s.Key.Tenant, name)
		return err
	})
	if errors.Is(err, checkpoint.ErrNoBatch) {
		return b, &Stop{Why: fmt.Sprintf("batch %q", name), Err: err, Code: CodeUsage,
			Hint: "mde-offboard status lists the batches; they are kept by tenant"}
	}
	if err == nil && b.Key.Application != s.Key.Application {
		err = &Stop{Why: fmt.Sprintf("batch %q was begun by application %s, and this is %s", name, b.Key.Application, s.Key.Application),
			Code: CodeUsage, Hint: "sign in as that application"}
	}
	if err == nil {
		err = s.at(b)
	}
	return b, err
}

// tracker watches the actions of one batch.
type tracker struct {
	*watcher
	s    *Session
	how  TrackOptions
	show func(Tracking)
}

// watch looks until there is nothing more to see, or no more time.
func (w *tracker) watch(ctx context.Context) (state Tracking, stop *Stop, err error) {
	began := time.Now()
	for {
		told := w.s.noteWait(CallListActions, w.how.Note, w.opt)
		state, err = w.round(ctx)
		told()
		if err != nil {
			if isOurs(err) {
				return state, nil, err
			}
			return state, readStop(err), nil
		}
		if err := w.store.KeepHead(); err != nil {
			return state, nil, err
		}
		left := w.how.For - time.Since(began)
		if state.Open == 0 || !w.how.UntilFinal && w.how.For == 0 || w.how.For > 0 && left <= 0 {
			w.tell(state)
			return state, nil, nil
		}
		d := w.how.next(state.Youngest)
		if w.how.For > 0 {
			d = min(d, left) // a last look when the time is up
		}
		state.Next = w.clock.Now().Add(d)
		w.tell(state)
		if wait(ctx, d) != nil {
			return state, asStop(context.Canceled), nil
		}
	}
}

func (w *tracker) tell(state Tracking) {
	if w.show != nil {
		w.show(state)
	}
}

// round makes one look and says what it has shown.
func (w *tracker) round(ctx context.Context) (state Tracking, err error) {
	tasks, err := w.tasks()
	if err != nil {
		return state, err
	}
	changed := 0
	if slices.ContainsFunc(tasks, func(t checkpoint.Task) bool { return isOpen(&t) }) {
		if err := w.begun(); err != nil {
			return state, err
		}
		if changed, err = w.look(ctx, tasks); err != nil {
			return w.stands(tasks, 0), err
		}
	}
	return w.stands(tasks, changed), nil
}

func (w *tracker) stands(tasks []checkpoint.Task, changed int) Tracking {
	state := tally(tasks, w.serverTime(w.clock.Now()))
	state.Batch, state.Simulated, state.Closed, state.Changed = w.about.Name, w.about.Simulated, w.about.Closed != "", changed
	return state
}

// begun begins the run if it has not begun: one that has nothing to ask leaves
// nothing behind.
func (w *tracker) begun() error {
	if w.run != 0 {
		return nil
	}
	return w.begin(w.s, whatTrack, "changes nothing")
}

// noteWait tells, each once and after some seconds of silence, for which windows and
// holds reads of a kind wait, until the function that it returns is called.
func (s *Session) noteWait(kind string, note func(string), opt *Options) (stop func()) {
	if note == nil {
		return func() {}
	}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		_ = guarded(func() error { s.noteWaits(kind, note, opt, done); return nil })
	}()
	return func() { close(done); <-over }
}

func (s *Session) noteWaits(kind string, note func(string), opt *Options, done <-chan struct{}) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for told := ""; ; {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		v, err := s.Store.Judge(opt.budget(s.Key, kind), s.Clock.Now)
		if text := "waiting: " + v.Why + untilText(v.At); err == nil && v.Free == 0 && text != told {
			note(text)
			told = text
		}
	}
}

// inventory keeps what the inventory says of each device with an action.
func (w *tracker) inventory(ctx context.Context) (*Stop, error) {
	inv, err := w.s.Inventory(ctx, whatTrack, *w.opt, w.how.Note)
	if err != nil {
		return asStop(err), nil
	}
	tasks, err := w.tasks()
	if err != nil {
		return nil, err
	}
	var changes []change
	for i := range tasks {
		t := &tasks[i]
		if health := healthOf(inv, t.Device); tracked(t) && health != t.Health {
			changes = append(changes, change{t, checkpoint.TaskChange{N: t.N, Health: &health}})
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	if err := w.begun(); err != nil {
		return nil, err
	}
	_, err = w.write(changes)
	return nil, err
}

// healthOf is the inventory's word on a device.
func healthOf(inv *Inventory, device string) string {
	d, ok := inv.Find(device)
	switch {
	case !ok:
		return "not in the inventory"
	case d.LastSeen.IsZero():
		return d.Health
	}
	return d.Health + ", last seen " + d.LastSeen.UTC().Format(time.RFC3339)
}

// readStop says why a command ends that could not read actions.
func readStop(err error) *Stop {
	if defender.ClassOf(err) == defender.Forbidden {
		return &Stop{Why: "machine actions may not be read", Err: err, Code: CodeError, Hint: "grant Machine.Read.All"}
	}
	return asStop(err)
}
