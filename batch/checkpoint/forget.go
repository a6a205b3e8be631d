package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// ErrNeeded says that a batch may not be forgotten yet.
type ErrNeeded struct {
	Batch, Why string
	Until      time.Time // from when on it is not for this reason; zero: nobody can say
	Open       bool      // actions are not known to be final
}

func (e *ErrNeeded) Error() string {
	return fmt.Sprintf("batch %q is still needed: %s", e.Batch, e.Why)
}

// Forget removes a batch with all that is known of it. It returns an *ErrNeeded
// for one with work that is open or in doubt, an action that is not known to be
// final included; for one that a run is at work on; and for one whose calls or
// holds the quota still has to know, which is so for two hours after the last. A batch that was closed may have pending tasks: no
// run goes on with them.
func (s *Store) Forget(batch int64, now time.Time) error {
	return s.locked(func() error {
		needed := func(tx *Tx) error { return tx.needed(batch, now) }
		if err := s.Update(needed); err != nil {
			return err
		}
		// The head file goes first: it may lag behind the checkpoint, and would
		// be ahead of it if a crash came between the two.
		if err := s.writeHeadWithout(batch); err != nil {
			return err
		}
		err := s.Update(func(tx *Tx) error {
			if err := needed(tx); err != nil {
				return err
			}
			return tx.forget(batch)
		})
		if err != nil {
			return errors.Join(err, s.writeHeadWithout(0))
		}
		return nil
	})
}

// kept is how long Defender keeps a device that no longer reports: up to 180 days.
// An action that was not final by then never will be.
const kept = 180 * 24 * time.Hour

// Needed returns the *ErrNeeded that Forget would, or nil.
func (s *Store) Needed(batch int64, now time.Time) error {
	return s.Update(func(tx *Tx) error { return tx.needed(batch, now) })
}

// needed says why a batch may not be forgotten; nil if it may.
func (tx *Tx) needed(batch int64, now time.Time) error {
	b, err := tx.Batch(batch)
	if err != nil {
		return err
	}
	for _, reason := range []struct {
		what, sql string
		args      []any
		lasts     time.Duration // after the latest of them; 0: no telling
		open      bool
	}{
		{"devices in flight or in doubt: %d", "SELECT COUNT(*), 0 FROM task WHERE batch = $1 AND status IN ('sending', 'in-doubt')", nil, 0, false},
		{"devices pending: %d", `SELECT COUNT(*), 0 FROM task t JOIN batch b ON b.id = t.batch WHERE t.batch = $1 AND b.closed = ''
			AND t.status NOT IN ('accepted', 'already-active', 'refused', 'failed', 'skipped', 'sending', 'in-doubt')`, nil, 0, false},
		{"runs at work: %d", "SELECT COUNT(*), 0 FROM run WHERE batch = $1 AND ended = 0 AND alive > $2", []any{micros(now.Add(-silence))}, 0, false},
		{"calls of the last two hours, which the quota still counts: %d", `SELECT COUNT(*), COALESCE(MAX(CASE WHEN a.counted = 0 THEN r.alive + r.grace ELSE a.counted END), 0)
			FROM attempt a JOIN run r ON r.batch = a.batch AND r.id = a.run
			WHERE a.batch = $1 AND CASE WHEN a.counted = 0 THEN r.alive + r.grace ELSE a.counted END > $2`,
			[]any{micros(now.Add(-remembered))}, remembered, false},
		{"holds that are not over: %d", "SELECT COUNT(*), 0 FROM hold WHERE batch = $1 AND effective > $2", []any{micros(now)}, 0, false},
		{"actions that are not known to be final: %d", `SELECT COUNT(*), COALESCE(MAX(a.counted), 0)
			FROM task t JOIN batch b ON b.id = t.batch LEFT JOIN attempt a ON a.batch = t.batch AND a.id = t.attempt
			WHERE t.batch = $1 AND b.simulated = 0 AND t.status = 'accepted' AND LOWER(t.action_status) <> 'succeeded' AND NOT ` + cameToNothing + `
			AND COALESCE(a.counted, 0) > $2`, []any{micros(now.Add(-kept))}, kept, true},
	} {
		var n int
		var latest int64
		if err := tx.row(reason.sql, append([]any{batch}, reason.args...)...).Scan(&n, &latest); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		e := &ErrNeeded{Batch: b.Name, Why: fmt.Sprintf(reason.what, n), Open: reason.open}
		if reason.lasts > 0 {
			e.Until = fromMicros(latest).Add(reason.lasts)
		}
		return e
	}
	return nil
}

// forget removes the rows of a batch, those first that refer to others.
func (tx *Tx) forget(batch int64) error {
	tx.s.histories = nil
	maps.DeleteFunc(tx.s.mine, func(r runID, _ bool) bool { return r.batch == batch })
	for _, table := range []string{"hold", "attempt", "task", "run", "event"} {
		if _, err := tx.exec("DELETE FROM "+table+" WHERE batch = $1", batch); err != nil {
			return err
		}
	}
	_, err := tx.exec("DELETE FROM batch WHERE id = $1", batch)
	return err
}
