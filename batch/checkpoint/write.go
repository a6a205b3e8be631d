package checkpoint

import "database/sql"

// op is one caller's share of a transaction.
type op struct {
	fn       func(*Tx) error
	err      error
	panicked any
	done     chan struct{} // closed when the caller may know
}

// write is the goroutine that owns the writing connection. The channel of
// operations has no buffer and is never closed: an operation that was sent is
// one that was taken, and a send cannot meet a closed channel.
func (s *Store) write() {
	defer close(s.done)
	for {
		select {
		case o := <-s.ops:
			s.commit(s.gather(o))
		case <-s.quit:
			return
		}
	}
}

// gather takes the operations that wait at this moment.
func (s *Store) gather(first *op) []*op {
	group := []*op{first}
	for {
		select {
		case o := <-s.ops:
			group = append(group, o)
		default:
			return group
		}
	}
}

// commit runs a group of operations in one transaction and tells each how it
// went. A crash before the commit returns leaves nothing of the group; nobody
// was told otherwise. A panic goes to all of the group, and not to the process.
func (s *Store) commit(group []*op) {
	defer func() {
		if p := recover(); p != nil {
			s.histories, s.sure = nil, nil
			for _, o := range group {
				o.panicked = p
			}
		}
		for _, o := range group {
			close(o.done)
		}
	}()
	if err := s.apply(group); err != nil {
		s.histories, s.sure = nil, nil
		for _, o := range group {
			o.err = err
		}
	}
}

// apply gives each operation its own error, or returns the one for which
// nothing of the group was kept.
func (s *Store) apply(group []*op) error {
	sqltx, err := s.db.Begin()
	if err != nil {
		return s.wrap(err)
	}
	defer sqltx.Rollback()
	tx := &Tx{Reader: Reader{sqltx}, s: s}
	if err := tx.refresh(); err != nil {
		return s.wrap(err)
	}
	for _, o := range group {
		if err := tx.savepoint(o); err != nil {
			return s.wrap(err)
		}
	}
	if err := sqltx.Commit(); err != nil {
		return s.wrap(err)
	}
	// Only now: the number of a run that was rolled back may be given to one of
	// another process.
	for _, run := range tx.started {
		s.mine[run] = true
	}
	if tx.appended {
		s.wrote.Store(true)
	}
	return nil
}

// savepoint runs an operation so that its error undoes what it did and no more.
// The error that comes back is one for which the whole group must fail.
func (tx *Tx) savepoint(o *op) error {
	if _, err := tx.Exec("SAVEPOINT one"); err != nil {
		return err
	}
	started := len(tx.started)
	if !o.run(tx) {
		// What was learnt of the quota and the clock may have what is undone now.
		tx.s.histories, tx.s.sure, tx.started = nil, nil, tx.started[:started]
		if isDisk(o.err) {
			return o.err
		}
		if _, err := tx.Exec("ROLLBACK TO one"); err != nil {
			return err
		}
	}
	_, err := tx.Exec("RELEASE one")
	return err
}

// run calls the function. A panic goes to the caller, who may know what to do;
// here it would end the process with other callers' work undone.
func (o *op) run(tx *Tx) (ok bool) {
	defer func() {
		if o.panicked = recover(); o.panicked != nil {
			ok = false
		}
	}()
	o.err = o.fn(tx)
	return o.err == nil
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

// exec is Exec by a statement that is prepared once in a transaction: making
// the tables anew from a long chain runs the same few over and over.
func (tx *Tx) exec(query string, args ...any) (sql.Result, error) {
	stmt, err := tx.stmt(query)
	if err != nil {
		return nil, err
	}
	return stmt.Exec(args...)
}

// row is QueryRow, likewise.
func (tx *Tx) row(query string, args ...any) scanner {
	stmt, err := tx.stmt(query)
	if err != nil {
		return failed{err}
	}
	return stmt.QueryRow(args...)
}

// failed is a row that could not be asked for.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

func (tx *Tx) stmt(query string) (*sql.Stmt, error) {
	if stmt := tx.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := tx.Prepare(query)
	if err != nil {
		return nil, err
	}
	if tx.stmts == nil {
		tx.stmts = map[string]*sql.Stmt{}
	}
	tx.stmts[query] = stmt // closed with the transaction
	return stmt, nil
}
