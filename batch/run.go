package batch

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// Runner works on one batch. One goroutine, that of Run, owns its state; the
// workers only make calls and write what became of them.
type Runner struct {
	*caller
	show      func(Progress)
	keep      map[int64]string // why a task in doubt is not to be called again
	takes     int              // so many of what is pending
	from      int64            // the last event before the round
	name      string
	sim       bool
	settling  bool            // what is in doubt is looked up, and nothing is sent
	over      map[string]bool // actions of other batches that were looked at for --again: whether they are over
	requestor string          // as which our actions are known, if they are
	rng       *rand.Rand
	group     *errgroup.Group
	ended     chan ended // calls that are over

	total  int
	counts map[checkpoint.Status]int
	ready  []*work
	later  []*work
	doubt  []*work      // in doubt, or already active with an action that is not known
	flying int          // workers at work
	opened atomic.Int64 // of these, those that have not reserved yet

	looking   bool                    // a look-up is under way
	trouble   atomic.Pointer[string]  // why it gets no answer; nil while it does
	sentCalls int                     // offboard calls of this run that left, whatever became of them
	answered  int                     // devices that have a final status from calls since a guard last stopped the batch
	failures  int                     // of these, those that count against the threshold
	rows      map[row]map[string]bool // the devices in each
	doubtsRow int                     // calls in a row that ended in doubt

	out struct { // an outage
		until time.Time
		tries int
		why   string
	}
	turned              map[int64]bool // tasks that were turned away since a call was last answered
	probing             bool           // calls go one at a time
	epoch               int            // how often that began
	asking              int            // calls under way that left in this epoch
	jumps               int            // of the clock that were noticed
	stopping            *Stop
	cancel              context.CancelFunc // of waits and reads
	waitFor, waitIs     string             // in words, and of what kind it is
	waitTill            time.Time
	waitLogged          string    // the last wait that the log was told of
	waitSince           time.Time // when it began
	waitKind            string    // and of what kind it was
	waitKept            bool      // it is in the chain
	shutFrom, shutUntil time.Time // calling is not allowed in between
	judged              judgedBy
	forecast            struct {
		made  time.Time
		at    time.Time
		why   string
		night int
	}
}

// ended is what a worker tells when its call is over and written.
type ended struct {
	w      *work
	v      verdict
	sent   int   // requests that left
	err    error // why the run cannot go on
	looked *looked
}

// Run works until all that can be done is done, or something stops it, and
// returns why: nil when it ran to the end. When ctx is done nothing new is
// sent, and calls in flight are waited for; when hard is done, they are given
// up. Whatever happens, what was sent is on the disk.
func (r *Runner) Run(ctx, hard context.Context) (stop *Stop) {
	r.group = &errgroup.Group{}
	r.group.SetLimit(r.opt.Workers + 1) // and one look-up
	r.ended = make(chan ended, r.opt.Workers+1)
	defer r.group.Wait()
	ctx, r.cancel = context.WithCancel(ctx)
	defer r.cancel()

	r.note = r.troubled
	r.untilOpen(ctx)
	if r.stopping == nil {
		r.stop(r.first(ctx))
	}
	if r.left() > 0 { // the look may have been held for hours
		r.stop(r.judged.outdated(r.clock.Now(), false))
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		if ctx.Err() != nil {
			r.stop(Interruption(""))
		}
		r.halted.Store(r.stopping != nil)
		wake, more := r.dispatch(ctx, hard)
		if !more && r.flying == 0 && !r.looking {
			r.tell()
			if r.left() == 0 && r.stopping != nil && r.stopping.Why == Interrupted && r.counts[checkpoint.Pending] == 0 {
				return nil // it was interrupted when all was done
			}
			return r.stopping
		}
		timer := time.NewTimer(wake)
		interrupted := ctx.Done()
		if r.stopping != nil {
			interrupted = nil
		}
		select {
		case e := <-r.ended:
			r.take(e)
		case <-timer.C:
		case <-tick.C:
			r.tell()
		case <-beat.C:
			r.beat()
		case <-interrupted:
		}
		timer.Stop()
	}
}

// left is how many tasks this run has still to send or to look up.
func (r *Runner) left() int { return len(r.ready) + len(r.later) + len(r.doubt) }

// beatEvery is how often a run does what is due every few seconds.
const beatEvery = 10 * time.Second

// beat gives a sign of life, brings the head file up to date, and sees whether the
// batch was closed.
func (r *Runner) beat() {
	r.stop(asStop(r.store.Alive(r.batch, r.run, r.clock.Now())))
	r.stop(asStop(r.store.KeepHead()))
	r.stop(r.recalled())
}

// asStop makes an error the reason for a stop; nil stays nil.
func asStop(err error) *Stop {
	if err == nil {
		return nil
	}
	var s *Stop
	var closed *checkpoint.Closed
	switch {
	case errors.As(err, &s):
		return s
	case errors.As(err, &closed):
		return closedStop(closed.Why)
	case errors.Is(err, context.Canceled), errors.Is(err, errHalted):
		return Interruption("")
	case errors.Is(err, checkpoint.ErrDisk):
		return &Stop{Why: "nothing more can be written", Err: err, Code: CodeError,
			Hint: HintOfDisk(err)}
	case defender.ClassOf(err) == defender.BadIdentity:
		return &Stop{Why: "authorization lost", Err: err, Code: CodeGuard, Hint: hint(err)}
	}
	return &Stop{Why: "the run cannot go on", Err: err, Code: CodeError, Hint: "the same command goes on"}
}

