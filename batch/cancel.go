package batch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mde-offboard/batch/checkpoint"
)

// Cancelling is how a cancel stands at one moment, for whoever shows it.
type Cancelling struct {
	Total, Done int       // actions that are to be cancelled, and those that are settled
	Wait        string    // what it waits for; empty while calls go out
	Until       time.Time // when that ends, zero if nobody can say
}

// Cancelled is what a cancel has come to.
type Cancelled struct {
	Cancelled int               // actions that it has cancelled, or found cancelled
	Before    int               // actions that were cancelled before it
	Late      []checkpoint.Task // to be cancelled, and final in another way before they were
	Left      []checkpoint.Task // to be cancelled, and given up: the reason says why
	Still     int               // actions that are open: it ended before it could cancel them
	InDoubt   int               // devices of which nobody knows yet
	Unsent    int               // devices that were not sent, or turned away each time
	Withdrawn int               // such devices that a cancel of some has taken out of the batch
	Open      bool              // the batch may be run
	Head      string            // of the chain
}

// Code is with what a cancel ends that ran to its end.
func (c *Cancelled) Code() int {
	if len(c.Late)+len(c.Left)+c.Still+c.InDoubt > 0 {
		return CodeIncomplete
	}
	return CodeDone
}

// canceller cancels the actions of one batch.
type canceller struct {
	*watcher
	s    *Session
	plan *CancelPlan
	show func(Cancelling)

	mu        sync.Mutex
	tags      map[string][]string  // of cancel calls, by device
	calls     map[string]int       // cancel calls so far, by device
	doubts    map[string]time.Time // until when a cancel call of an earlier run may take effect
	tried     map[int64]bool       // tasks that this run has tried to cancel
	left      map[int64]bool       // of these, those that it has given up
	forbidden int                  // calls in a row
	trouble   string               // why a look gets no answer; empty while it does
	state     Cancelling
}

// Cancel carries a plan out that was agreed to, in the way that how says. It
// closes the batch, which stops a runner that is at work on it, waits for that
// one to end, cancels the actions that are not final, looks up what is in doubt
// and cancels that too. When ctx is done nothing new is sent; when hard is done
// calls in flight are given up. The same cancel goes on where it was.
//
// What is known is cancelled before what is in doubt is settled, since settling
// takes minutes in which devices come online and carry their actions out.
func (s *Session) Cancel(ctx, hard context.Context, p *CancelPlan, how string, opt Options, show func(Cancelling)) (*Cancelled, *Stop, error) {
	if err := s.close(p, how); err != nil {
		return nil, nil, err
	}
	opt.MaxAttempts, opt.MaxFailures = math.MaxInt, Threshold{From: math.MaxInt} // of offboarding: there is none
	c := &canceller{watcher: s.watcher(p.Batch, &opt), s: s, plan: p, show: show, tags: map[string][]string{}, calls: map[string]int{},
		doubts: map[string]time.Time{}, tried: map[int64]bool{}, left: map[int64]bool{}}
	o, err := c.take(ctx)
	if err != nil {
		return nil, asInterrupted(err), notInterrupted(err)
	}
	defer o.Close()
	if err := c.begin(s, whatCancel, how); err != nil {
		return nil, nil, err
	}
	if err := c.load(); err != nil {
		return nil, nil, err
	}
	stop := asStop(c.work(ctx, hard))
	end, err := c.finish(stop)
	return end, stop, err
}

func asInterrupted(err error) *Stop {
	if errors.Is(err, context.Canceled) {
		return asStop(err)
	}
	return nil
}

func notInterrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// take waits until the batch's runner has seen that it is closed and has let
// its calls in flight finish.
func (c *canceller) take(ctx context.Context) (*Open, error) {
	began, patience := time.Now(), 2*c.opt.Timeout+30*time.Second
	for {
		o, err := c.s.Open(ctx, c.about.Name)
		var other *ErrOtherRunner
		if !errors.As(err, &other) {
			return o, err
		}
		if time.Since(began) > patience {
			return nil, stillHeld(other)
		}
		c.tell(func(s *Cancelling) {
			s.Wait, s.Until = "the batch's runner finishes its calls in flight and stops", time.Time{}
		})
		if err := wait(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// stillHeld says what to do about a runner that does not let go of a batch that
// is closed: one that waits at its prompt does not look.
func stillHeld(other *ErrOtherRunner) *Stop {
	who := "the process that has it, which may be waiting for somebody's answer"
	if other.Run.PID != 0 {
		who = fmt.Sprintf("process %d on %s", other.Run.PID, other.Run.Host)
	}
	return &Stop{Why: "nothing was cancelled yet", Err: other, Code: CodeOtherRunner,
		Hint: "the batch is closed by now, and nothing more of it is sent; end " + who + ", then run cancel again"}
}

// load reads what earlier cancels of the batch have called.
func (c *canceller) load() error {
	return c.store.View(context.Background(), func(r checkpoint.Reader) error {
		attempts, err := r.Attempts(c.batch)
		for _, a := range attempts {
			if a.Kind != CallCancel || !a.Sent {
				continue
			}
			c.calls[a.Device]++
			c.tags[a.Device] = append(c.tags[a.Device], a.Tag)
			delete(c.doubts, a.Device)
			if a.Outcome == outcomeDied || a.Outcome == outcomeInDoubt {
				// As long as since it was, by the clock that the checkpoint is written by,
				// and no longer than it can have effect.
				c.doubts[a.Device] = time.Now().Add(min(a.Over.Add(c.opt.Timeout).Sub(c.clock.Now()), c.opt.Grace()+c.opt.Timeout))
			}
		}
		return err
	})
}

// work goes on until nothing is open and nothing in doubt that is meant, but
// for what could not be cancelled.
func (c *canceller) work(ctx, hard context.Context) error {
	for settled := false; ; {
		now := c.clock.Now()
		if err := c.store.Update(func(tx *checkpoint.Tx) error { return c.plan.withdraw(tx, c.run, now) }); err != nil {
			return err
		}
		tasks, err := c.tasks()
		if err != nil {
			return err
		}
		if err := c.lookTelling(ctx, tasks); err != nil {
			return readStop(err)
		}
		var open []checkpoint.Task
		doubts := 0
		for i := range tasks {
			t := &tasks[i]
			switch {
			case !c.plan.Request.means(t.Device):
			case cancellable(t) && !c.left[t.N]:
				open = append(open, *t)
			case inDoubt(t):
				doubts++
			}
		}
		switch {
		case len(open) > 0:
			err = c.cancel(ctx, hard, open)
		case doubts > 0 && !settled:
			settled, err = true, c.settle(ctx, hard)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// settle looks up what is in doubt, as a run would, and sends nothing.
func (c *canceller) settle(ctx, hard context.Context) error {
	r := &Runner{caller: c.caller, settling: true, name: c.about.Name, sim: c.about.Simulated, counts: map[checkpoint.Status]int{},
		rows: map[row]map[string]bool{}, rng: rand.New(rand.NewPCG(uint64(c.opt.Seed), 0))}
	r.show = func(p Progress) {
		c.tell(func(s *Cancelling) { s.Wait, s.Until = p.Wait, p.Until })
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	if stop := r.Run(ctx, hard); stop != nil {
		return stop
	}
	return nil
}

// cancel cancels actions, some at a time, and returns when it is known of each
// what became of it.
func (c *canceller) cancel(ctx, hard context.Context, open []checkpoint.Task) error {
	group, calling := errgroup.WithContext(ctx)
	group.SetLimit(c.opt.Workers + 1) // and the one who tells
	done := make(chan struct{})
	group.Go(func() error { return guarded(func() error { return c.watchQuota(calling, CallCancel, done) }) })
	c.tell(func(s *Cancelling) { s.Total += len(open) })
	var calls sync.WaitGroup
	for _, t := range open {
		if calling.Err() != nil {
			break
		}
		calls.Add(1)
		group.Go(func() error {
			defer calls.Done()
			c.mu.Lock()
			c.tried[t.N] = true
			c.mu.Unlock()
			err := guarded(func() error { return c.one(calling, hard, &t) })
			if err == nil {
				c.tell(func(s *Cancelling) { s.Done++ })
			}
			return err
		})
	}
	calls.Wait()
	close(done)
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// lookTelling looks at the actions and says what that waits for.
func (c *canceller) lookTelling(ctx context.Context, tasks []checkpoint.Task) error {
	trouble := func(text string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trouble = text
	}
	c.note = c.troubled(func(err error) { trouble(err.Error()) })
	defer trouble("")
	var group errgroup.Group
	done := make(chan struct{})
	group.Go(func() error { return guarded(func() error { return c.watchQuota(ctx, CallListActions, done) }) })
	_, err := c.look(ctx, tasks)
	close(done)
	if watched := group.Wait(); err == nil {
		err = watched
	}
	return err
}

// watchQuota says every second what calls of a kind wait for, gives signs of life and
// keeps the head.
func (c *canceller) watchQuota(ctx context.Context, kind string, done <-chan struct{}) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		v, err := c.store.Judge(c.opt.budget(c.key, kind), c.clock.Now)
		if err != nil {
			return err
		}
		c.tell(func(s *Cancelling) {
			s.Wait, s.Until = c.trouble, time.Time{}
			if v.Free == 0 {
				s.Wait, s.Until = v.Why, v.At
			}
		})
		select {
		case <-tick.C:
		case <-beat.C:
			if err := errors.Join(c.store.Alive(c.batch, c.run, c.clock.Now()), c.store.KeepHead()); err != nil {
				return err
			}
		case <-done:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// tell changes the state and shows it.
func (c *canceller) tell(change func(*Cancelling)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.state)
	if c.show != nil {
		c.show(c.state)
	}
}

// finish counts what became of the actions and writes how the run ended. A
// cancel of some that is done opens the batch for the others.
func (c *canceller) finish(stop *Stop) (*Cancelled, error) {
	tasks, err := c.tasks()
	if err != nil {
		return nil, err
	}
	end := c.account(tasks)
	why, code := "done", end.Code()
	if stop != nil {
		why, code = stop.Error(), stop.Code
	}
	now := c.clock.Now()
	err = c.store.Update(func(tx *checkpoint.Tx) error {
		b, err := tx.Batch(c.batch)
		if err != nil {
			return err
		}
		e := checkpoint.Event{Kind: "end", At: now, Run: c.run, End: &checkpoint.RunEnd{Run: c.run, At: now, Why: why, Code: code}}
		if stop == nil && c.plan.Request.Only != nil && Held(b.Closed) {
			e.Closed = ptr("")
		}
		if _, err := tx.Append(c.batch, e); err != nil {
			return err
		}
		b, err = tx.Batch(c.batch)
		end.Open, end.Head = b.Closed == "", b.Head
		return err
	})
	return end, err
}

// account sorts the tasks that were to be cancelled by what became of them.
func (c *canceller) account(tasks []checkpoint.Task) *Cancelled {
	end := &Cancelled{}
	for _, t := range tasks {
		mine := c.plan.meant[t.N] || c.tried[t.N]
		switch {
		case !c.plan.Request.means(t.Device):
		case inDoubt(&t):
			end.InDoubt++
		case t.Status == checkpoint.Pending:
			end.Unsent++
		case t.Status == checkpoint.Skipped && t.Reason == withdrawnOnRequest:
			end.Withdrawn++
		case t.Status != checkpoint.Accepted:
		case isCancelled(t.Action.Status) && mine:
			end.Cancelled++
		case isCancelled(t.Action.Status):
			end.Before++
		case !isFinal(t.Action) && c.left[t.N]:
			end.Left = append(end.Left, t)
		case !isFinal(t.Action):
			end.Still++
		case mine:
			end.Late = append(end.Late, t)
		}
	}
	return end
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
