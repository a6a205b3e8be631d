package checkpoint

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// TestPanicOfTheWriter has a panic outside of an operation reach the caller, who
// can end in order, and not end the process; the store goes on.
func TestPanicOfTheWriter(t *testing.T) {
	s := open(t, temp(t))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Update did not panic; want the writer's panic")
			}
		}()
		s.Update(func(tx *Tx) error {
			tx.s = nil // so that undoing it panics
			return errors.New("no")
		})
	}()
	start(t, s, "list", "d1")
	s.mustVerify(t)
}

// TestViewInterrupted has a View whose context ends on the way say so, and not
// what the database makes of it.
func TestViewInterrupted(t *testing.T) {
	s := open(t, temp(t))
	batch, _ := start(t, s, "list", "d1")
	ctx, cancel := context.WithCancel(t.Context())
	err := s.View(ctx, func(r Reader) (err error) {
		cancel()
		for err == nil { // until it has ended the transaction
			_, err = r.Batch(batch)
		}
		return err
	})
	if err != context.Canceled {
		t.Errorf("View = %v; want %v", err, context.Canceled)
	}
}

// TestViewOfOthers has an error that is none of the database stay what it is: the
// disk that is full may be that of a file that was written meanwhile.
func TestViewOfOthers(t *testing.T) {
	s := open(t, temp(t))
	own := &fs.PathError{Op: "write", Path: "/mnt/results.csv", Err: syscall.ENOSPC}
	if err := s.View(t.Context(), func(Reader) error { return own }); err != error(own) {
		t.Errorf("View = %v; want %v", err, own)
	}
}

// tear spoils the page of a database file that a query names.
func tear(path, query string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	var page, size int64
	err = errors.Join(db.QueryRow(query).Scan(&page), db.QueryRow("PRAGMA page_size").Scan(&size), db.Close())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, int(size)), (page-1)*size)
	return errors.Join(err, f.Close())
}
