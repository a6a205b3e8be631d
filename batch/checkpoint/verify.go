package checkpoint

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
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
	return s.View(ctx, func(r Reader) error { return r.verify(batch) })
}

// VerifyAll checks the database file, every batch as Verify does, and that
// nothing is there that belongs to no batch.
func (s *Store) VerifyAll(ctx context.Context) error {
	return s.View(ctx, func(r Reader) error {
		var word string
		if err := r.QueryRow("PRAGMA integrity_check(1)").Scan(&word); err != nil {
			return err
		}
		if word != "ok" {
			return s.wrap(fmt.Errorf("%w: %s", ErrDamaged, word))
		}
		return r.verifyAll()
	})
}

func (r Reader) verifyAll() error {
	if err := r.strays(); err != nil {
		return err
	}
	ids, err := collect(r, "SELECT id FROM batch ORDER BY id", func(row scanner) (id int64, err error) {
		return id, row.Scan(&id)
	})
	for _, id := range ids {
		if err := r.verify(id); err != nil {
			return err
		}
	}
	return err
}

// strays finds rows whose batch is not there, and quotas without their clock.
func (r Reader) strays() error {
	for _, table := range []string{"event", "run", "task", "attempt", "hold"} {
		var n, batch int64
		err := r.QueryRow("SELECT COUNT(*), COALESCE(MIN(batch), 0) FROM "+table+" WHERE batch NOT IN (SELECT id FROM batch)").Scan(&n, &batch)
		if err != nil {
			return err
		}
		if n > 0 {
			return &ErrMismatch{fmt.Sprintf("#%d", batch), fmt.Sprintf("it is not in table batch, and table %s has %d rows of it", table, n)}
		}
	}
	var key sql.NullString
	err := r.QueryRow("SELECT MIN(quota_key) FROM attempt WHERE quota_key NOT IN (SELECT quota_key FROM clock)").Scan(&key)
	if err == nil && key.Valid {
		err = fmt.Errorf("%w: table clock has no row for %s", ErrDamaged, key.String)
	}
	return err
}

func (r Reader) verify(batch int64) error {
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
	to := &Tx{Reader: Reader{tx}, s: &Store{}}
	if err := replayChain(r, to, b); err != nil {
		return err
	}
	if err := compare(r, to.Reader, b); err != nil {
		return err
	}
	return r.bookkeeping(b)
}

// newReplay opens an empty checkpoint in memory, without indexes: nothing is
// looked for in it.
func newReplay() (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file::memory:?_pragma=journal_mode(OFF)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := errors.Join(migrate(db), dropIndexes(db)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func dropIndexes(db *sql.DB) error {
	var drop sql.NullString
	err := db.QueryRow("SELECT group_concat('DROP INDEX ' || name, ';') FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").Scan(&drop)
	if err != nil {
		return err
	}
	_, err = db.Exec(drop.String)
	return err
}

// replayChain checks each link and applies each event to an empty checkpoint.
func replayChain(r Reader, to *Tx, b Batch) error {
	rows, err := r.Query("SELECT seq, at, kind, body, hash FROM event WHERE batch = $1 ORDER BY seq", b.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	head, last := "", int64(0)
	for rows.Next() {
		var seq, at int64
		var kind, body, hash string
		if err := rows.Scan(&seq, &at, &kind, &body, &hash); err != nil {
			return &ErrMismatch{b.Name, fmt.Sprintf("event %d cannot be read: %v", last+1, err)}
		}
		if err := replayEvent(to, b.ID, seq, last, at, kind, body, hash, head); err != nil {
			return &ErrMismatch{b.Name, err.Error()}
		}
		head, last = hash, seq
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if last != b.Events || head != b.Head {
		return &ErrMismatch{b.Name, fmt.Sprintf("its chain should have %d events and end in %s; it has %d and ends in %s",
			b.Events, short(b.Head), last, short(head))}
	}
	return nil
}

// replayEvent checks one event against the one before it and applies it.
func replayEvent(to *Tx, batch, seq, last, at int64, kind, body, hash, head string) error {
	if seq != last+1 {
		return fmt.Errorf("event %d is missing", last+1)
	}
	if link(head, seq, body) != hash {
		return fmt.Errorf("event %d is not what was written: its hash does not fit", seq)
	}
	var e Event
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return fmt.Errorf("event %d cannot be read: %w", seq, err)
	}
	if micros(e.At) != at || e.Kind != kind {
		return fmt.Errorf("event %d stands under another time or kind than it says", seq)
	}
	if (seq == 1) != (e.Batch != nil) {
		return fmt.Errorf("event %d: a batch is made by its first event alone", seq)
	}
	if seq == 1 {
		if err := to.insertBatch(batch, &e); err != nil {
			return err
		}
	}
	if err := to.project(batch, seq, &e); err != nil {
		return fmt.Errorf("event %d does not fit what is before it: %w", seq, err)
	}
	return nil
}

// short is enough of a hash to know it by.
func short(hash string) string {
	if hash == "" {
		return "nothing"
	}
	return hash[:min(12, len(hash))]
}
