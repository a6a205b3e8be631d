package checkpoint

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mde-offboard/batch/quota"
)

// Budget is what a call counts against.
type Budget struct {
	Key     Key
	Kind    string // the kind of call
	Shared  bool   // count the calls of every kind
	Windows []quota.Window
}

// id is under which name a budget's history is kept.
func (b Budget) id() string {
	if b.Shared {
		return b.Key.String() + "|*"
	}
	return b.Key.String() + "|" + b.Kind
}

// NoSlot says that no call may be reserved now.
type NoSlot struct{ Verdict quota.Verdict }

func (e *NoSlot) Error() string { return "no free slot in the quota: " + e.Verdict.Why }

// Busy says that a device may not be called because another batch has it.
type Busy struct {
	Batch  string
	Status Status
	Action Action
}

func (e *Busy) Error() string { return fmt.Sprintf("the device is %s in batch %q", e.Status, e.Batch) }

// silence is how long a run may give no sign of life before its calls are taken
// for those of a dead one.
const silence = 30 * time.Second

// Reservation is a slot that was taken and an intent that is on the disk.
type Reservation struct {
	Attempt int64
	At      time.Time
}

// Reserve takes a slot of the budget and writes the intent, both or neither. It
// returns a *NoSlot if there is none, and a *Busy if another batch has the
// device. Once it returns without an error the request may leave. A crash from
// then on leaves an attempt that is not over, which keeps its slot and puts its
// task in doubt.
//
// now is asked within the transaction, so that the time spent waiting for
// another process does not make the reservation older than it is.
func (s *Store) Reserve(batch int64, in Intent, b Budget, now func() time.Time) (r Reservation, err error) {
	var no error
	err = s.Update(func(tx *Tx) error {
		r.At = now()
		r.Attempt, no, err = tx.reserve(batch, in, b, r.At)
		return err
	})
	if err == nil {
		err = no
	}
	return r, err
}

// reserve keeps its refusals apart from its errors: a refusal must not undo
// what was learnt about the clock.
func (tx *Tx) reserve(batch int64, in Intent, b Budget, now time.Time) (id int64, no, err error) {
	v, err := tx.Judge(b, now)
	if err != nil {
		return 0, nil, err
	}
	if v.Free < 1 {
		return 0, &NoSlot{v}, nil
	}
	in.Key, in.Kind = b.Key.String(), b.Kind
	e := Event{Kind: "intent", At: now, Run: in.Run, Intent: &in}
	if in.N != 0 {
		busy, err := tx.elsewhere(batch, in.Device)
		if err != nil || busy != nil {
			return 0, busy, err
		}
		e.Tasks = []TaskChange{{N: in.N, Status: Sending}}
	}
	if id, err = tx.Append(batch, e); err != nil {
		return 0, nil, err
	}
	for name, h := range tx.s.histories {
		if name == in.Key+"|*" || name == in.Key+"|"+in.Kind {
			h.Reserve()
		}
	}
	if err := tx.alive(batch, in.Run, now); err != nil {
		return 0, nil, err
	}
	return id, nil, tx.stamp(in.Key, now)
}

// Judge says when the next call of a budget may go, and reserves nothing.
func (s *Store) Judge(b Budget, now func() time.Time) (v quota.Verdict, err error) {
	err = s.Update(func(tx *Tx) error {
		v, err = tx.Judge(b, now())
		return err
	})
	return v, err
}

// Judge says when the next call of a budget may go. A clock that stands before
// the last stamp counts the whole history as of now.
func (tx *Tx) Judge(b Budget, now time.Time) (quota.Verdict, error) {
	key := b.Key.String()
	var seen int64
	err := tx.QueryRow("SELECT seen FROM clock WHERE quota_key = $1", key).Scan(&seen)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return quota.Verdict{}, err
	}
	if fromMicros(seen).Sub(now) > time.Second {
		if err := tx.Rebase(b.Key, now); err != nil {
			return quota.Verdict{}, err
		}
	}
	h, err := tx.history(b, now)
	if err != nil {
		return quota.Verdict{}, err
	}
	hold, err := tx.hold(b)
	if err != nil {
		return quota.Verdict{}, err
	}
	return h.Judge(now, b.Windows, hold), nil
}

