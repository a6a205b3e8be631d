package batch

import (
	"fmt"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// judge holds what became of a device against the guards.
func (r *Runner) judge(w *work, v verdict) {
	switch {
	case v.next == settle && v.trouble == nil:
		r.inDoubt(w)
		return
	case v.next == later && v.word == defender.NotFound.String():
		w.gone = &row{v.word, r.counts[checkpoint.Accepted]}
		return
	case v.next != done:
		return
	}
	r.doubtsRow = 0
	switch w.Status {
	case checkpoint.Accepted:
		if w.Action.Requestor != "" {
			r.requestor = w.Action.Requestor
		}
	case checkpoint.Refused:
		r.inRow(w, v.word)
	}
	r.tally(w.Status, v.word)
	if r.opt.MaxFailures.exceeded(r.failures, r.answered) {
		r.stop(&Stop{Why: fmt.Sprintf("%d of %d devices failed, more than --max-failures %v allows", r.failures, r.answered, r.opt.MaxFailures), Code: CodeGuard,
			Hint: "look at the results; starting the same command again acknowledges them and goes on"})
	}
}

// tally counts what --max-failures judges. A device that Defender does not know is
// no failure: it is gone.
func (r *Runner) tally(s checkpoint.Status, word string) {
	if !s.Final() {
		return
	}
	r.answered++
	if s == checkpoint.Failed || s == checkpoint.Refused && word != defender.NotFound.String() {
		r.failures++
	}
}

// lastGuard is the last run that a guard stopped; 0: none. Whoever starts again
// has seen why, and failures are counted from there on, over all runs since.
func lastGuard(runs []checkpoint.Run) (id int64) {
	for _, run := range runs {
		if run.Code == CodeGuard && !run.Ended.IsZero() {
			id = max(id, run.ID)
		}
	}
	return id
}

// refusedInRow is how many devices in a row may be refused alike, beyond which it
// is not the devices.
const refusedInRow = 10

// row is devices that were refused alike with nothing accepted in between.
type row struct {
	word     string // of their refusals
	accepted int    // until then
}

// inRow stops the run when a row is too long. A device that is not known is called
// twice, the second time behind all others: its place in a row is that of the first.
func (r *Runner) inRow(w *work, word string) {
	at := row{word, r.counts[checkpoint.Accepted]}
	var why, hint string
	switch word {
	case defender.Forbidden.String():
		why, hint = "were forbidden", "the application or user may not offboard these devices: look at its permissions and at the role's device groups"
	case defender.NotFound.String():
		switch {
		case w.gone != nil:
			at = *w.gone
		case at.accepted > 0: // perhaps since its first call, which was a former run's
			return
		}
		why, hint = "are not known to Defender", "is this the right tenant, and the right list?"
	default:
		return
	}
	if r.rows[at] == nil {
		r.rows[at] = map[string]bool{}
	}
	r.rows[at][w.Device] = true
	if len(r.rows[at]) >= refusedInRow {
		r.stop(&Stop{Why: fmt.Sprintf("%d devices in a row %s, and none was accepted in between", refusedInRow, why), Hint: hint, Code: CodeGuard})
	}
}
