package checkpoint

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrNoBatch says that the checkpoint has no batch of that name.
var ErrNoBatch = errors.New("no such batch")

const batchColumns = "id, name, cloud, tenant, application, host, simulated, created, list, list_digest, plan_digest, columns, options, closed, events, head"

type scanner interface{ Scan(...any) error }

func scanBatch(row scanner) (b Batch, err error) {
	var created, simulated int64
	var columns string
	err = row.Scan(&b.ID, &b.Name, &b.Key.Cloud, &b.Key.Tenant, &b.Key.Application, &b.Host, &simulated, &created,
		&b.List, &b.ListDigest, &b.PlanDigest, &columns, &b.Options, &b.Closed, &b.Events, &b.Head)
	if errors.Is(err, sql.ErrNoRows) {
		return b, ErrNoBatch
	}
	if err != nil {
		return b, err
	}
	b.Created, b.Simulated = fromMicros(created), simulated != 0
	if err := json.Unmarshal([]byte(columns), &b.Columns); err != nil {
		return b, fmt.Errorf("%w: table batch, row %d: columns: %w", ErrDamaged, b.ID, err)
	}
	return b, nil
}

// FindBatch finds a tenant's batch by its name; ErrNoBatch if there is none.
func (r Reader) FindBatch(cloud, tenant, name string) (Batch, error) {
	return scanBatch(r.QueryRow("SELECT "+batchColumns+" FROM batch WHERE cloud = $1 AND tenant = $2 AND name = $3", cloud, tenant, name))
}

// Batch reads a batch by its id; ErrNoBatch if there is none.
func (r Reader) Batch(id int64) (Batch, error) {
	return scanBatch(r.QueryRow("SELECT "+batchColumns+" FROM batch WHERE id = $1", id))
}

// HasSince says whether a batch has an event of a kind after the one with the
// number seq.
func (r Reader) HasSince(batch, seq int64, kind string) (has bool, err error) {
	err = r.QueryRow("SELECT EXISTS (SELECT 1 FROM event WHERE batch = $1 AND seq > $2 AND kind = $3)", batch, seq, kind).Scan(&has)
	return has, err
}

// Continues says whether a batch is still the one that was read before: its
// chain has the same event where that one ended. It may have grown since.
func (r Reader) Continues(b Batch) (same bool, err error) {
	err = r.QueryRow(`SELECT EXISTS (SELECT 1 FROM event e JOIN batch b ON b.id = e.batch
		WHERE e.batch = $1 AND e.seq = $2 AND e.hash = $3 AND b.name = $4)`, b.ID, b.Events, b.Head, b.Name).Scan(&same)
	return same, err
}

// Batches lists all batches, the oldest first, without those that only hold
// the calls of a tenant that belong to none.
func (r Reader) Batches() ([]Batch, error) {
	return collect(r, "SELECT "+batchColumns+" FROM batch WHERE name <> '' ORDER BY id", scanBatch)
}

const runColumns = "batch, id, what, who, host, pid, version, agreed, started, grace, alive, ended, why, code"

func scanRun(row scanner) (r Run, err error) {
	var started, grace, alive, ended int64
	err = row.Scan(&r.Batch, &r.ID, &r.What, &r.Who, &r.Host, &r.PID, &r.Version, &r.Agreed, &started, &grace, &alive, &ended, &r.Why, &r.Code)
	r.Started, r.Alive, r.Ended = fromMicros(started), fromMicros(alive), fromMicros(ended)
	r.Grace = time.Duration(grace) * time.Microsecond
	return r, err
}

// Runs lists the runs of a batch in order.
func (r Reader) Runs(batch int64) ([]Run, error) {
	return collect(r, "SELECT "+runColumns+" FROM run WHERE batch = $1 ORDER BY id", scanRun, batch)
}