// elsewhere finds a device in other batches of the same tenant that have it in
// flight, in doubt or accepted; nil if none has.
func (tx *Tx) elsewhere(batch int64, device string) (error, error) {
	var b Busy
	err := tx.QueryRow(`SELECT o.name, t.status, t.action, t.action_type, t.action_status, t.action_requestor, t.action_created
		FROM task t JOIN batch o ON o.id = t.batch JOIN batch me ON me.id = $1
		WHERE t.device = $2 AND t.batch <> $1 AND o.cloud = me.cloud AND o.tenant = me.tenant
		AND t.status IN ('sending', 'in-doubt', 'accepted') AND o.closed = ''
		ORDER BY CASE t.status WHEN 'accepted' THEN 1 ELSE 0 END LIMIT 1`, batch, device).
		Scan(&b.Batch, &b.Status, &b.Action.ID, &b.Action.Type, &b.Action.Status, &b.Action.Requestor, &b.Action.Created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &b, nil
}

// history is what is known of a budget's calls. It is read from the attempts
// once and then kept up to date by what this process writes, until another
// process commits something.
func (tx *Tx) history(b Budget, now time.Time) (*history, error) {
	longest := time.Duration(0)
	for _, w := range b.Windows {
		longest = max(longest, w.Held())
	}
	if h := tx.s.histories[b.id()]; h != nil && !h.foreign {
		h.Forget(now.Add(-longest))
		return h, nil
	}
	// A call that is not over and whose run gives no sign of life is over when
	// it can no longer take effect.
	rows, err := tx.Query(`SELECT CASE WHEN a.counted = 0 AND (r.ended > 0 OR r.alive < $1) THEN r.alive + r.grace ELSE a.counted END,
			a.counted, a.batch, a.run
		FROM attempt a JOIN run r ON r.batch = a.batch AND r.id = a.run
		WHERE a.quota_key = $2 AND (a.counted = 0 OR a.counted > $3) AND (a.kind = $4 OR $5)
		ORDER BY 1`, micros(now.Add(-silence)), b.Key.String(), micros(now.Add(-longest)), b.Kind, b.Shared)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	h := &history{}
	for rows.Next() {
		var over, counted int64
		var run runID
		if err := rows.Scan(&over, &counted, &run.batch, &run.id); err != nil {
			return nil, err
		}
		h.Reserve()
		h.foreign = h.foreign || counted == 0 && !tx.s.mine[run]
		if over != 0 {
			h.Over(fromMicros(over))
		}
	}
	if tx.s.histories == nil {
		tx.s.histories = map[string]*history{}
	}
	tx.s.histories[b.id()] = h
	return h, rows.Err()
}

// over carries an outcome into the histories that are at hand.
func (s *Store) over(key, kind string, o *Outcome) {
	for name, h := range s.histories {
		if name != key+"|*" && name != key+"|"+kind {
			continue
		}
		if o.Unsent {
			h.Unsent()
		} else {
			h.Over(o.Over)
		}
	}
}

// stamp keeps the latest time that was written for a key.
func (tx *Tx) stamp(key string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO clock (quota_key, seen, low, high, known) VALUES ($1, $2, 0, 0, 0)
		ON CONFLICT (quota_key) DO UPDATE SET seen = excluded.seen WHERE excluded.seen > clock.seen`, key, micros(now))
	return err
}

// Rebase counts a key's history as of now, because the clock can no longer be
// trusted to say how long ago it was: it errs on the side of waiting.
func (tx *Tx) Rebase(key Key, now time.Time) error {
	tx.s.histories = nil
	var seen int64
	err := tx.QueryRow("SELECT seen FROM clock WHERE quota_key = $1", key.String()).Scan(&seen)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	// What was still to come when the last stamp was made stays as far away.
	us, old := micros(now), seen-(2*time.Hour).Microseconds()
	if _, err := tx.Exec(`UPDATE attempt SET counted = $1 + CASE WHEN counted > $2 THEN counted - $2 ELSE 0 END
		WHERE quota_key = $3 AND counted > $4`, us, seen, key.String(), old); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE hold SET until = $1 + until - $2 WHERE until > $2 AND quota_key = $3", us, seen, key.String()); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE run SET alive = $1 WHERE ended = 0", us); err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE clock SET seen = $1, known = 0 WHERE quota_key = $2", us, key.String())
	return err
}

// tolerance is by how much the offset of the clock may change unnoticed: the
// server's Date has whole seconds, and NTP may step.
const tolerance = 2 * time.Second

// ServerDate compares the local clock with the server's Date of an answer that
// came between sent and over. If the offset is not what it was when the history
// was written, the history counts as of now.
func (tx *Tx) ServerDate(key Key, date, sent, over, now time.Time) error {
	low, high := date.Sub(over), date.Add(time.Second).Sub(sent)
	var wasLow, wasHigh, known int64
	err := tx.QueryRow("SELECT low, high, known FROM clock WHERE quota_key = $1", key.String()).Scan(&wasLow, &wasHigh, &known)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if known != 0 && (low > time.Duration(wasHigh)*time.Microsecond+tolerance || high < time.Duration(wasLow)*time.Microsecond-tolerance) {
		if err := tx.Rebase(key, now); err != nil {
			return err
		}
	}
	if err := tx.stamp(key.String(), now); err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE clock SET low = $1, high = $2, known = 1 WHERE quota_key = $3", low.Microseconds(), high.Microseconds(), key.String())
	return err
}

// Alive notes a sign of life of a run: after the last one, a dead run's calls
// can take effect for its grace. It is due every few seconds while calls are in
// flight; a reservation is one too.
func (s *Store) Alive(batch, run int64, now time.Time) error {
	if err := s.Update(func(tx *Tx) error { return tx.alive(batch, run, now) }); err != nil {
		return err
	}
	return s.writeHead()
}

func (tx *Tx) alive(batch, run int64, now time.Time) error {
	_, err := tx.Exec("UPDATE run SET alive = $1 WHERE batch = $2 AND id = $3 AND alive < $1", micros(now), batch, run)
	return err
}
