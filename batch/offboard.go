package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// offboard makes one call for a task and writes what became of it.
func (r *Runner) offboard(hard context.Context, w *work) ended {
	tag := ""
	if w.tagged = !r.opt.NoTag; w.tagged {
		tag = checkpoint.Tag()
	}
	a := &attempt{c: r.caller, kind: CallOffboard, once: r.opt.Limit > 0, intent: checkpoint.Intent{
		Run: r.run, N: w.N, Device: w.Device, Number: w.requests + 1, Tag: tag, Again: r.opt.Again, Over: r.mayCallAgain}}
	reserved := sync.OnceFunc(func() { r.opened.Add(-1) })
	defer reserved()
	gate := func(ctx context.Context, previous *defender.Exchange) error {
		w.sent = r.clock.Now()
		defer reserved()
		return a.gate(ctx, previous)
	}
	over, err := r.alone(hard)
	if err != nil {
		return ended{w: w, v: verdict{next: ready}, err: err}
	}
	defer over()
	action, x, err := r.client.Offboard(hard, w.Device, comment(w.Comment, tag), gate)
	w.requests += a.number
	if a.number > 0 {
		w.tags = append(w.tags, tag)
		w.held = time.Time{}
	}
	if a.id == 0 {
		e := r.unsent(w, err)
		e.sent = a.sent
		return e
	}
	v := r.opt.decide(w, action, x, err, r.clock.Now())
	out := outcomeOf(v.word, err, x)
	if err := a.over(out, &v.task); err != nil {
		return ended{w: w, sent: a.sent, err: err}
	}
	w.apply(v.task)
	r.logOutcome(r.name, &w.Task, w.requests, x, out.Outcome)
	r.heard(CallOffboard, x, err)
	if defender.ClassOf(err) == defender.Unauthorized {
		return ended{w: w, v: v, sent: a.sent, err: r.refused(x, err)}
	}
	return ended{w: w, v: v, sent: a.sent}
}

// unsent says what to do with a task whose call did not leave.
func (r *Runner) unsent(w *work, err error) ended {
	var no *checkpoint.NoSlot
	var busy *checkpoint.Busy
	var closed *checkpoint.Closed
	switch {
	case isOurs(err):
		return ended{w: w, v: verdict{next: ready}, err: err}
	case errors.As(err, &closed):
		return ended{w: w, v: verdict{next: ready}, err: closed}
	case errors.As(err, &no), errors.Is(err, errStale), errors.Is(err, errSpent), errors.Is(err, errHalted), errors.Is(err, errClosed):
		return ended{w: w, v: verdict{next: ready}}
	case errors.As(err, &busy):
		return r.elsewhere(w, busy)
	}
	switch defender.ClassOf(err) {
	case defender.NotSent:
		return ended{w: w, v: verdict{next: ready, trouble: err}}
	case defender.Refused: // by the client itself: what the plan lets through, it takes
		return ended{w: w, v: verdict{next: done}, err: err}
	}
	return ended{w: w, v: verdict{next: ready}, err: err}
}

// elsewhere leaves a device to the batch that has it.
func (r *Runner) elsewhere(w *work, busy *checkpoint.Busy) ended {
	v := verdict{next: later, task: checkpoint.TaskChange{N: w.N}}
	now := r.clock.Now()
	if busy.Status == checkpoint.Accepted {
		v.next = done
		v.task.Status, v.task.Action = checkpoint.Skipped, &busy.Action
		v.task.Reason = ptr(fmt.Sprintf("accepted before, in batch %q", busy.Batch))
	} else {
		if w.held.IsZero() {
			w.held = time.Now()
		}
		if busy.Status == checkpoint.InDoubt || time.Since(w.held) > r.opt.Grace() {
			w.blocked = busy.Batch
		}
		w.NotBefore = now.Add(15 * time.Second)
		v.task.Reason = ptr(fmt.Sprintf("%s in batch %q", busy.Status, busy.Batch))
		if w.Reason == *v.task.Reason {
			return ended{w: w, v: v}
		}
	}
	err := r.change(now, "elsewhere", v.task)
	if err == nil {
		w.apply(v.task)
	}
	return ended{w: w, v: v, err: err}
}

// change writes changes of tasks that no call of ours made.
func (r *Runner) change(now time.Time, kind string, tasks ...checkpoint.TaskChange) error {
	if len(tasks) == 0 {
		return nil
	}
	return r.store.Update(func(tx *checkpoint.Tx) error {
		_, err := tx.Append(r.batch, checkpoint.Event{Kind: kind, At: now, Run: r.run, Tasks: tasks})
		return err
	})
}

// take sorts a task whose call is over.
func (r *Runner) take(e ended) {
	if e.looked != nil {
		r.looking = false
		r.trouble.Store(nil)
		r.found(e.looked)
		return
	}
	r.flying--
	r.sentCalls += e.sent
	w, v := e.w, e.v
	if w.jumps != r.clock.Jumps() { // noticeJump has not seen it
		w.DoubtSince = time.Time{}
	}
	r.recount(w)
	if e.err != nil {
		r.stop(asStop(e.err))
	}
	r.stop(v.stop)
	r.heed(w, v)
	r.judge(w, v)
	switch v.next {
	case ready:
		r.ready = append([]*work{w}, r.ready...)
	case back:
		// Its answer may be about this device alone: a gateway dislikes its comment,
		// Defender has a new word for its state. The next call is another one's.
		r.ready = append(r.ready, w)
	case later:
		r.later = append(r.later, w)
	case settle:
		r.toDoubt(w)
	}
}

// recount carries a task's status into the counts.
func (r *Runner) recount(w *work) {
	r.counts[w.counted]--
	w.counted = w.Status
	r.counts[w.counted]++
}
