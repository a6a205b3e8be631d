package batch

import (
	"slices"
	"time"

	"mde-offboard/batch/checkpoint"
)

// withdrawnOnRequest is why a device is not called that a cancel of some has named.
const withdrawnOnRequest = "withdrawn: cancelled on request"

// withdraw takes the devices that a cancel of some means out of the batch: what is
// pending of them is skipped, and no run calls any of them, whatever it finds of
// their calls, but for --again. A cancel of all needs none of this: its batch is
// closed for good.
//
// It is done as the batch is held, so that a cancel that is killed after that has
// withdrawn what it means, and again when the runner has stopped and what is in
// doubt is settled: those leave devices pending that were not.
func (p *CancelPlan) withdraw(tx *checkpoint.Tx, run int64, now time.Time) error {
	if p.Request.Only == nil {
		return nil
	}
	b, err := tx.Batch(p.Batch.ID)
	if err != nil {
		return err
	}
	tasks, err := tx.Tasks(b.ID)
	if err != nil {
		return err
	}
	var changes []checkpoint.TaskChange
	for i := range tasks {
		t := &tasks[i]
		before := t.Withdrawn > 0 // by this cancel, or by one that was killed
		if !before && p.Request.means(t.Device) || before && t.Status == checkpoint.Pending {
			changes = append(changes, withdrawal(t, b.Events))
		}
	}
	for part := range slices.Chunk(changes, perEvent) {
		if _, err := tx.Append(b.ID, checkpoint.Event{Kind: whatCancel, At: now, Run: run, Tasks: part}); err != nil {
			return err
		}
	}
	return nil
}

func withdrawal(t *checkpoint.Task, event int64) checkpoint.TaskChange {
	c := checkpoint.TaskChange{N: t.N, Withdrawn: &event}
	if t.Status == checkpoint.Pending {
		c.Status, c.Reason = checkpoint.Skipped, ptr(withdrawnOnRequest)
	}
	return c
}

// withdrawn says whether a cancel of some keeps a task from being called in this
// plan. --again takes it up, unless it was withdrawn after the same command had
// taken its round up: going on with that does not undo what came in between.
func (p *Plan) withdrawn(t *checkpoint.Task) bool {
	return t.Withdrawn > 0 && (!p.Request.Again || p.round.begunBefore(t.Withdrawn))
}

// holdOf says why a device is not to be called by this plan; empty if it is.
func (p *Plan) holdOf(l *checkpoint.Line, t *checkpoint.Task) string {
	if p.withdrawn(t) {
		return withdrawnOnRequest
	}
	return p.hold(l)
}