// HintOfDisk says what to do about an error that is a checkpoint.ErrDisk.
func HintOfDisk(err error) string {
	mend := "make space"
	if errors.Is(err, checkpoint.ErrDenied) {
		mend = "let this user write the checkpoint, the files beside it and their folder,"
	}
	return "nothing that was answered is lost; " + mend + " and run the same command again"
}

// stop ends the run for a reason; the first one stays, unless a worse one comes.
func (r *Runner) stop(s *Stop) {
	if s != nil && (r.stopping == nil || r.stopping.Code == CodeStopped && s.Code != CodeStopped) {
		r.stopping = s
		r.halted.Store(true)
		r.cancel()
	}
}

// dispatch sends what may be sent, and returns when to look again at the
// latest, and whether anything is left to wait for.
func (r *Runner) dispatch(ctx, hard context.Context) (wake time.Duration, more bool) {
	r.await("", "", time.Time{})
	if r.stopping != nil {
		return time.Minute, false
	}
	r.noticeJump()
	now := r.clock.Now()
	wakes := []time.Time{now.Add(time.Minute)}
	r.promote(now, &wakes)
	if until, ok := r.closed(now); !ok {
		r.await(WaitedForHours, errClosed.Error(), until)
		wakes = append(wakes, until)
	} else {
		r.lookUp(ctx, now, &wakes)
		if len(r.ready) > 0 {
			r.send(hard, now, &wakes)
		}
	}
	if blocked := r.blocked(); blocked != "" {
		r.stop(&Stop{Why: "what is left is in flight or in doubt in batch " + strconv.Quote(blocked), Code: CodeStopped,
			Hint: r.goesOn(blocked)})
	}
	more = r.left() > 0
	if more && r.waitFor == "" && r.flying == 0 && len(r.ready) == 0 {
		till := slices.MinFunc(wakes, time.Time.Compare)
		trouble := r.trouble.Load()
		switch {
		case trouble != nil:
			r.await(WaitedForDefender, *trouble, till)
		case len(r.doubt) > 0:
			r.await(WaitedForSettling, waitSettle, till)
			if r.looking {
				r.awaitLook()
			}
		default:
			r.await(WaitedForRetry, waitRetry, till)
		}
	}
	return max(time.Millisecond, slices.MinFunc(wakes, time.Time.Compare).Sub(now)), more && r.stopping == nil
}

// blocked names the batch that has all that is left to do here; empty if there
// is anything else.
func (r *Runner) blocked() (batch string) {
	if r.flying > 0 || r.looking || len(r.ready)+len(r.doubt) > 0 {
		return ""
	}
	for _, w := range r.later {
		if w.blocked == "" {
			return ""
		}
		batch = w.blocked
	}
	return batch
}

// goesOn says how a batch is brought on that has devices in doubt.
func (r *Runner) goesOn(name string) string {
	var b checkpoint.Batch
	err := r.store.View(context.Background(), func(rd checkpoint.Reader) (err error) {
		b, err = rd.FindBatch(r.key.Cloud, r.key.Tenant, name)
		return err
	})
	if err == nil && b.Closed != "" {
		return "that batch is closed: cancel " + strconv.Quote(name) + " settles it, then run this one again"
	}
	return "run that batch again, then this one"
}

// promote takes what may be tried again from now on.
func (r *Runner) promote(now time.Time, wakes *[]time.Time) {
	r.later = slices.DeleteFunc(r.later, func(w *work) bool {
		if w.NotBefore.After(now) {
			*wakes = append(*wakes, w.NotBefore)
			return false
		}
		w.blocked = ""
		r.ready = append(r.ready, w)
		return true
	})
}

// send starts as many calls as the quota, the workers, the hours and an outage
// allow.
func (r *Runner) send(hard context.Context, now time.Time, wakes *[]time.Time) {
	room := r.opt.Workers - r.flying
	if r.out.until.After(now) {
		r.await(WaitedForDefender, r.out.why, r.out.until)
		*wakes = append(*wakes, r.out.until)
		return
	}
	if r.probing {
		room = min(room, 1-r.asking)
	}
	if r.limited() {
		return
	}
	if r.opt.Limit > 0 {
		room = min(room, r.opt.Limit-r.sentCalls-r.flying)
	}
	if room <= 0 || r.stopping != nil {
		return
	}
	v, err := r.store.Judge(r.opt.budget(r.key, CallOffboard), r.clock.Now)
	if err != nil {
		r.stop(asStop(err))
		return
	}
	room = min(room, v.Free-int(r.opened.Load()))
	for ; room > 0 && len(r.ready) > 0; room-- {
		w := r.ready[0]
		r.ready = r.ready[1:]
		r.flying++
		r.launched(w)
		r.opened.Add(1)
		r.group.Go(func() error {
			var e ended
			if err := guarded(func() error { e = r.offboard(hard, w); return nil }); err != nil {
				e = ended{w: w, v: verdict{next: ready}, err: err}
			}
			r.ended <- e
			return nil
		})
	}
	if len(r.ready) > 0 && v.Free == 0 {
		r.awaitSlot(v)
		if !v.At.IsZero() {
			*wakes = append(*wakes, v.At)
		}
	}
}
