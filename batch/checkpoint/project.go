package checkpoint

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// project applies an event to the tables that are views of the chain. The row
// of the batch itself is there: the chain is counted in it.
func (tx *Tx) project(batch, seq int64, e *Event) error {
	if e.Plan != nil {
		if err := tx.projectPlan(batch, e.Plan); err != nil {
			return err
		}
	}
	if e.Closed != nil {
		if _, err := tx.exec("UPDATE batch SET closed = $1 WHERE id = $2", *e.Closed, batch); err != nil {
			return err
		}
	}
	if e.Start != nil {
		if err := tx.projectStart(batch, seq, e.At, e.Start); err != nil {
			return err
		}
	}
	if e.End != nil {
		if err := tx.projectEnd(batch, e.At, e.End); err != nil {
			return err
		}
	}
	for i := range e.Lines {
		if err := tx.projectLine(batch, &e.Lines[i]); err != nil {
			return err
		}
	}
	if e.Intent != nil {
		if err := tx.projectIntent(batch, seq, e.At, e.Intent); err != nil {
			return err
		}
	}
	for i := range e.Outcome {
		if err := tx.projectOutcome(batch, e.At, &e.Outcome[i]); err != nil {
			return err
		}
	}
	for i := range e.Tasks {
		if err := tx.projectTask(batch, &e.Tasks[i]); err != nil {
			return err
		}
	}
	if h := e.Hold; h != nil {
		_, err := tx.exec("INSERT INTO hold (batch, id, quota_key, kind, until, why, effective) VALUES ($1, $2, $3, $4, $5, $6, $5)",
			batch, seq, h.Key, h.Kind, micros(h.Until), h.Why)
		return err
	}
	return nil
}

func (tx *Tx) projectPlan(batch int64, p *Plan) error {
	columns, err := json.Marshal(p.Columns)
	if err != nil {
		return err
	}
	_, err = tx.exec("UPDATE batch SET list = $1, list_digest = $2, plan_digest = $3, columns = $4, options = $5 WHERE id = $6",
		p.List, p.ListDigest, p.PlanDigest, string(columns), p.Options, batch)
	return err
}

func (tx *Tx) projectStart(batch, seq int64, at time.Time, s *RunStart) error {
	_, err := tx.exec(`INSERT INTO run (batch, id, what, who, host, pid, version, agreed, started, alive, grace)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)`,
		batch, seq, s.What, s.Who, s.Host, s.PID, s.Version, s.Agreed, micros(at), s.Grace)
	return err
}

// projectEnd takes the end for a sign of life too: calls that are open then can
// take effect for the run's grace from there.
func (tx *Tx) projectEnd(batch int64, at time.Time, r *RunEnd) error {
	if !r.At.IsZero() {
		at = r.At
	}
	res, err := tx.exec(`UPDATE run SET ended = $1, why = $2, code = $3, alive = CASE WHEN alive < $1 THEN $1 ELSE alive END
		WHERE batch = $4 AND id = $5`, micros(at), r.Why, r.Code, batch, r.Run)
	return changedOne(res, err, "run", batch, r.Run)
}

// projectLine sets a status only if the line says one: what was sent stays sent.
func (tx *Tx) projectLine(batch int64, l *Line) error {
	extra, err := json.Marshal(l.Extra)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO task (batch, n, position, file, line, device, name, comment, extra, status, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 = '' THEN 'pending' ELSE $10 END, $11)
		ON CONFLICT (batch, n) DO UPDATE SET position = excluded.position, file = excluded.file, line = excluded.line,
			device = excluded.device, name = excluded.name, comment = excluded.comment, extra = excluded.extra,
			status = CASE WHEN $10 = '' THEN task.status ELSE excluded.status END,
			reason = CASE WHEN $10 = '' THEN task.reason ELSE excluded.reason END`,
		batch, l.N, l.Position, l.File, l.Line, l.Device, l.Name, l.Comment, string(extra), string(l.Status), l.Reason)
	return err
}

func (tx *Tx) projectIntent(batch, seq int64, at time.Time, in *Intent) error {
	if _, err := tx.exec(`INSERT INTO attempt (batch, id, run, quota_key, kind, n, device, number, tag, reserved)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		batch, seq, in.Run, in.Key, in.Kind, in.N, in.Device, in.Number, in.Tag, micros(at)); err != nil {
		return err
	}
	if in.N == 0 {
		return nil
	}
	res, err := tx.exec("UPDATE task SET attempt = $1 WHERE batch = $2 AND n = $3", seq, batch, in.N)
	return changedOne(res, err, "task", batch, in.N)
}

func (tx *Tx) projectOutcome(batch int64, at time.Time, o *Outcome) error {
	over := o.overAt(at)
	sent, counted := 1, micros(over)
	if o.Unsent {
		sent, counted = 0, -1
	}
	res, err := tx.exec(`UPDATE attempt SET over = $1, outcome = $2, sent = $3, status = $4, code = $5, message = $6,
		target = $7, request_id = $8, date = $9, counted = $10 WHERE batch = $11 AND id = $12`,
		micros(over), o.Outcome, sent, o.Status, o.Code, o.Message, o.Target, o.RequestID, micros(o.Date), counted, batch, o.Attempt)
	return changedOne(res, err, "attempt", batch, o.Attempt)
}

// overAt is when the call was over that an event of the time at tells of.
func (o *Outcome) overAt(at time.Time) time.Time {
	if o.Over.IsZero() {
		return at
	}
	return o.Over
}

// projectTask sets the fields that the change names.
func (tx *Tx) projectTask(batch int64, c *TaskChange) error {
	var set []string
	var args []any
	add := func(column string, value any) {
		args = append(args, value)
		set = append(set, fmt.Sprintf("%s = $%d", column, len(args)))
	}
	if c.Status != "" {
		add("status", string(c.Status))
	}
	if c.Reason != nil {
		add("reason", *c.Reason)
	}
	if c.Attempts != nil {
		add("attempts", *c.Attempts)
	}
	if c.Tries404 != nil {
		add("tries404", *c.Tries404)
	}
	for _, t := range []struct {
		column string
		value  *time.Time
	}{{"not_before", c.NotBefore}, {"doubt_since", c.DoubtSince}, {"doubt_until", c.DoubtUntil}} {
		if t.value != nil {
			add(t.column, micros(*t.value))
		}
	}
	if a := c.Action; a != nil {
		add("action", a.ID)
		add("action_type", a.Type)
		add("action_status", a.Status)
		add("action_requestor", a.Requestor)
		add("action_created", a.Created)
		add("action_updated", a.Updated)
		add("action_error", a.Error)
	}
	if c.Taken != nil {
		add("taken", *c.Taken)
	}
	if c.Withdrawn != nil {
		add("withdrawn", *c.Withdrawn)
	}
	if c.Health != nil {
		add("health", *c.Health)
	}
	if len(set) == 0 {
		return nil
	}
	args = append(args, batch, c.N)
	res, err := tx.exec(fmt.Sprintf("UPDATE task SET %s WHERE batch = $%d AND n = $%d",
		strings.Join(set, ", "), len(args)-1, len(args)), args...)
	return changedOne(res, err, "task", batch, c.N)
}

func changedOne(res sql.Result, err error, what string, batch, n int64) error {
	if err != nil {
		return err
	}
	rows, err := res.RowsAffected()
	if err == nil && rows != 1 {
		err = fmt.Errorf("%s %d of batch %d is not there", what, n, batch)
	}
	return err
}
