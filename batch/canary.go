package batch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// A canary is the first devices of a round, so many as --canary says. One that is
// in doubt has a place among them until its look is over: nobody is called in its
// stead, and it is called again if it comes to nothing. What was turned away has
// none: it has shown nothing, and may be turned away each time.

// countCanary counts how the canary of the plan's round stands.
func (p *Plan) countCanary(have []checkpoint.Task) {
	for i := range have {
		t := &have[i]
		ours := t.Attempt > p.round.From
		switch t.Status {
		case checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Refused, checkpoint.Failed:
			if ours {
				p.Answered++
			}
		case checkpoint.InDoubt:
			switch over := p.Request.Unseen || staysInDoubt(t); {
			case ours && over: // what it has to show it has shown
				p.Answered++
			case ours:
				p.doubts++
			case !over && p.keep[t.N] == "":
				p.older++
			}
		}
	}
}

// staysInDoubt says whether a look has left a task in doubt, and the next one most
// likely will.
func staysInDoubt(t *checkpoint.Task) bool {
	return strings.HasPrefix(t.Reason, reasonAnother) || strings.HasSuffix(t.Reason, reasonMaybe) || t.Reason == reasonNoList
}

// CanaryLeft is of how many devices there is to be an answer before somebody is
// asked again; 0 if there is no canary, or it is over, or it would be all there is.
func (p *Plan) CanaryLeft() int {
	if left := p.Request.Canary - p.Answered; left > 0 && max(left, p.doubts) < p.doubts+p.ToDo+p.older {
		return left
	}
	return 0
}

// First is how many of the devices that are to do a run takes up: all of them, or
// as many as the canary has places for.
func (p *Plan) First() int {
	if left := p.CanaryLeft(); left > 0 {
		return min(p.ToDo, max(0, left-p.doubts))
	}
	return p.ToDo
}

// CanaryOver is what there is to say, behind an article, when the first n devices
// are over and nobody is asked to go on.
func CanaryOver(n int) string {
	return fmt.Sprintf("first %d are over: look at how they went. The next run goes on with the rest", n)
}

// sayCanary says when --canary has nothing to hold up.
func (p *Plan) sayCanary() {
	n := p.Request.Canary
	switch {
	case n == 0 || p.ToDo == 0 || p.CanaryLeft() > 0:
	case p.Answered >= n:
		p.note(fmt.Sprintf("--canary %d is over: %s called, and the rest is not held up", n, countOf(n, "device")))
	default:
		p.note(fmt.Sprintf("--canary %d has nothing to hold up: no more than that are to be sent", n))
	}
}

// queue takes up as many of what is pending as the plan says: what was never tried
// before the rest, as what something on the way turns away each time is not to keep
// others back. What a canary has begun with goes before both.
func (r *Runner) queue(pending []*work) {
	slices.SortStableFunc(pending, func(a, b *work) int { return cmp.Compare(r.rank(a), r.rank(b)) })
	for _, w := range pending[:min(r.takes, len(pending))] {
		w.placed = true
		if w.NotBefore.IsZero() {
			r.ready = append(r.ready, w)
		} else {
			r.later = append(r.later, w)
		}
	}
}

func (r *Runner) rank(w *work) int {
	switch {
	case w.placed:
		return 0
	case len(w.tags) == 0 && w.Reason == "":
		return 1
	}
	return 2
}

// hasPlace says whether a task keeps its place in a canary: Defender took a call of
// it in this round, or may have. Not for more calls than a device may be called: the
// rest would wait for one that is told to come back each time.
func (r *Runner) hasPlace(w *work) bool {
	return r.opt.Canary > 0 && w.Attempt > r.from && (w.Attempts > 0 || !w.DoubtUntil.IsZero()) && len(w.tags) < r.opt.MaxAttempts
}