const taskColumns = `t.batch, t.n, t.position, t.file, t.line, t.device, t.name, t.comment, t.extra, t.status, t.reason, t.attempts, t.tries404,
	t.not_before, t.doubt_since, t.doubt_until, t.attempt, t.action, t.action_type, t.action_status, t.action_requestor, t.action_created,
	t.action_updated, t.action_error, t.health, t.taken, t.withdrawn`

// taskScan collects where the columns of a task go.
type taskScan struct {
	Task
	extra                             string
	notBefore, doubtSince, doubtUntil int64
}

func (s *taskScan) into() []any {
	return []any{&s.Batch, &s.N, &s.Position, &s.File, &s.Line, &s.Device, &s.Name, &s.Comment, &s.extra, &s.Status, &s.Reason,
		&s.Attempts, &s.Tries404, &s.notBefore, &s.doubtSince, &s.doubtUntil, &s.Attempt,
		&s.Action.ID, &s.Action.Type, &s.Action.Status, &s.Action.Requestor, &s.Action.Created, &s.Action.Updated, &s.Action.Error, &s.Health, &s.Taken, &s.Withdrawn}
}

func (s *taskScan) task() (Task, error) {
	s.NotBefore, s.DoubtSince, s.DoubtUntil = fromMicros(s.notBefore), fromMicros(s.doubtSince), fromMicros(s.doubtUntil)
	if err := json.Unmarshal([]byte(s.extra), &s.Task.Extra); err != nil {
		return s.Task, fmt.Errorf("%w: table task, row %d of batch %d: extra: %w", ErrDamaged, s.N, s.Batch, err)
	}
	return s.Task, nil
}

func scanTask(row scanner) (Task, error) {
	var s taskScan
	if err := row.Scan(s.into()...); err != nil {
		return Task{}, err
	}
	return s.task()
}

// inOrder is the order of the list, then what is no longer in it.
const inOrder = " ORDER BY t.position = 0, t.position, t.n"

// Tasks lists the tasks of a batch in the order of the list.
func (r Reader) Tasks(batch int64) ([]Task, error) {
	return collect(r, "SELECT "+taskColumns+" FROM task t WHERE t.batch = $1"+inOrder, scanTask, batch)
}

// Lists counts the lists that the tasks of a batch come from.
func (r Reader) Lists(batch int64) (n int, err error) {
	err = r.QueryRow("SELECT COUNT(DISTINCT file) FROM task WHERE batch = $1", batch).Scan(&n)
	return n, err
}

// EachResult calls fn for each task of a batch in the order of the list, with
// its last attempt (the zero Attempt if it has none), until fn returns an error.
func (r Reader) EachResult(batch int64, fn func(Task, Attempt) error) error {
	rows, err := r.Query(`SELECT `+taskColumns+`, COALESCE(a.id, 0), COALESCE(a.run, 0), COALESCE(a.kind, ''), COALESCE(a.number, 0),
		COALESCE(a.tag, ''), COALESCE(a.reserved, 0), COALESCE(a.over, 0), COALESCE(a.outcome, ''), COALESCE(a.sent, 0), COALESCE(a.status, 0),
		COALESCE(a.code, ''), COALESCE(a.message, ''), COALESCE(a.target, ''), COALESCE(a.request_id, ''), COALESCE(a.date, 0)
		FROM task t LEFT JOIN attempt a ON a.batch = t.batch AND a.id = t.attempt WHERE t.batch = $1`+inOrder, batch)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s taskScan
		var a Attempt
		var reserved, over, sent, date int64
		if err := rows.Scan(append(s.into(), &a.ID, &a.Run, &a.Kind, &a.Number, &a.Tag, &reserved, &over, &a.Outcome, &sent, &a.Status,
			&a.Code, &a.Message, &a.Target, &a.RequestID, &date)...); err != nil {
			return err
		}
		t, err := s.task()
		if err != nil {
			return err
		}
		a.Batch, a.N, a.Device = t.Batch, t.N, t.Device
		a.Reserved, a.Over, a.Date, a.Sent = fromMicros(reserved), fromMicros(over), fromMicros(date), sent != 0
		if err := fn(t, a); err != nil {
			return err
		}
	}
	return rows.Err()
}

