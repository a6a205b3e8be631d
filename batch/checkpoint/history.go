package checkpoint

import (
	"fmt"
	"time"

	"mde-offboard/batch/quota"
)

// silence is how long a run may give no sign of life before its calls are taken
// for those of a dead one.
const silence = 30 * time.Second

// history is a budget's history as read from the attempts.
type history struct {
	quota.History
	since  time.Time // it knows what was over from here on
	moving bool      // has calls of others that may be over by the mere passing of time
}

// history is what is known of a budget's calls. It is read from the attempts
// and then kept up to date by what this store writes, until another one commits
// something, or it does not go back far enough: after a jump of the clock, or
// for longer windows.
func (tx *Tx) history(b Budget, now time.Time) (*history, error) {
	tx.s.wake(now)
	need := now
	for _, w := range b.Windows {
		if t := now.Add(-w.Held()); t.Before(need) {
			need = t
		}
	}
	if h := tx.s.histories[b.id()]; h != nil && !h.moving && !h.since.After(need) {
		h.Forget(need)
		h.since = need
		return h, nil
	}
	h, err := tx.readHistory(b, need, now)
	if err != nil {
		return nil, err
	}
	if tx.s.histories == nil {
		tx.s.histories = map[string]*history{}
	}
	tx.s.histories[b.id()] = h
	return h, nil
}

// unseen is by how much the clock may have been set forward between the start of
// this store and the one before without anybody's noticing: the tolerance, and
// the second to which a Date is rounded.
const unseen = tolerance + time.Second

// corrected is when a call was over by the clock of this store. What was stamped
// before the store looked at the quota first may have been stamped by a clock
// that stood behind by as much as goes unseen for its budget: it costs that much once after a
// start, and a call is never over later than now for it. A clock that is set
// while the store is open is noticed by whoever reads it, and Rebase called; one
// that is slewed, by 500 ppm at most, is covered by the margin of the windows.
func (s *Store) corrected(over, now time.Time, behind time.Duration) time.Time {
	if late := over.Add(behind); over.Before(s.began) && over.Before(now) {
		if late.After(now) {
			return now
		}
		return late
	}
	return over
}

// unseenIn is by how much the clock may have been set forward unnoticed since a
// budget's history was stamped. Until an answer was dated that is any time up to
// the one that seems to have passed; where reads have a budget of their own the
// date is there before a call goes whose slot can be in doubt.
func (s *Store) unseenIn(b Budget) time.Duration {
	last := s.last[b.Key.String()]
	if !b.Shared || last == 0 || s.sure[b.Key.String()] {
		return unseen
	}
	return max(unseen, s.began.Sub(fromMicros(last)))
}

func (tx *Tx) readHistory(b Budget, need, now time.Time) (*history, error) {
	behind := tx.s.unseenIn(b)
	rows, err := tx.Query(`SELECT a.counted, a.batch, a.run, r.alive, r.grace, r.ended
		FROM attempt a JOIN run r ON r.batch = a.batch AND r.id = a.run
		WHERE a.quota_key = $1 AND (a.counted = 0 OR a.counted >= $2) AND (a.kind = $3 OR $4)
		ORDER BY a.counted`, b.Key.String(), micros(need.Add(-behind)), b.Kind, b.Shared)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	h := &history{since: need}
	for rows.Next() {
		var counted, grace, ended, alive int64
		var run runID
		if err := rows.Scan(&counted, &run.batch, &run.id, &alive, &grace, &ended); err != nil {
			return nil, err
		}
		over := fromMicros(counted)
		if counted == 0 && (ended != 0 || !tx.s.mine[run]) {
			// Nobody here will say how it ended. If its run is dead, it is over
			// when it can no longer take effect.
			if ended != 0 || tx.s.dead(fromMicros(alive), now) {
				over = fromMicros(alive + grace)
			} else {
				h.moving = true
			}
		}
		h.Reserve()
		if !over.IsZero() {
			h.Over(tx.s.corrected(over, now, behind))
		}
	}
	return h, rows.Err()
}

// wake notices that this process has not looked at the quota for a while: it
// may have slept with the machine, and other runs with it.
func (s *Store) wake(now time.Time) {
	if s.began.IsZero() {
		s.began = now
	}
	if s.woke.After(now) || !s.judged.IsZero() && now.Sub(s.judged) > silence {
		s.woke = now // also if the clock that says so was set back since
	}
	s.judged = now
}

// dead says whether a run of another process is taken for dead: it gave no sign
// of life for a while, and had that while to give one.
func (s *Store) dead(alive, now time.Time) bool {
	return now.Sub(alive) > silence && (s.woke.IsZero() || now.Sub(s.woke) > silence)
}

// count carries an event into what is kept of the quota beside the tables, and
// must come before the event is applied to them.
func (tx *Tx) count(batch, seq int64, e *Event) error {
	if e.Start != nil {
		tx.started = append(tx.started, runID{batch, seq})
	}
	if e.End != nil {
		tx.s.histories = nil // its open calls will be over, without an outcome
	}
	if in := e.Intent; in != nil {
		tx.s.each(in.Key, in.Kind, (*quota.History).Reserve)
		if err := tx.stamp(in.Key, e.At); err != nil {
			return err
		}
	}
	for i := range e.Outcome {
		if err := tx.countOutcome(batch, e.At, &e.Outcome[i]); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) countOutcome(batch int64, at time.Time, o *Outcome) error {
	run := runID{batch: batch}
	var key, kind string
	var was, ended int64
	err := tx.row(`SELECT a.run, a.quota_key, a.kind, a.counted, r.ended FROM attempt a JOIN run r ON r.batch = a.batch AND r.id = a.run
		WHERE a.batch = $1 AND a.id = $2`, batch, o.Attempt).Scan(&run.id, &key, &kind, &was, &ended)
	switch {
	case err != nil:
		return fmt.Errorf("attempt %d of batch %d: %w", o.Attempt, batch, err)
	case was != 0 || ended != 0 || !tx.s.mine[run]:
		tx.s.histories = nil // they may not have it as open
	case o.Unsent:
		tx.s.each(key, kind, (*quota.History).Unsent)
	default:
		tx.s.each(key, kind, func(h *quota.History) { h.Over(o.overAt(at)) })
	}
	return nil
}

// each calls fn with the histories at hand that a kind of call counts in.
func (s *Store) each(key, kind string, fn func(*quota.History)) {
	for _, name := range []string{key + "|*", key + "|" + kind} {
		if h := s.histories[name]; h != nil {
			fn(&h.History)
		}
	}
}
