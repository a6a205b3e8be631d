package checkpoint

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Open opens the checkpoint at path and makes it if there is none. A file that
// is there is never started anew: one that is empty, cut or damaged is an
// ErrDamaged, and so is one that is gone while its head file or its log remain;
// one of a newer schema is an ErrNewer.
func Open(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, ops: make(chan *op), quit: make(chan struct{}), done: make(chan struct{}), mine: map[runID]bool{}}
	if err := makePrivateDir(filepath.Dir(path)); err != nil {
		return nil, s.wrap(err)
	}
	if s.path, err = linked(path); err != nil {
		return nil, s.wrap(err)
	}
	if err := s.locked(s.open); err != nil {
		return nil, s.wrap(err)
	}
	go s.write()
	return s, nil
}

// linked is the path of a file behind all links, where its directory is there.
// Locks, the log and the head file are named after the checkpoint's path: under
// two names of one file they would be two of each.
func linked(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if fi, err := os.Lstat(path); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		// A link, perhaps to a disk that is not mounted; a file was made by
		// another process in this moment.
		return path, fmt.Errorf("%w: it is a link to a file that is not there", ErrDamaged)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// locked runs fn while no other process makes the checkpoint, migrates it,
// checks it against its head file or writes that file.
func (s *Store) locked(fn func() error) error {
	lock := s.lock()
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer lock.Close()
	return fn()
}

func (s *Store) lock() *flock.Flock { return flock.New(s.path + "-lock") }

func (s *Store) open() error {
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		if err := create(s.path); err != nil {
			return err
		}
	}
	if err := ours(s.path); err != nil {
		return err
	}
	if err := s.sweep(); err != nil {
		return err
	}
	for _, beside := range []string{"-wal", "-shm"} {
		likeModeOf(s.path, s.path+beside)
	}
	if err := s.connect(); err != nil {
		return err
	}
	for _, beside := range []string{"-wal", "-shm"} { // which SQLite makes, as its directory has it
		makeLike(s.path+beside, s.path)
	}
	return nil
}

// likeModeOf gives a file beside the checkpoint, if it is there, the mode that the
// checkpoint has. SQLite makes it with the one of that moment: one that was made
// while the checkpoint could only be read could not be written after that was mended.
// Where the mode cannot be set, whoever writes is told what is wrong.
func likeModeOf(path, beside string) {
	want, err := os.Stat(path)
	if err != nil {
		return
	}
	if is, err := os.Stat(beside); err == nil && is.Mode() != want.Mode() {
		os.Chmod(beside, want.Mode())
	}
}

// applicationID marks our databases: "MDOf" in the file's header.
const applicationID = 0x4d444f66

// ours looks at the header of a file before the database does, which would
// change it: another program's database is not ours to touch.
func ours(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, 100)
	n, err := io.ReadFull(f, header)
	switch {
	case n == 0:
		return fmt.Errorf("%w: the file is empty", ErrDamaged)
	case err != nil:
		return fmt.Errorf("%w: the file is cut", ErrDamaged)
	case string(header[:16]) != "SQLite format 3\x00":
		return fmt.Errorf("%w: the file is not a database", ErrDamaged)
	case binary.BigEndian.Uint32(header[68:]) != applicationID:
		return fmt.Errorf("%w: it is a database, but not a checkpoint", ErrDamaged)
	}
	return nil
}

// create makes an empty checkpoint beside path and moves it there whole, so
// that a file without our tables is never one of ours that a crash cut short.
func create(path string) error {
	if err := refuseAnew(path); err != nil {
		return err
	}
	fresh := path + "-new"
	for _, f := range []string{fresh, fresh + "-journal"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	MakePrivate(fresh)
	// Without a log: what is committed is in the file that is moved.
	db, err := sql.Open("sqlite", dsn(fresh, "_txlock=immediate", "_pragma=journal_mode(DELETE)", fmt.Sprintf("_pragma=application_id(%d)", applicationID)))
	if err != nil {
		return err
	}
	if err := errors.Join(migrate(db), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// refuseAnew looks whether something remains of a checkpoint that is gone.
func refuseAnew(path string) error {
	base := filepath.Base(path)
	if fi, err := os.Stat(path + "-wal"); err == nil && fi.Size() > 0 {
		return fmt.Errorf("%w: %s-wal is there and the file that it belongs to is not", ErrDamaged, base)
	}
	if _, err := os.Stat(headFile(path)); err == nil {
		return fmt.Errorf("%w: the file is gone, and %s-head says that there was one (if it was deleted on purpose, delete %s-head too)",
			ErrDamaged, base, base)
	}
	return nil
}

// connect opens the two pools and checks the file.
func (s *Store) connect() (err error) {
	wal := "_pragma=journal_mode(WAL)"
	if s.db, err = sql.Open("sqlite", dsn(s.path, "_txlock=immediate", wal)); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	if s.reads, err = sql.Open("sqlite", dsn(s.path, "_pragma=query_only(1)", wal)); err != nil {
		return errors.Join(err, s.db.Close())
	}
	if err := s.check(); err != nil {
		return errors.Join(err, s.reads.Close(), s.db.Close())
	}
	return nil
}

// check looks whether the file is whole and of our schema.
func (s *Store) check() error {
	var word string
	if err := s.db.QueryRow("PRAGMA quick_check(1)").Scan(&word); err != nil {
		return err
	}
	if word != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, word)
	}
	var versions int
	if err := s.db.QueryRow("SELECT COUNT(*) FROM schema_version").Scan(&versions); err != nil {
		return err
	}
	if versions == 0 {
		return fmt.Errorf("%w: the version of its schema is missing", ErrDamaged)
	}
	if versions != len(migrations) { // else without a wait for whoever writes
		if err := migrate(s.db); err != nil {
			return err
		}
	}
	return s.checkHead()
}
