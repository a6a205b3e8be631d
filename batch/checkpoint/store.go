package checkpoint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"mde-offboard/batch/quota"
)

// Store is an open checkpoint. Its methods may be called from several
// goroutines, and several processes may have one checkpoint open.
type Store struct {
	path    string
	db      *sql.DB // one connection, which writes
	reads   *sql.DB
	ops     chan op
	done    chan struct{}
	closing sync.Once

	// The rest belongs to the goroutine that writes.
	version   int64 // data_version of the connection: changes when another one commits
	histories map[string]*history
	mine      map[runID]bool // runs that this process started
}

type runID struct{ batch, id int64 }

// history is a budget's history as read from the attempts.
type history struct {
	quota.History
	foreign bool // has calls that are not over and belong to a run of another process
}

// op is one caller's share of a transaction.
type op struct {
	fn   func(*Tx) error
	done chan error
}

// Tx is a transaction that writes. It is valid within the function that got it.
type Tx struct {
	Reader
	s *Store
}

// Reader reads what a transaction sees.
type Reader struct{ *sql.Tx }

// ErrDisk marks an error after which nothing more can be written: the disk is
// full, a write or a sync did not succeed, or the file is damaged. What was
// acknowledged before is there.
var ErrDisk = errors.New("the checkpoint cannot be written")

// Update runs fn in a transaction and returns once it is durable, or the error
// for which nothing of it was kept. Callers that come at the same time share
// one transaction, and so one sync; each has its own savepoint, so that the
// error of one does not undo another. fn must not block on anything but tx.
func (s *Store) Update(fn func(*Tx) error) error {
	o := op{fn, make(chan error, 1)}
	select {
	case s.ops <- o:
		return <-o.done
	case <-s.done:
		return errors.New("the checkpoint is closed")
	}
}

// View runs fn on a connection that sees what was committed last.
func (s *Store) View(ctx context.Context, fn func(Reader) error) error {
	tx, err := s.reads.BeginTx(ctx, nil)
	if err != nil {
		return s.wrap(err)
	}
	defer tx.Rollback()
	return fn(Reader{tx})
}

// write is the goroutine that owns the writing connection.
func (s *Store) write() {
	defer close(s.done)
	for o := range s.ops {
		group := []op{o}
		for more := true; more; {
			select {
			case o, ok := <-s.ops:
				if more = ok; ok {
					group = append(group, o)
				}
			default:
				more = false
			}
		}
		s.commit(group)
	}
}

// commit runs a group of operations in one transaction and tells each how it
// went. A crash before the commit returns leaves nothing of the group; nobody
// was told otherwise.
func (s *Store) commit(group []op) {
	errs, err := s.apply(group)
	if err != nil {
		s.histories = nil
	}
	for i, o := range group {
		if err != nil {
			o.done <- err
		} else {
			o.done <- errs[i]
		}
	}
}

func (s *Store) apply(group []op) ([]error, error) {
	sqltx, err := s.db.Begin()
	if err != nil {
		return nil, s.wrap(err)
	}
	defer sqltx.Rollback()
	tx := &Tx{Reader{sqltx}, s}
	if err := tx.refresh(); err != nil {
		return nil, s.wrap(err)
	}
	errs := make([]error, len(group))
	for i, o := range group {
		if errs[i], err = tx.savepoint(o.fn); err != nil {
			return nil, s.wrap(err)
		}
	}
	if err := sqltx.Commit(); err != nil {
		return nil, s.wrap(err)
	}
	return errs, nil
}

// savepoint runs fn so that its error undoes what it did and no more.
func (tx *Tx) savepoint(fn func(*Tx) error) (own, all error) {
	if _, err := tx.Exec("SAVEPOINT one"); err != nil {
		return nil, err
	}
	if own = fn(tx); own != nil {
		tx.s.histories = nil
		if isDisk(own) {
			return nil, own
		}
		if _, err := tx.Exec("ROLLBACK TO one"); err != nil {
			return nil, err
		}
	}
	_, err := tx.Exec("RELEASE one")
	return own, err
}

// refresh forgets what was read of the quota if another process has committed.
func (tx *Tx) refresh() error {
	var v int64
	if err := tx.QueryRow("PRAGMA data_version").Scan(&v); err != nil {
		return err
	}
	if v != tx.s.version {
		tx.s.version, tx.s.histories = v, nil
	}
	return nil
}

// Path is the file of the checkpoint.
func (s *Store) Path() string { return s.path }

// Close waits for what is under way and closes the checkpoint.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.ops)
		<-s.done
		err = errors.Join(s.writeHead(), s.reads.Close(), s.db.Close())
	})
	return err
}

// wrap names the file in an error of the database.
func (s *Store) wrap(err error) error {
	if err == nil {
		return nil
	}
	if isDisk(err) {
		return fmt.Errorf("%w: %s: %w", ErrDisk, s.path, err)
	}
	return fmt.Errorf("checkpoint %s: %w", s.path, err)
}
