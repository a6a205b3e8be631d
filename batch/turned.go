package batch

import (
	"errors"
	"fmt"
	"slices"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// An answer that nobody has described is an outage: a proxy's page, a code that is
// not known. It may be about one device all the same, whose comment a gateway
// dislikes or for whose state Defender has a new word. What others are answered
// tells: a task that was turned away goes behind them, and if one is answered that
// was called after it, there was no outage. The task is then tried again by itself,
// later and later, and after as many such answers as it may have attempts left for
// the next run. It stays pending, with the answer as the reason: what is not known
// to be a refusal is not told as one.

// byItself says whether a task was turned away by what is about nobody else: a call
// that left after it was answered, or it was turned away like that before.
func (r *Runner) byItself(w *work, v verdict) bool {
	return w.began < r.heardOf || w.turned > 0 && w.answer == answerOf(v.trouble)
}

// goesBack queues a task that was turned away.
func (r *Runner) goesBack(w *work, v verdict) {
	alone := r.byItself(w, v)
	if w.answer = answerOf(v.trouble); alone {
		r.itself(w)
		return
	}
	w.suspect = true
	r.suspects++
	r.ready = append(r.ready, w)
}

// noOutage is what a call shows that was answered: who was turned away and had
// left before was so for itself.
func (r *Runner) noOutage(answered *work) {
	r.heardOf = max(r.heardOf, answered.began)
	if r.suspects == 0 {
		return
	}
	var cleared []*work
	r.ready = slices.DeleteFunc(r.ready, func(w *work) bool {
		free := w.suspect && w.began < r.heardOf
		if free {
			cleared = append(cleared, w)
		}
		return free
	})
	for _, w := range cleared {
		r.unsuspect(w)
		r.itself(w)
	}
}

func (r *Runner) unsuspect(w *work) {
	if w.suspect {
		w.suspect = false
		r.suspects--
	}
}

// itself puts a task off that was turned away while others were not. In an outage
// that may have come since, the others are turned away too, and it does not count.
func (r *Runner) itself(w *work) {
	if w.began < r.heardOf || r.nobodyElse() {
		w.turned++
	}
	now := r.clock.Now()
	c := checkpoint.TaskChange{N: w.N, Reason: ptr("turned away while others are answered: " + w.answer)}
	if w.turned < r.opt.MaxAttempts {
		c.NotBefore = ptr(now.Add(r.jitter(backoff(w.turned))))
		r.later = append(r.later, w)
	} else {
		r.aside = append(r.aside, w)
	}
	r.stop(asStop(r.change(now, "turned-away", c)))
	w.apply(c)
}

// nobodyElse says whether nothing is left to call but what was turned away by
// itself.
func (r *Runner) nobodyElse() bool {
	other := func(w *work) bool { return w.turned == 0 }
	return r.flying == 0 && !slices.ContainsFunc(r.ready, other) && !slices.ContainsFunc(r.later, other)
}

// leftAside is why a run ends that has nothing left but tasks that were turned away.
func (r *Runner) leftAside() *Stop {
	return &Stop{Why: countOf(len(r.aside), "device") + " turned away each time, while others were answered", Err: errors.New(r.aside[0].answer), Code: CodeStopped,
		Hint: "the results have the answer to each: something on the way may dislike a comment; the same command tries them again"}
}

// answerOf is an answer without what differs from one to the next.
func answerOf(err error) string {
	e, ok := errors.AsType[*defender.Error](err)
	switch {
	case !ok:
		return ""
	case e.Code == "":
		return fmt.Sprintf("status %d, %s", e.Status, e.Message)
	}
	return fmt.Sprintf("status %d %s", e.Status, e.Code)
}
