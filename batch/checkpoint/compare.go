package checkpoint

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// projections are the tables that the events make, without the columns that are
// bookkeeping of the moment. The first column tells a batch's rows apart.
var projections = []struct{ table, batch, columns string }{
	{"batch", "id", "id, name, cloud, tenant, application, host, simulated, created, list, list_digest, plan_digest, columns, options, closed"},
	{"run", "batch", "id, what, who, host, pid, version, agreed, started, grace, ended, why, code"},
	{"task", "batch", "n, " + strings.ReplaceAll(taskColumns, "t.", "")},
	{"attempt", "batch", strings.Replace(attemptColumns, "batch, ", "", 1)},
	{"hold", "batch", "id, quota_key, kind, until, why"},
}

// compare holds the tables of a batch against those made from its events.
func compare(have, want Reader, b Batch) error {
	for _, p := range projections {
		query := fmt.Sprintf("SELECT %s FROM %s WHERE %s = $1 ORDER BY 1", p.columns, p.table, p.batch)
		if err := compareTable(have, want, p.table, query, b); err != nil {
			return err
		}
	}
	return nil
}

func compareTable(have, want Reader, table, query string, b Batch) error {
	h, err := readRows(have, query, b.ID)
	if err != nil {
		return err
	}
	defer h.Close()
	w, err := readRows(want, query, b.ID)
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		hm, wm := h.next(), w.next()
		if err := errors.Join(h.err, w.err); err != nil {
			return err
		}
		if !hm && !wm {
			return nil
		}
		if what := differ(table, h, w, hm, wm); what != "" {
			return b.mismatch(what)
		}
	}
}

// differ says how a row differs from the one that the events make; hm and wm
// say which of the two there is.
func differ(table string, h, w *rowReader, hm, wm bool) string {
	switch {
	case !hm:
		return fmt.Sprintf("table %s: row %s is missing", table, w.values[0].String)
	case !wm:
		return fmt.Sprintf("table %s: row %s comes from no event", table, h.values[0].String)
	}
	for i, v := range h.values {
		if v != w.values[i] {
			return fmt.Sprintf("table %s, row %s: %s is %q, the events say %q", table, w.values[0].String, h.columns[i], v.String, w.values[i].String)
		}
	}
	return ""
}

// rowReader reads rows as text.
type rowReader struct {
	*sql.Rows
	columns []string
	values  []sql.NullString
	into    []any
	err     error
}

func readRows(r Reader, query string, args ...any) (*rowReader, error) {
	rows, err := r.Query(query, args...)
	if err != nil {
		return nil, err
	}
	rr := &rowReader{Rows: rows}
	if rr.columns, err = rows.Columns(); err != nil {
		rows.Close()
		return nil, err
	}
	rr.values, rr.into = make([]sql.NullString, len(rr.columns)), make([]any, len(rr.columns))
	for i := range rr.values {
		rr.into[i] = &rr.values[i]
	}
	return rr, nil
}

func (r *rowReader) next() bool {
	if !r.Next() {
		r.err = r.Err()
		return false
	}
	r.err = r.Scan(r.into...)
	return r.err == nil
}

// bookkeeping checks what of the columns outside the chain can be checked: that
// an attempt counts against the quota as one that is open, over or unsent, and
// that neither it nor a hold counts from earlier than its event says, unless the
// clock was set back by as much. What counts from later makes a run wait.
func (r Reader) bookkeeping(b Batch) error {
	const back = "COALESCE((SELECT set_back FROM clock c WHERE c.quota_key = t.quota_key), 0)"
	for _, table := range []struct{ name, wrong, what string }{
		{"attempt", `counted <> CASE WHEN over = 0 THEN 0 WHEN sent = 0 THEN -1 WHEN counted >= over - ` + back + ` AND counted > 0 THEN counted ELSE over END`,
			"it does not count against the quota as it should"},
		{"hold", "effective < until - " + back, "it ends earlier than it should"},
	} {
		var id int64
		err := r.QueryRow("SELECT id FROM "+table.name+" t WHERE batch = $1 AND "+table.wrong+" ORDER BY id LIMIT 1", b.ID).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		return b.mismatch(fmt.Sprintf("table %s, row %d: %s", table.name, id, table.what))
	}
	return nil
}
