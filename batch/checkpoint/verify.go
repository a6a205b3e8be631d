package checkpoint

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// ErrMismatch says that something in a checkpoint is not what its events say.
// Chain says whose events they are.
type ErrMismatch struct{ Chain, What string }

func (e *ErrMismatch) Error() string { return e.Chain + ": " + e.What }

// chainOf names the chain of a batch. One without a name holds the calls of a
// tenant that serve no batch.
func chainOf(name, tenant string) string {
	if name == "" {
		return "the calls of tenant " + tenant + " that serve no batch"
	}
	return fmt.Sprintf("batch %q", name)
}

// mismatch says that something of a batch does not fit.
func (b Batch) mismatch(what string) error { return &ErrMismatch{chainOf(b.Name, b.Key.Tenant), what} }

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
			return &ErrMismatch{fmt.Sprintf("batch %d", batch), fmt.Sprintf("it is not in table batch, and table %s has %d rows of it", table, n)}
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
	return inReplay(func(to *Tx) error {
		last, head, err := replayChain(r, to, b, math.MaxInt64, func(entry) error { return nil })
		if err != nil {
			return err
		}
		if last != b.Events || head != b.Head {
			return b.mismatch(fmt.Sprintf("its chain should have %d events and end in %s; it has %d and ends in %s",
				b.Events, short(b.Head), last, short(head)))
		}
		if err := compare(r, to.Reader, b); err != nil {
			return err
		}
		return r.bookkeeping(b)
	})
}

// AsOf calls fn with a reader of a batch as it was after the event with the
// number seq, made anew from the events up to there: no other batch is in it, and
// nothing that is no event, such as a run's signs of life after its start. A chain
// that is not whole up to there is an *ErrMismatch.
func (r Reader) AsOf(b Batch, seq int64, fn func(Reader) error) error {
	return inReplay(func(to *Tx) error {
		last, head, err := replayChain(r, to, b, seq, func(e entry) error {
			_, err := to.exec("INSERT INTO event (batch, seq, at, kind, body, hash) VALUES ($1, $2, $3, $4, $5, $6)",
				b.ID, e.seq, e.at, e.kind, e.body, e.hash)
			return err
		})
		if err != nil {
			return err
		}
		if last != seq {
			return b.mismatch(fmt.Sprintf("event %d is missing", last+1))
		}
		if _, err := to.exec("UPDATE batch SET events = $1, head = $2 WHERE id = $3", last, head, b.ID); err != nil {
			return err
		}
		return fn(to.Reader)
	})
}

// inReplay calls fn with a transaction on an empty checkpoint in memory, of which
// nothing is kept.
func inReplay(fn func(to *Tx) error) error {
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
	return fn(&Tx{Reader: Reader{tx}, s: &Store{}})
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

// entry is an event as its table has it.
type entry struct {
	seq, at          int64
	kind, body, hash string
}

// replayChain checks each link of a chain up to an event, applies each event to an
// empty checkpoint and hands it to keep. It says where it ended.
func replayChain(r Reader, to *Tx, b Batch, upTo int64, keep func(entry) error) (last int64, head string, err error) {
	rows, err := r.Query("SELECT seq, at, kind, body, hash FROM event WHERE batch = $1 AND seq <= $2 ORDER BY seq", b.ID, upTo)
	if err != nil {
		return 0, "", err
	}
	defer rows.Close()
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.seq, &e.at, &e.kind, &e.body, &e.hash); err != nil {
			return last, head, b.mismatch(fmt.Sprintf("event %d cannot be read: %v", last+1, err))
		}
		if err := replayEvent(to, b.ID, e, last, head); err != nil {
			return last, head, b.mismatch(err.Error())
		}
		if err := keep(e); err != nil {
			return last, head, err
		}
		last, head = e.seq, e.hash
	}
	return last, head, rows.Err()
}

// replayEvent checks one event against the one before it and applies it.
func replayEvent(to *Tx, batch int64, stored entry, last int64, head string) error {
	seq := stored.seq
	if seq != last+1 {
		return fmt.Errorf("event %d is missing", last+1)
	}
	if link(head, seq, stored.body) != stored.hash {
		return fmt.Errorf("event %d is not what was written: its hash does not fit", seq)
	}
	var e Event
	if err := json.Unmarshal([]byte(stored.body), &e); err != nil {
		return fmt.Errorf("event %d cannot be read: %w", seq, err)
	}
	if micros(e.At) != stored.at || e.Kind != stored.kind {
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
