package checkpoint

import (
	"database/sql"
	"errors"
	"time"
)

// meet notes, at the first look at a key, until when its stamps are those of a
// clock that was compared with the server's. With no stamp at all there is no
// history that a clock could make too old.
func (tx *Tx) meet(key Key, seen int64) error {
	if _, met := tx.s.last[key.String()]; met {
		return nil
	}
	var last int64
	err := tx.row("SELECT counted FROM attempt WHERE quota_key = $1 AND counted > 0 AND date <> 0 ORDER BY counted DESC LIMIT 1", key.String()).Scan(&last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		last = seen
	case err != nil:
		return err
	}
	if tx.s.last == nil {
		tx.s.last = map[string]int64{}
	}
	tx.s.last[key.String()], tx.s.histories = last, nil
	if seen == 0 {
		tx.s.trust(key)
	}
	return nil
}

// trust takes the clock for one that says how old a key's history is.
func (s *Store) trust(key Key) {
	if s.sure[key.String()] {
		return
	}
	s.histories = nil
	if s.sure == nil {
		s.sure = map[string]bool{}
	}
	s.sure[key.String()] = true
}

// stamp keeps the latest time that was written for a key.
func (tx *Tx) stamp(key string, now time.Time) error {
	_, err := tx.exec(`INSERT INTO clock (quota_key, seen, low, high, known) VALUES ($1, $2, 0, 0, 0)
		ON CONFLICT (quota_key) DO UPDATE SET seen = excluded.seen WHERE excluded.seen > clock.seen`, key, micros(now))
	return err
}

// remembered is for how long an attempt can matter to a window: an hour, and
// time to spare.
const remembered = 2 * time.Hour

