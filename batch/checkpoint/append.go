package checkpoint

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Append adds an event to a batch's chain and applies it to the other tables.
// The number of the event comes back: it is the id of the run or the attempt
// that the event starts.
func (tx *Tx) Append(batch int64, e Event) (seq int64, err error) {
	body, err := e.encode()
	if err != nil {
		return 0, err
	}
	var head string
	if err := tx.QueryRow("SELECT events, head FROM batch WHERE id = $1", batch).Scan(&seq, &head); err != nil {
		return 0, fmt.Errorf("batch %d: %w", batch, err)
	}
	seq++
	head = link(head, seq, body)
	if _, err := tx.Exec("INSERT INTO event (batch, seq, at, kind, body, hash) VALUES ($1, $2, $3, $4, $5, $6)",
		batch, seq, micros(e.At), e.Kind, body, head); err != nil {
		return 0, err
	}
	if _, err := tx.Exec("UPDATE batch SET events = $1, head = $2 WHERE id = $3", seq, head, batch); err != nil {
		return 0, err
	}
	return seq, tx.project(batch, seq, &e)
}

// NewBatch makes a batch with the first event of its chain.
func (tx *Tx) NewBatch(nb NewBatch, at time.Time) (id int64, err error) {
	if err := tx.QueryRow("SELECT COALESCE(MAX(id), 0) + 1 FROM batch").Scan(&id); err != nil {
		return 0, err
	}
	if err := tx.insertBatch(id, &nb, at); err != nil {
		return 0, err
	}
	_, err = tx.Append(id, Event{Kind: "batch", At: at, Batch: &nb})
	return id, err
}

func (tx *Tx) insertBatch(id int64, nb *NewBatch, at time.Time) error {
	simulated := 0
	if nb.Simulated {
		simulated = 1
	}
	_, err := tx.Exec(`INSERT INTO batch (id, name, cloud, tenant, application, host, simulated, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, nb.Name, nb.Cloud, nb.Tenant, nb.Application, nb.Host, simulated, micros(at))
	return err
}

// project applies an event to the tables that are views of the chain.
func (tx *Tx) project(batch, seq int64, e *Event) error {
	if p := e.Plan; p != nil {
		columns, err := json.Marshal(p.Columns)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE batch SET list = $1, list_digest = $2, plan_digest = $3, columns = $4, options = $5 WHERE id = $6`,
			p.List, p.ListDigest, p.PlanDigest, string(columns), p.Options, batch); err != nil {
			return err
		}
	}
	if e.Closed != nil {
		if _, err := tx.Exec("UPDATE batch SET closed = $1 WHERE id = $2", *e.Closed, batch); err != nil {
			return err
		}
	}
	if s := e.Start; s != nil {
		if _, err := tx.Exec(`INSERT INTO run (batch, id, what, who, host, pid, version, agreed, started, alive, grace)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			batch, seq, s.What, s.Who, s.Host, s.PID, s.Version, s.Agreed, micros(e.At), micros(e.At), s.Grace); err != nil {
			return err
		}
		tx.s.mine[runID{batch, seq}] = true
	}
	if r := e.End; r != nil {
		if _, err := tx.Exec("UPDATE run SET ended = $1, why = $2, code = $3 WHERE batch = $4 AND id = $5",
			micros(r.At), r.Why, r.Code, batch, r.Run); err != nil {
			return err
		}
	}
	if err := tx.projectLines(batch, e.Lines); err != nil {
		return err
	}
	if in := e.Intent; in != nil {
		if err := tx.projectIntent(batch, seq, e.At, in); err != nil {
			return err
		}
	}
	for i := range e.Outcome {
		if err := tx.projectOutcome(batch, &e.Outcome[i]); err != nil {
			return err
		}
	}
	for i := range e.Tasks {
		if err := tx.projectTask(batch, &e.Tasks[i]); err != nil {
			return err
		}
	}
	if h := e.Hold; h != nil {
		if _, err := tx.Exec(`INSERT INTO hold (quota_key, kind, until, why) VALUES ($1, $2, $3, $4)
			ON CONFLICT (quota_key, kind) DO UPDATE SET until = excluded.until, why = excluded.why
			WHERE excluded.until > hold.until`, h.Key, h.Kind, micros(h.Until), h.Why); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) projectLines(batch int64, lines []Line) error {
	if len(lines) == 0 {
		return nil
	}
	// A status is set only if the line says one: what was sent stays sent.
	stmt, err := tx.Prepare(`INSERT INTO task (batch, n, position, file, line, device, name, comment, extra, status, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 = '' THEN 'pending' ELSE $10 END, $11)
		ON CONFLICT (batch, n) DO UPDATE SET position = excluded.position, file = excluded.file, line = excluded.line,
			device = excluded.device, name = excluded.name, comment = excluded.comment, extra = excluded.extra,
			status = CASE WHEN $10 = '' THEN task.status ELSE excluded.status END,
			reason = CASE WHEN $10 = '' THEN task.reason ELSE excluded.reason END`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, l := range lines {
		extra, err := json.Marshal(l.Extra)
		if err != nil {
			return err
		}
		if _, err := stmt.Exec(batch, l.N, l.Position, l.File, l.Line, l.Device, l.Name, l.Comment, string(extra), string(l.Status), l.Reason); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) projectIntent(batch, seq int64, at time.Time, in *Intent) error {
	if _, err := tx.Exec(`INSERT INTO attempt (batch, id, run, quota_key, kind, n, device, number, tag, reserved)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		batch, seq, in.Run, in.Key, in.Kind, in.N, in.Device, in.Number, in.Tag, micros(at)); err != nil {
		return err
	}
	if in.N == 0 {
		return nil
	}
	_, err := tx.Exec("UPDATE task SET attempt = $1 WHERE batch = $2 AND n = $3", seq, batch, in.N)
	return err
}

func (tx *Tx) projectOutcome(batch int64, o *Outcome) error {
	sent, counted := 1, micros(o.Over)
	if o.Unsent {
		sent, counted = 0, -1
	}
	var key, kind string
	err := tx.QueryRow(`UPDATE attempt SET over = $1, outcome = $2, sent = $3, status = $4, code = $5, message = $6,
		target = $7, request_id = $8, date = $9, counted = $10 WHERE batch = $11 AND id = $12 RETURNING quota_key, kind`,
		micros(o.Over), o.Outcome, sent, o.Status, o.Code, o.Message, o.Target, o.RequestID, micros(o.Date), counted,
		batch, o.Attempt).Scan(&key, &kind)
	if err != nil {
		return fmt.Errorf("attempt %d of batch %d: %w", o.Attempt, batch, err)
	}
	tx.s.over(key, kind, o)
	return nil
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
	if c.Health != nil {
		add("health", *c.Health)
	}
	if len(set) == 0 {
		return nil
	}
	args = append(args, batch, c.N)
	res, err := tx.Exec(fmt.Sprintf("UPDATE task SET %s WHERE batch = $%d AND n = $%d",
		strings.Join(set, ", "), len(args)-1, len(args)), args...)
	return changedOne(res, err, batch, c.N)
}

func changedOne(res sql.Result, err error, batch, n int64) error {
	if err != nil {
		return err
	}
	rows, err := res.RowsAffected()
	if err == nil && rows != 1 {
		err = fmt.Errorf("task %d of batch %d is not there", n, batch)
	}
	return err
}
