package checkpoint

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Store is an open checkpoint. Its methods may be called from several
// goroutines, and several processes may have one checkpoint open.
type Store struct {
	path    string
	db      *sql.DB // one connection, which writes
	reads   *sql.DB
	ops     chan *op
	quit    chan struct{} // closed: no more operations are taken
	done    chan struct{} // closed: the writing goroutine has ended
	closing sync.Once
	wrote   atomic.Bool  // an event was committed, and so synced, by this store since it wrote the head file
	behind  atomic.Int32 // how many times in a row the head file could not be replaced

	// The rest belongs to the goroutine that writes.
	version   int64 // data_version of the connection: changes when another one commits
	histories map[string]*history
	mine      map[runID]bool   // runs that this store started
	began     time.Time        // the first moment at which the quota was looked at, by the clock as it is set
	judged    time.Time        // the last moment at which the quota was looked at
	woke      time.Time        // when this process was last found to have been asleep
	last      map[string]int64 // by key, the last stamp of a clock that was compared, at the first look
	sure      map[string]bool  // keys whose clock was compared since, or whose history is this store's or was counted anew
}

type runID struct{ batch, id int64 }

// Tx is a transaction that writes. It is valid within the function that got it.
type Tx struct {
	Reader
	s        *Store
	started  []runID // runs that were started in it
	appended bool
	stmts    map[string]*sql.Stmt
}

// Reader reads what a transaction sees.
type Reader struct{ *sql.Tx }

// ErrClosed says that the checkpoint was closed before the operation began.
var ErrClosed = errors.New("the checkpoint is closed")

// Update runs fn in a transaction and returns once it is durable, or the error
// for which nothing of it was kept. Callers that come at the same time share
// one transaction, and so one sync; each has its own savepoint, so that the
// error of one does not undo another. fn must not block on anything but tx, and
// must not call Update.
//
// After an ErrDisk nobody can say whether the last group reached the disk: what
// it wrote is not relied on, and may be found after a restart all the same.
func (s *Store) Update(fn func(*Tx) error) error {
	o := &op{fn: fn, done: make(chan struct{})}
	select {
	case s.ops <- o:
	case <-s.quit:
		return ErrClosed
	}
	<-o.done
	if o.panicked != nil {
		panic(o.panicked) // in the goroutine that it belongs to
	}
	return o.err
}

// View runs fn on a connection that sees what was committed last. The error of
// one that ctx has ended is that of ctx; another that is fn's own stays as it is.
func (s *Store) View(ctx context.Context, fn func(Reader) error) error {
	tx, err := s.reads.BeginTx(ctx, nil)
	if err != nil {
		return s.wrap(err)
	}
	defer tx.Rollback()
	if err := fn(Reader{tx}); err != nil {
		switch {
		case isBroken(err):
			return s.wrap(err)
		case ctx.Err() != nil: // which ended the transaction, and the error says so in words of its own
			return ctx.Err()
		}
		return err
	}
	return nil
}

// Path is the file of the checkpoint.
func (s *Store) Path() string { return s.path }

// Close waits for what is under way and closes the checkpoint. An Update that
// comes later, or at the same time and too late, is an ErrClosed.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.quit)
		<-s.done
		err = errors.Join(s.writeHead(true), s.reads.Close(), s.db.Close())
	})
	return err
}
