package checkpoint

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
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

// Busy says that a device may not be called because another batch has it, or
// this one has it in flight or accepted already.
type Busy struct {
	Batch  string
	Status Status
	Action Action
}

func (e *Busy) Error() string { return fmt.Sprintf("the device is %s in batch %q", e.Status, e.Batch) }

// Closed says that a batch was closed: nothing is sent for its tasks any more.
type Closed struct{ Why string }

func (e *Closed) Error() string { return "the batch was closed: " + e.Why }

// Reserve takes a slot of the budget and writes the intent, both or neither, and
// returns the number of the attempt, or why there may be none: a *NoSlot if there
// is no slot, a *Closed if the batch is closed and the call is one of a task, and
// a *Busy if the device has a call in flight, or in doubt for another task, or was
// accepted before with an action that has not come to nothing; Intent.Again lets
// the last one pass if that is over. A refusal is not an error, which would undo
// what was learnt about the clock.
//
// Once it is committed the request may leave. A crash from then on leaves an
// attempt that is not over, which keeps its slot and puts its task in doubt.
//
// now is a moment within the transaction, so that the time spent waiting for
// another process does not make the reservation older than it is.
func (tx *Tx) Reserve(batch int64, in Intent, b Budget, now time.Time) (attempt int64, refused, err error) {
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
		no, err := tx.forbidden(batch, &in)
		if err != nil || no != nil {
			return 0, no, err
		}
		e.Tasks = []TaskChange{{N: in.N, Status: Sending}}
	}
	if err := tx.alive(batch, in.Run, now); err != nil {
		return 0, nil, err
	}
	attempt, err = tx.Append(batch, e)
	return attempt, nil, err
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
	var seen int64
	err := tx.row("SELECT seen FROM clock WHERE quota_key = $1", b.Key.String()).Scan(&seen)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return quota.Verdict{}, err
	}
	if err := tx.meet(b.Key, seen); err != nil {
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
	return h.Judge(now, tx.windows(b), hold), nil
}

// windows are those that a budget's calls are judged by. Of a shared one the last
// slot is left to a process that has just begun. Until an answer was dated it
// takes what is over for as young as that can be, and its first call, which is to
// bring the date, would wait for a window that was full when the last run ended,
// however long ago that was.
func (tx *Tx) windows(b Budget) []quota.Window {
	if !b.Shared || !tx.s.sure[b.Key.String()] {
		return b.Windows
	}
	spare := slices.Clone(b.Windows)
	for i := range spare {
		if spare[i].Limit > 1 {
			spare[i].Limit--
		}
	}
	return spare
}

// hold is until when a budget's calls are stopped.
func (tx *Tx) hold(b Budget) (time.Time, error) {
	var until int64
	err := tx.row("SELECT COALESCE(MAX(effective), 0) FROM hold WHERE quota_key = $1 AND (kind = $2 OR kind = '*' OR $3)",
		b.Key.String(), b.Kind, b.Shared).Scan(&until)
	return fromMicros(until), err
}

// forbidden finds why a task must not be called; nil if it may be.
func (tx *Tx) forbidden(batch int64, in *Intent) (no, err error) {
	var why string
	if err := tx.row("SELECT closed FROM batch WHERE id = $1", batch).Scan(&why); err != nil {
		return nil, err
	}
	if why != "" {
		return &Closed{why}, nil
	}
	return tx.busy(batch, in)
}

// busy finds what forbids a call of a device, in any batch of its tenant; nil if
// nothing does. The task itself may be in doubt: whoever calls it again has
// looked it up. An action that came to nothing does not say that a device is
// done. One that is open does, whatever became of its batch.
func (tx *Tx) busy(batch int64, in *Intent) (busy, err error) {
	rows, err := tx.Query(`SELECT o.name, t.status, t.action, t.action_type, t.action_status, t.action_requestor, t.action_created
		FROM task t JOIN batch o ON o.id = t.batch JOIN batch me ON me.id = $1
		WHERE t.device = $2 AND o.cloud = me.cloud AND o.tenant = me.tenant
		AND (t.status = 'sending'
			OR t.status = 'in-doubt' AND NOT (t.batch = $1 AND t.n = $3)
			OR t.status = 'accepted' AND NOT `+cameToNothing+`)
		ORDER BY CASE t.status WHEN 'accepted' THEN 1 ELSE 0 END`, batch, in.Device, in.N)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b Busy
		if err := rows.Scan(&b.Batch, &b.Status, &b.Action.ID, &b.Action.Type, &b.Action.Status, &b.Action.Requestor, &b.Action.Created); err != nil {
			return nil, err
		}
		if b.Status != Accepted || !in.passes(b.Action) {
			return &b, nil
		}
	}
	return nil, rows.Err()
}

// passes says whether a call may go although the device was accepted with an
// action.
func (in *Intent) passes(a Action) bool {
	return in.Again && (a.Final() || in.Over != nil && in.Over(a))
}
