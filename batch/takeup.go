package batch

import (
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// hasResult says whether a task has more than a plan's word for what it is: its
// device was answered for, has an action, or is in doubt. No list takes that away.
func hasResult(t *checkpoint.Task) bool {
	switch t.Status {
	case checkpoint.Pending:
		return false
	case checkpoint.Skipped:
		return t.Action.ID != "" && !strings.HasPrefix(t.Reason, heldBefore) // which each plan says anew
	}
	return true
}

// takeUp says whether a task that has a result is asked to be taken up again. One
// whose action is open is not: it would only be open still.
func (p *Plan) takeUp(t *checkpoint.Task) bool {
	req := &p.Request
	if p.round.has(t) {
		return false
	}
	switch t.Status {
	case checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Skipped:
		if !req.Again && !(t.Action.Failed() && slices.Contains(req.Retry, checkpoint.Failed)) {
			return false
		}
		if t.Action.ID == "" || t.Action.Final() {
			return true
		}
		if req.Unseen {
			p.unseen++
			return true
		}
		p.open++
		return false
	}
	return slices.Contains(req.Retry, t.Status)
}

// reset gives a task its attempts back, and begins a round of its own: what came
// of earlier attempts is not taken for what comes of the next. Whether a device is
// called whose action succeeded is for the run at hand to say, by --again: somebody
// else may have had it offboarded since.
func (p *Plan) reset(old *checkpoint.Task) {
	p.tasks = append(p.tasks, checkpoint.TaskChange{N: old.N, Status: checkpoint.Pending, Reason: ptr(""), Attempts: ptr(0),
		Tries404: ptr(0), NotBefore: ptr(time.Time{}), DoubtSince: ptr(time.Time{}), DoubtUntil: ptr(time.Time{}), Action: &checkpoint.Action{}, Taken: ptr(p.Batch.Events), Withdrawn: ptr(int64(0))})
}
