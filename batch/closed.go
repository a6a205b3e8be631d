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

// Held says of why a batch is closed whether it is so only until a cancel of some
// of its devices is done.
func Held(closed string) bool { return strings.HasPrefix(closed, heldPrefix) }

// close closes the batch. One that was closed for good stays so, for the same
// reason, but it is written that it was closed again: whoever was about to open
// it sees that.
func (s *Session) close(p *CancelPlan, how string) error {
	now := s.Clock.Now()
	return s.Store.Update(func(tx *checkpoint.Tx) error {
		b, err := tx.Batch(p.Batch.ID)
		if err != nil {
			return err
		}
		why := b.Closed
		if why == "" || Held(why) {
			why = s.closing(p, now)
		}
		if _, err := tx.Append(b.ID, checkpoint.Event{Kind: closeKind, At: now, Note: how, Closed: &why}); err != nil {
			return err
		}
		return p.withdraw(tx, 0, now)
	})
}

// closeKind is the kind of event by which a batch is closed.
const closeKind = "close"

// closedStop is why nothing is sent for a batch.
func closedStop(why string) *Stop {
	if Held(why) {
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
	if o.Batch.Closed == "" || again && !Held(o.Batch.Closed) {
		return nil
	}
	return o.closedStop(o.Batch.Closed)
}

// ClosedNow is Closed as the checkpoint has it at this moment: somebody may
// close a batch that waits here to be run.
func (o *Open) ClosedNow(ctx context.Context, again bool) (stop *Stop, err error) {
	if o.Batch.ID == 0 {
		return nil, nil
	}
	err = o.s.Store.View(ctx, func(r checkpoint.Reader) error {
		stop, err = o.closedSince(r, again)
		return err
	})
	return stop, err
}

// closedSince says why the batch may not be run any more, or nil if nobody has
// closed it since it was loaded.
func (o *Open) closedSince(r checkpoint.Reader, again bool) (*Stop, error) {
	b, err := r.Batch(o.Batch.ID)
	if err != nil || b.Closed == "" {
		return nil, err
	}
	since, err := r.HasSince(b.ID, o.Batch.Events, closeKind)
	if err != nil || !since && again && !Held(b.Closed) {
		return nil, err
	}
	return o.closedStop(b.Closed), nil
}

func (o *Open) closedStop(why string) *Stop {
	s := closedStop(why)
	s.Why = strings.Replace(s.Why, "the batch", fmt.Sprintf("batch %q", o.name), 1)
	s.Code = CodeUsage
	return s
}

// reopens opens a batch again that was closed when this process took it. One
// that somebody has closed since is not run, nor one whose chain is not the one
// that was planned on: a *Stop says so.
func (o *Open) reopens(tx *checkpoint.Tx, opt *Options) (*string, error) {
	if o.Batch.ID == 0 {
		return nil, nil
	}
	same, err := tx.Continues(o.Batch)
	if err != nil {
		return nil, err
	}
	if !same {
		return nil, &Stop{Why: fmt.Sprintf("batch %q is not the one that was planned: it was forgotten since", o.name), Code: CodeUsage,
			Hint: "run the same command again for a new plan"}
	}
	stop, err := o.closedSince(tx.Reader, opt.Again)
	if err != nil {
		return nil, err
	}
	if stop != nil {
		return nil, stop
	}
	if o.Batch.Closed == "" {
		return nil, nil
	}
	return ptr(""), nil
}