// Rebase counts a key's history as of now, because the clock can no longer be
// trusted to say how long ago it was: it errs on the side of waiting. What was
// still to come, the end of a hold or of a call that was given up, stays as far
// away as it was at the last stamp that can be trusted, and no further than it
// ever was. What was over long before that stays so. What counts earlier by that
// than its event says is noted, for Verify.
func (tx *Tx) Rebase(key Key, now time.Time) error {
	tx.s.trust(key)
	tx.s.histories, tx.s.began = nil, now
	last, old, err := tx.lastTrusted(key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	us := micros(now)
	ago := max(1, us-remembered.Microseconds())
	for _, update := range []struct {
		sql  string
		args []any
	}{
		{"UPDATE attempt SET counted = $1 WHERE quota_key = $2 AND counted > $1 AND counted <= $3", []any{ago, key.String(), old}},
		// A call can take effect for the grace of its run and no longer.
		{`UPDATE attempt SET counted = $1 + CASE WHEN counted <= $2 THEN 0
			WHEN counted - $2 < (SELECT r.grace FROM run r WHERE r.batch = attempt.batch AND r.id = attempt.run) THEN counted - $2
			ELSE (SELECT r.grace FROM run r WHERE r.batch = attempt.batch AND r.id = attempt.run) END
			WHERE quota_key = $3 AND counted > $4`, []any{us, last, key.String(), old}},
		{"UPDATE hold SET effective = $1 WHERE effective > $1 AND effective <= $2 AND quota_key = $3", []any{us, last, key.String()}},
		{`UPDATE hold SET effective = $1 + CASE
			WHEN effective - $2 < until - (SELECT e.at FROM event e WHERE e.batch = hold.batch AND e.seq = hold.id) THEN effective - $2
			ELSE until - (SELECT e.at FROM event e WHERE e.batch = hold.batch AND e.seq = hold.id) END
			WHERE effective > $2 AND quota_key = $3`, []any{us, last, key.String()}},
		// A run with open calls was alive now, and none is alive in the future.
		{`UPDATE run SET alive = $1 WHERE alive > $1 OR EXISTS
			(SELECT 1 FROM attempt a WHERE a.batch = run.batch AND a.run = run.id AND a.quota_key = $2 AND a.counted = 0)`,
			[]any{us, key.String()}},
		{`UPDATE clock SET seen = $1, known = 0, set_back = (SELECT MAX(back) FROM (SELECT clock.set_back AS back
			UNION ALL SELECT a.over - a.counted FROM attempt a WHERE a.quota_key = $2 AND a.counted >= $1
			UNION ALL SELECT h.until - h.effective FROM hold h WHERE h.quota_key = $2 AND h.effective >= $1) AS moved)
			WHERE quota_key = $2`, []any{us, key.String()}},
	} {
		if _, err := tx.exec(update.sql, update.args...); err != nil {
			return err
		}
	}
	return nil
}

// lastTrusted is the last stamp of a clock that was compared with the server's, and
// what was counted before old is too old to matter by it: a clock that was set, and
// has stamped a call before an answer was dated, is not taken for the one by which
// the history was written. With no dated answer nothing is too old.
func (tx *Tx) lastTrusted(key Key) (last, old int64, err error) {
	if err := tx.row("SELECT seen FROM clock WHERE quota_key = $1", key.String()).Scan(&last); err != nil {
		return 0, 0, err
	}
	var dated int64
	err = tx.row("SELECT COALESCE(MAX(counted), 0) FROM attempt WHERE quota_key = $1 AND counted > 0 AND date <> 0", key.String()).Scan(&dated)
	if dated > 0 {
		last = min(last, dated)
		old = max(0, last-remembered.Microseconds())
	}
	return last, old, err
}

// tolerance is by how much the offset of the clock may change unnoticed: a clock
// that is slewed drifts by some seconds in a long run, and counting the history
// anew for that would cost a window each time.
const tolerance = 2 * time.Second

// ServerDate compares the local clock with the server's Date of an answer that
// came between sent and over. If the offset is not what it was when the history
// was written, or nobody knows what it was, the history counts as of now. It must be called before the
// outcome of the same answer is appended, with answers of the API's own alone,
// and after a start with one of them before any burst is reserved: until then a
// clock that was set forward makes old calls of new ones.
func (tx *Tx) ServerDate(key Key, date, sent, over, now time.Time) error {
	// The Date has whole seconds and was made between sent and over.
	low, high := date.Sub(over).Microseconds(), date.Add(time.Second).Sub(sent).Microseconds()
	var wasLow, wasHigh, known int64
	err := tx.row("SELECT low, high, known FROM clock WHERE quota_key = $1", key.String()).Scan(&wasLow, &wasHigh, &known)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	anew := false
	switch slack := tolerance.Microseconds(); {
	case known == 0:
		// Nothing to compare with, and nothing to fear if this store has counted
		// the history anew. Where a process before has met a jump, and ended
		// before an answer came, the clock may have been set again since.
		anew = !tx.s.sure[key.String()]
	case low > wasHigh+slack || high < wasLow-slack:
		anew = true
	case low <= wasHigh && high >= wasLow:
		// Both are true. A slow answer says little, and must not make the
		// next jump look possible.
		low, high = max(low, wasLow), min(high, wasHigh)
	}
	if anew {
		if err := tx.Rebase(key, now); err != nil {
			return err
		}
	}
	tx.s.trust(key)
	if err := tx.stamp(key.String(), now); err != nil {
		return err
	}
	_, err = tx.exec("UPDATE clock SET low = $1, high = $2, known = 1 WHERE quota_key = $3", low, high, key.String())
	return err
}

// Alive notes a sign of life of a run: after the last one, a dead run's calls
// can take effect for its grace. It is due every few seconds while calls are in
// flight; a reservation is one too.
func (s *Store) Alive(batch, run int64, now time.Time) error {
	return s.Update(func(tx *Tx) error { return tx.alive(batch, run, now) })
}

// alive refuses a run that has ended: others take its calls for over.
func (tx *Tx) alive(batch, run int64, now time.Time) error {
	res, err := tx.exec("UPDATE run SET alive = CASE WHEN alive < $1 THEN $1 ELSE alive END WHERE batch = $2 AND id = $3 AND ended = 0",
		micros(now), batch, run)
	return changedOne(res, err, "unfinished run", batch, run)
}
