package batch

import (
	"context"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"mde-offboard/batch/checkpoint"
)

// recover ends what a dead runner left open, and a dead tracker: if its lock is
// free, nobody is at work.
func (o *Open) recover(ctx context.Context) error {
	tracker := flock.New(o.s.lockFile(whatTrack, o.name))
	defer tracker.Close()
	return o.s.recover(ctx, o.Batch.ID, func(run checkpoint.Run) (bool, error) {
		if run.What != whatTrack || !run.Ended.IsZero() {
			return true, nil
		}
		return tracker.TryLock()
	})
}

// recover ends the runs of a batch that are dead: those that are open although
// this process has the lock that they would have. Their calls, and those that a
// run which ended could not write, can take effect until the grace after its
// last sign of life has passed; their tasks are in doubt.
func (s *Session) recover(ctx context.Context, batch int64, mine func(checkpoint.Run) (bool, error)) error {
	var dead []checkpoint.Run
	var open []checkpoint.Attempt
	tasks := map[int64]checkpoint.Task{}
	until := map[int64]time.Time{} // calls of a run that is over can take effect
	err := s.Store.View(ctx, func(r checkpoint.Reader) error {
		runs, err := r.Runs(batch)
		if err != nil {
			return err
		}
		for _, run := range runs {
			ok, err := mine(run)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			until[run.ID] = run.Alive.Add(run.Grace)
			if run.Ended.IsZero() {
				dead = append(dead, run)
			}
		}
		if open, err = r.OpenAttempts(batch); err != nil {
			return err
		}
		open = slices.DeleteFunc(open, func(a checkpoint.Attempt) bool { return until[a.Run].IsZero() })
		if len(open) == 0 {
			return nil
		}
		all, err := r.Tasks(batch)
		for _, t := range all {
			tasks[t.N] = t
		}
		return err
	})
	if err != nil || len(dead)+len(open) == 0 {
		return err
	}
	now := s.Clock.Now()
	return s.Store.Update(func(tx *checkpoint.Tx) error {
		for _, run := range dead {
			if _, err := tx.Append(batch, checkpoint.Event{Kind: "died", At: now, Run: run.ID,
				End: &checkpoint.RunEnd{Run: run.ID, At: run.Alive, Why: "stopped without a word", Code: -1}}); err != nil {
				return err
			}
		}
		for _, a := range open {
			over := until[a.Run]
			e := checkpoint.Event{Kind: "recover", At: now, Run: a.Run,
				Outcome: []checkpoint.Outcome{{Attempt: a.ID, Over: over, Outcome: outcomeDied}}}
			if t, ok := tasks[a.N]; ok && t.Status == checkpoint.Sending && t.Attempt == a.ID {
				c := checkpoint.TaskChange{N: a.N, Status: checkpoint.InDoubt, Reason: ptr("the runner stopped before the answer was known"),
					Attempts: ptr(t.Attempts + 1), DoubtUntil: &over}
				if t.DoubtUntil.IsZero() { // else an earlier call of it is still looked for
					c.DoubtSince = ptr(a.Reserved)
				}
				e.Tasks = []checkpoint.TaskChange{c}
			}
			if _, err := tx.Append(batch, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// outcomeDied is how a call ended whose runner did not live to tell.
const outcomeDied = "not known: the runner stopped"
