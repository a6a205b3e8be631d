package checkpoint

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
)

// ErrMismatch says that something in a checkpoint is not what its events say.
type ErrMismatch struct{ Batch, What string }

func (e *ErrMismatch) Error() string { return fmt.Sprintf("batch %q: %s", e.Batch, e.What) }

// Verify checks a batch: that its chain is whole, each hash over the one before
// it, and that the tables say what the events say, by making them anew from the
// events in a database in memory. The first thing that does not fit comes back
// as an *ErrMismatch.
//
// A chain without a signature proves order and completeness only to someone who
// kept an earlier head.
func (s *Store) Verify(ctx context.Context, batch int64) error {
	return s.View(ctx, func(r Reader) error {
		b, err := r.Batch(batch)
		if err != nil {
			return err
		}
		replay, err := newReplay()
		if err != nil {
			return err
		}
		defer replay.Close()
		tx, err := replay.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		to := &Tx{Reader{tx}, &Store{mine: map[runID]bool{}}}
		if err := replayChain(r, to, b); err != nil {
			return err
		}
		return compare(r, to.Reader, b)
	})
}

// newReplay opens an empty checkpoint in memory.
func newReplay() (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// replayChain checks each link and applies each event to an empty checkpoint.
func replayChain(r Reader, to *Tx, b Batch) error {
	bad := func(seq int64, format string, args ...any) error {
		return &ErrMismatch{b.Name, fmt.Sprintf("event %d ", seq) + fmt.Sprintf(format, args...)}
	}
	head, last := "", int64(0)
	err := r.EachEvent(b.ID, func(seq int64, hash, body string) error {
		if seq != last+1 {
			return bad(last+1, "is missing")
		}
		if link(head, seq, body) != hash {
			return bad(seq, "is not what was written: its hash does not fit")
		}
		head, last = hash, seq
		var e Event
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return bad(seq, "cannot be read: %v", err)
		}
		if e.Batch != nil {
			if err := to.insertBatch(b.ID, e.Batch, e.At); err != nil {
				return err
			}
		}
		if err := to.project(b.ID, seq, &e); err != nil {
			return bad(seq, "does not fit what is before it: %v", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if last != b.Events || head != b.Head {
		return bad(b.Events, "is missing: the chain ends at %d", last)
	}
	return nil
}

// projections are the tables that the events make, without the columns that are
// bookkeeping of the moment.
var projections = []struct{ table, columns, order string }{
	{"batch", "id, name, cloud, tenant, application, host, simulated, created, list, list_digest, plan_digest, columns, options, closed", "id"},
	{"run", "id, what, who, host, pid, version, agreed, started, grace, ended, why, code", "id"},
	{"task", strings.ReplaceAll(taskColumns, "t.", ""), "n"},
	{"attempt", attemptColumns, "id"},
}

// compare holds the tables of a batch against those made from its events.
func compare(have, want Reader, b Batch) error {
	for _, p := range projections {
		column := "batch"
		if p.table == "batch" {
			column = "id"
		}
		query := fmt.Sprintf("SELECT %s FROM %s WHERE %s = $1 ORDER BY %s", p.columns, p.table, column, p.order)
		if err := compareTable(have, want, p.table, query, b); err != nil {
			return err
		}
	}
	return nil
}

func compareTable(have, want Reader, table, query string, b Batch) error {
	h, err := have.Query(query, b.ID)
	if err != nil {
		return err
	}
	defer h.Close()
	w, err := want.Query(query, b.ID)
	if err != nil {
		return err
	}
	defer w.Close()
	for row := 1; ; row++ {
		hm, wm := h.Next(), w.Next()
		if !hm || !wm {
			if hm != wm {
				return &ErrMismatch{b.Name, fmt.Sprintf("table %s has not as many rows as the events make", table)}
			}
			break
		}
		hv, cols, err := values(h)
		if err != nil {
			return err
		}
		wv, _, err := values(w)
		if err != nil {
			return err
		}
		for i := range hv {
			if hv[i] != wv[i] {
				return &ErrMismatch{b.Name, fmt.Sprintf("table %s, row %d: %s is %q, the events say %q", table, row, cols[i], hv[i], wv[i])}
			}
		}
	}
	if err := h.Err(); err != nil {
		return err
	}
	return w.Err()
}

// values reads a row as text.
func values(rows *sql.Rows) (v, cols []string, err error) {
	if cols, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	v = make([]string, len(cols))
	into := make([]any, len(cols))
	for i := range v {
		into[i] = &v[i]
	}
	return v, cols, rows.Scan(into...)
}
