package batch

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mde-offboard/batch/checkpoint"
)

// probe makes calls go one at a time until one is answered that left from now
// on: after a hold, in an outage, and after a token that was refused, a burst of
// calls would only be turned away together.
func (r *Runner) probe() {
	if !r.probing {
		r.probing = true
		r.epoch++
		r.asking = 0
	}
}

// launched and landed count the calls of the epoch.
func (r *Runner) launched(w *work) {
	w.epoch, w.jumps = r.epoch, r.jumps
	r.asking++
}

func (r *Runner) landed(w *work) {
	if w.epoch == r.epoch {
		r.asking--
	}
}

// stale says whether a call left before calls began to go one at a time, and so
// has nothing new to tell.
func (r *Runner) stale(w *work) bool { return r.probing && w.epoch != r.epoch }

// heed learns from the end of a call how it stands with Defender.
func (r *Runner) heed(w *work, v verdict) {
	r.landed(w)
	switch {
	case v.trouble != nil:
		if r.turned[w.N] = true; !r.stale(w) {
			r.outage(unreachable(v.trouble))
		}
		return
	case v.word == "": // it did not leave
		return
	}
	turnedAway := v.next == ready || v.next == back // which is an answer too
	if v.answered || turnedAway {
		r.out.until, r.out.tries = time.Time{}, 0
	}
	switch {
	case v.answered:
		r.probing = r.stale(w)
		r.outages.answered(noTurn)
		clear(r.turned)
	case turnedAway:
		r.probe()
		if r.turned[w.N] = true; v.next == back {
			r.putOff()
		}
	}
}

// putOff ends the run when a 429 is what comes for all that is left, for as long as
// an outage may last: one device may be answered so for good. Of the waits that were
// named a part counts, as who shares the quota may have it used up for an hour.
func (r *Runner) putOff() {
	lasted := r.outages.unanswered(noTurn, 0)
	open := func(w *work) bool { return !r.turned[w.N] && w.blocked == "" } // it may have another answer
	if lasted <= r.opt.MaxOutage || slices.ContainsFunc(slices.Concat(r.ready, r.later, r.doubt), open) {
		return
	}
	r.stop(&Stop{Why: fmt.Sprintf("Defender has told each call of what is left to wait, for longer than %v", r.opt.MaxOutage), Code: CodeStopped,
		Hint: hintPutOff})
}

// outage begins one or makes it longer.
func (r *Runner) outage(err error) {
	r.stop(r.silent(CallOffboard, err))
	r.out.why = err.Error()
	r.out.until = r.clock.Now().Add(patience(r.jitter(backoff(r.out.tries)), err))
	r.out.tries++
	r.logOutage(r.name, err, r.out.until)
	r.probe()
}

// jitter varies a wait by a fifth either way, so that runners do not march in step.
func (r *Runner) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*r.rng.Float64()))
}

// inDoubt counts calls in a row that ended in doubt.
func (r *Runner) inDoubt(w *work) {
	if w.Status != checkpoint.InDoubt {
		return
	}
	if r.doubtsRow++; r.doubtsRow >= doubtsInRow && !r.stale(w) {
		r.outage(errors.New("no answer arrives, and calls may have taken effect"))
	}
}

// doubtsInRow is how many calls in a row may end without an answer, beyond which
// it is an outage.
const doubtsInRow = 5