const attemptColumns = "batch, id, run, quota_key, kind, n, device, number, tag, reserved, over, outcome, sent, status, code, message, target, request_id, date"

func scanAttempt(row scanner) (a Attempt, err error) {
	var reserved, over, sent, date int64
	err = row.Scan(&a.Batch, &a.ID, &a.Run, &a.Key, &a.Kind, &a.N, &a.Device, &a.Number, &a.Tag, &reserved, &over, &a.Outcome, &sent,
		&a.Status, &a.Code, &a.Message, &a.Target, &a.RequestID, &date)
	a.Reserved, a.Over, a.Date, a.Sent = fromMicros(reserved), fromMicros(over), fromMicros(date), sent != 0
	return a, err
}

// Attempts lists the HTTP requests of a batch in the order of their intents.
func (r Reader) Attempts(batch int64) ([]Attempt, error) {
	return collect(r, "SELECT "+attemptColumns+" FROM attempt WHERE batch = $1 ORDER BY id", scanAttempt, batch)
}

// TaskAttempts lists the HTTP requests of one task.
func (r Reader) TaskAttempts(batch, n int64) ([]Attempt, error) {
	return collect(r, "SELECT "+attemptColumns+" FROM attempt WHERE batch = $1 AND n = $2 ORDER BY id", scanAttempt, batch, n)
}

// OpenAttempts lists the requests of a batch of which no end is known.
func (r Reader) OpenAttempts(batch int64) ([]Attempt, error) {
	return collect(r, "SELECT "+attemptColumns+" FROM attempt WHERE batch = $1 AND over = 0 ORDER BY id", scanAttempt, batch)
}

// Tags maps the tag of each offboard attempt of a batch to its task.
func (r Reader) Tags(batch int64) (map[string]int64, error) {
	rows, err := r.Query("SELECT tag, n FROM attempt WHERE batch = $1 AND tag <> ''", batch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	tags := map[string]int64{}
	for rows.Next() {
		var tag string
		var n int64
		if err := rows.Scan(&tag, &n); err != nil {
			return nil, err
		}
		tags[tag] = n
	}
	return tags, rows.Err()
}

// Counts gives the number of a batch's tasks of each status.
func (r Reader) Counts(batch int64) (map[Status]int, error) {
	rows, err := r.Query("SELECT status, COUNT(*) FROM task WHERE batch = $1 GROUP BY status", batch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[Status]int{}
	for rows.Next() {
		var s Status
		var n int
		if err := rows.Scan(&s, &n); err != nil {
			return nil, err
		}
		counts[s] = n
	}
	return counts, rows.Err()
}

// Simulated says whether the checkpoint holds simulated batches; any is false
// while it holds none at all.
func (r Reader) Simulated() (simulated, any bool, err error) {
	var s sql.NullInt64
	err = r.QueryRow("SELECT MAX(simulated) FROM batch").Scan(&s)
	return s.Int64 != 0, s.Valid, err
}

// EachEvent calls fn for each event of a batch in order, with its number, its
// hash and its canonical form, until fn returns an error.
func (r Reader) EachEvent(batch int64, fn func(seq int64, hash, body string) error) error {
	rows, err := r.Query("SELECT seq, hash, body FROM event WHERE batch = $1 ORDER BY seq", batch)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var hash, body string
		if err := rows.Scan(&seq, &hash, &body); err != nil {
			return err
		}
		if err := fn(seq, hash, body); err != nil {
			return err
		}
	}
	return rows.Err()
}

// collect runs a query and scans all its rows.
func collect[T any](r Reader, query string, scan func(scanner) (T, error), args ...any) ([]T, error) {
	rows, err := r.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
