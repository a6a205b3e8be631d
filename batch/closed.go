package batch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// A batch is closed by cancel before the first action is cancelled, and stays
// closed. That is how a runner is stopped that is at work on it, wherever it
// is: the transaction that would reserve its next call refuses it, and its
// heartbeat looks.
//
// A cancel of some devices alone holds the batch in the same way until it is
// done, and then opens it again for the others.
const heldPrefix = "cancel of some devices is under way"

// closing says who closes a batch.
func (s *Session) closing(p *CancelPlan, at time.Time) string {
	by := fmt.Sprintf("by %s on %s at %s", s.Who, s.Machine, at.UTC().Format(time.RFC3339))
	if p.Request.Only != nil {
		return heldPrefix + ", begun " + by
	}
	return "cancelled " + by
}

// isHeld says whether a batch is closed only until a cancel of some is done.
func isHeld(closed string) bool { return strings.HasPrefix(closed, heldPrefix) }

// close closes the batch. One that was closed for good stays as it is.
func (s *Session) close(p *CancelPlan, how string) error {
	now := s.Clock.Now()
	return s.Store.Update(func(tx *checkpoint.Tx) error {
		b, err := tx.Batch(p.Batch.ID)
		if err != nil || b.Closed != "" && (p.Request.Only != nil || !isHeld(b.Closed)) {
			return err
		}
		_, err = tx.Append(b.ID, checkpoint.Event{Kind: "close", At: now, Note: how, Closed: ptr(s.closing(p, now))})
		return err
	})
}

// closedStop is why nothing is sent for a batch.
func closedStop(why string) *Stop {
	if isHeld(why) {
		return &Stop{Why: "the batch is held: " + why, Code: CodeStopped,
			Hint: "the same command goes on when that cancel has run to its end; start it again if it did not"}
	}
	return &Stop{Why: "the batch was closed: " + why, Code: CodeGuard,
		Hint: "nothing more of it is sent, unless run --again takes all of it up again"}
}

// recalled looks whether the batch was closed under the runner.
func (r *Runner) recalled() *Stop {
	if r.settling {
		return nil
	}
	var b checkpoint.Batch
	err := r.store.View(context.Background(), func(rd checkpoint.Reader) (err error) {
		b, err = rd.Batch(r.batch)
		return err
	})
	if err != nil || b.Closed == "" {
		return asStop(err)
	}
	return closedStop(b.Closed)
}

// Closed says why the batch may not be run, or nil. A batch that was closed by
// cancel is run again only if that is asked for.
func (o *Open) Closed(again bool) *Stop {
	if o.Batch.Closed == "" || again && !isHeld(o.Batch.Closed) {
		return nil
	}
	s := closedStop(o.Batch.Closed)
	s.Why = strings.Replace(s.Why, "the batch", fmt.Sprintf("batch %q", o.name), 1)
	s.Code = CodeUsage
	return s
}

// reopens opens a batch again that was closed when this process took it; not
// one that somebody closes at this moment.
func (o *Open) reopens(tx *checkpoint.Tx, batch int64, opt *Options) (*string, error) {
	if o.Batch.Closed == "" || !opt.Again {
		return nil, nil
	}
	b, err := tx.Batch(batch)
	if err != nil || b.Closed != o.Batch.Closed {
		return nil, err
	}
	return ptr(""), nil
}
