package checkpoint

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer says that a newer program wrote the checkpoint.
var ErrNewer = errors.New("the checkpoint was written by a newer mde-offboard")

// ErrDamaged says that the checkpoint is not what was written.
var ErrDamaged = errors.New("the checkpoint is damaged")

// DefaultPath is where the checkpoint of this user lies: in the state directory
// of the system, which never roams between machines.
func DefaultPath(getenv func(string) string, home string) string {
	dir := filepath.Join(home, ".local", "state")
	switch {
	case runtime.GOOS == "windows" && getenv("LOCALAPPDATA") != "":
		dir = getenv("LOCALAPPDATA")
	case runtime.GOOS == "darwin":
		dir = filepath.Join(home, "Library", "Application Support")
	case getenv("XDG_STATE_HOME") != "":
		dir = getenv("XDG_STATE_HOME")
	}
	return filepath.Join(dir, "mde-offboard", "checkpoint.db")
}

// Open opens the checkpoint at path and makes it if there is none. A file that
// is there is never started anew: one that is empty, cut or damaged is an
// ErrDamaged, and one of a newer schema an ErrNewer.
func Open(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	// One process at a time makes or migrates it.
	lock := flock.New(path + "-lock")
	if err := lock.Lock(); err != nil {
		return nil, fmt.Errorf("checkpoint %s: lock: %w", path, err)
	}
	defer lock.Close()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("checkpoint %s: %w", path, err)
		}
	}
	s := &Store{path: path, ops: make(chan op), done: make(chan struct{}), mine: map[runID]bool{}}
	if err := s.connect(); err != nil {
		return nil, s.damage(err)
	}
	go s.write()
	return s, nil
}

// create makes an empty checkpoint beside path and moves it there whole, so
// that a file without our tables is never one of ours that a crash cut short.
func create(path string) error {
	if fi, err := os.Stat(path + "-wal"); err == nil && fi.Size() > 0 {
		return fmt.Errorf("%w: %s-wal is there and the file it belongs to is not", ErrDamaged, filepath.Base(path))
	}
	if _, err := os.Stat(headFile(path)); err == nil {
		return fmt.Errorf("%w: the file is gone, and %s says that there was one", ErrDamaged, filepath.Base(headFile(path)))
	}
	fresh := path + "-new"
	for _, f := range []string{fresh, fresh + "-wal", fresh + "-shm"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	db, err := sql.Open("sqlite", dsn(fresh, "_txlock=immediate"))
	if err != nil {
		return err
	}
	err = errors.Join(migrate(db), db.Close())
	if err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// dsn names a database file to the driver. The pragmas hold for each connection.
func dsn(path string, more ...string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // C:/… on Windows
	}
	q := append([]string{
		"_pragma=busy_timeout(30000)",
		"_pragma=journal_mode(WAL)",
		"_pragma=synchronous(FULL)", // a commit is on the disk when it returns
		"_pragma=fullfsync(1)",      // on macOS too
		"_pragma=foreign_keys(1)",
	}, more...)
	return "file://" + (&url.URL{Path: p}).EscapedPath() + "?" + strings.Join(q, "&")
}

// connect opens the two pools and checks the file.
func (s *Store) connect() error {
	if fi, err := os.Stat(s.path); err != nil {
		return err
	} else if fi.Size() == 0 {
		return fmt.Errorf("%w: the file is empty", ErrDamaged)
	}
	var err error
	if s.db, err = sql.Open("sqlite", dsn(s.path, "_txlock=immediate")); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	if s.reads, err = sql.Open("sqlite", dsn(s.path, "_pragma=query_only(1)")); err != nil {
		return errors.Join(err, s.db.Close())
	}
	if err := s.check(); err != nil {
		return errors.Join(err, s.reads.Close(), s.db.Close())
	}
	return nil
}

// check looks whether the file is whole, ours and of our schema.
func (s *Store) check() error {
	var word string
	if err := s.db.QueryRow("PRAGMA quick_check(1)").Scan(&word); err != nil {
		return err
	}
	if word != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, word)
	}
	var tables int
	if err := s.db.QueryRow("SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_version'").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return fmt.Errorf("%w: it is a database, but not a checkpoint", ErrDamaged)
	}
	if err := migrate(s.db); err != nil {
		return err
	}
	return s.checkHead()
}

// migrate brings the schema up to date.
func migrate(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"); err != nil {
		return err
	}
	var have int
	if err := tx.QueryRow("SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&have); err != nil {
		return err
	}
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("%w: its schema is version %d, this program knows %d", ErrNewer, have, len(files))
	}
	if have == len(files) {
		return nil
	}
	for i, f := range files[have:] {
		text, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(string(text)); err != nil {
			return fmt.Errorf("migration %s: %w", f.Name(), err)
		}
		if _, err := tx.Exec("INSERT INTO schema_version VALUES ($1)", have+i+1); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// damage turns the database's words for a broken file into ErrDamaged.
func (s *Store) damage(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return fmt.Errorf("checkpoint %s: %w", s.path, err)
}

// isDisk says whether err means that nothing more can be written.
func isDisk(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return errors.Is(err, ErrDisk)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return true
	}
	return false
}

// The head file stands beside the checkpoint and says how long its chains were
// at some moment. SQLite takes a log that was cut for a shorter one without a
// word; this is what gives it away.
func headFile(path string) string { return path + "-head" }

// heads is the content of the head file: the length of each batch's chain.
type heads map[int64]int64

func readHeads(db interface {
	Query(string, ...any) (*sql.Rows, error)
}) (heads, error) {
	rows, err := db.Query("SELECT id, events FROM batch")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	h := heads{}
	for rows.Next() {
		var id, events int64
		if err := rows.Scan(&id, &events); err != nil {
			return nil, err
		}
		h[id] = events
	}
	return h, rows.Err()
}

// writeHead writes what is committed, never more: the file may lag behind the
// checkpoint, and must not be ahead of it.
func (s *Store) writeHead() error {
	h, err := readHeads(s.reads)
	if err != nil {
		return s.wrap(err)
	}
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return WriteFile(headFile(s.path), func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// checkHead compares the checkpoint with the head file.
func (s *Store) checkHead() error {
	b, err := os.ReadFile(headFile(s.path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var want heads
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&want); err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w", ErrDamaged, filepath.Base(headFile(s.path)), err)
	}
	have, err := readHeads(s.db)
	if err != nil {
		return err
	}
	for id, n := range want {
		if have[id] < n {
			return fmt.Errorf("%w: %d events of batch %d are missing", ErrDamaged, n-have[id], id)
		}
	}
	return nil
}

// WriteFile writes a file of mode 0600 beside path and moves it there when it
// is whole and on the disk: a reader sees the old content or the new.
func WriteFile(path string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable where the system lets a directory be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// randomTag is eight letters and digits that are not mistaken for each other.
func randomTag() string { return strings.ToLower(rand.Text()[:8]) }

// Tag makes the random word by which an attempt is known again in the comment
// of its machine action.
func Tag() string { return "mdo-" + randomTag() }
