package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrDisk marks an error after which nothing more can be written: the disk is
// full, a write or a sync did not succeed, or the file is damaged. What was
// acknowledged before is there.
var ErrDisk = errors.New("the checkpoint cannot be written")

// ErrDenied marks an ErrDisk that more space does not mend: the system does not let
// this user write the file, or one beside it.
var ErrDenied = errors.New("for want of permission")

// ErrNewer says that a newer program wrote the checkpoint.
var ErrNewer = errors.New("the checkpoint was written by a newer mde-offboard")

// ErrDamaged says that the checkpoint is not what was written.
var ErrDamaged = errors.New("the checkpoint is damaged")

// wrap names the file in an error, and says which of those above it is.
func (s *Store) wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDisk), errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer):
		return fmt.Errorf("checkpoint %s: %w", s.path, err)
	case isDenied(err):
		return fmt.Errorf("checkpoint %s: %w: %w: %w", s.path, ErrDisk, ErrDenied, err)
	case isDamage(err):
		return fmt.Errorf("checkpoint %s: %w: %w: %w", s.path, ErrDisk, ErrDamaged, err)
	case isDisk(err):
		return fmt.Errorf("checkpoint %s: %w: %w", s.path, ErrDisk, err)
	case code(err) == sqlite3.SQLITE_BUSY:
		return fmt.Errorf("checkpoint %s: another process has been writing to it for %v: %w", s.path, patience, err)
	}
	return fmt.Errorf("checkpoint %s: %w", s.path, err)
}

// isDisk says whether err means that nothing more can be written.
func isDisk(err error) bool {
	for _, is := range []error{ErrDisk, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS} {
		if errors.Is(err, is) {
			return true
		}
	}
	return isBroken(err)
}

// isBroken says whether it is the database that says so, and not whoever uses it
// for something else: what is written while it is read may be on another disk.
func isBroken(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return true
	}
	return isDamage(err)
}

// isDenied says whether it is for want of a permission that nothing can be written.
func isDenied(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_READONLY || c == sqlite3.SQLITE_PERM || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission)
}

// isDamage says whether the database finds the file broken.
func isDamage(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB
}

// code is the primary result code of the database's error; 0 if it is none.
func code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}
