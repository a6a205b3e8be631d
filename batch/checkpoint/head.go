package checkpoint

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The head file stands beside the checkpoint and says how long its chains were
// at some moment, and how they ended. SQLite takes a log that was cut for a
// shorter one without a word, and an old copy of the file for the file; this is
// what gives them away.
func headFile(path string) string { return path + "-head" }

// heads is the content of the head file: each batch's chain, by the batch's id.
type heads map[int64]head

type head struct {
	Events int64  `json:"events"`
	Hash   string `json:"hash"`
}

// querier is a database or a transaction.
type querier interface {
	Query(string, ...any) (*sql.Rows, error)
	QueryRow(string, ...any) *sql.Row
}

func readHeads(db querier) (heads, error) {
	rows, err := db.Query("SELECT id, events, head FROM batch")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	h := heads{}
	for rows.Next() {
		var id int64
		var one head
		if err := rows.Scan(&id, &one.Events, &one.Hash); err != nil {
			return nil, err
		}
		h[id] = one
	}
	return h, rows.Err()
}

// writeHead brings the head file up to date. It may lag behind the checkpoint
// and must not be ahead of it: what it tells was committed, and synced by a
// commit of this store if by none before, so one that wrote nothing since leaves
// the file alone. A run must not wait for another process that checks a large
// checkpoint, so without wait a head that cannot be written now is left for the
// next time.
func (s *Store) writeHead(wait bool) error {
	if !s.wrote.Load() {
		return nil
	}
	if wait {
		return s.locked(s.writeHeadNow)
	}
	lock := s.lock()
	defer lock.Close()
	if ok, err := lock.TryLock(); !ok {
		return s.wrap(err)
	}
	return s.writeHeadNow()
}

// writeHeadNow writes the head of all batches. The caller has the lock.
func (s *Store) writeHeadNow() error {
	s.wrote.Store(false) // first: what is committed from here on is for the next time
	err := s.writeHeadWithout(0)
	if err != nil {
		s.wrote.Store(true)
	}
	return err
}

// heldUp is how many times in a row the head file may be left as it is.
const heldUp = 6

// KeepHead brings the head file up to date, and is due every few seconds of a run:
// events that come after the last time are not missed if they are lost. It does not
// wait, and does nothing where nothing was written since. A file that cannot be
// replaced, as on Windows while a scanner or a backup has it open, ends no run: it
// is left for the next time, unless it was so for some times before.
func (s *Store) KeepHead() error {
	err := s.writeHead(false)
	switch {
	case err == nil:
		s.behind.Store(0)
	case !errors.Is(err, ErrDamaged) && s.behind.Add(1) < heldUp:
		return nil
	}
	return err
}

// writeHeadWithout leaves a batch out. The caller has the lock: a head that was
// read before a batch was forgotten must not be written after.
func (s *Store) writeHeadWithout(batch int64) error {
	h, err := readHeads(s.reads)
	if err != nil {
		return s.wrap(err)
	}
	delete(h, batch)
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	err = WriteFile(headFile(s.path), func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return s.wrap(fmt.Errorf("head file: %w", err))
	}
	return nil
}

// sweep removes what a crash left of writing the head file. The caller has the
// lock, so nobody is writing it.
func (s *Store) sweep() error {
	dir := filepath.Dir(s.path)
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+filepath.Base(headFile(s.path))+"-") {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
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
	base := filepath.Base(headFile(s.path))
	var want heads
	if err := json.Unmarshal(b, &want); err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w", ErrDamaged, base, err)
	}
	have, err := readHeads(s.db)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(want)) { // the first of those that are damaged is named, always the same
		w := want[id]
		if n := have[id].Events; n < w.Events {
			return fmt.Errorf("%w: %s: %d of %d events are missing (if an older copy was put in its place on purpose, delete %s)",
				ErrDamaged, titled(s.db, id), w.Events-n, w.Events, base)
		}
		var hash string
		err := s.db.QueryRow("SELECT hash FROM event WHERE batch = $1 AND seq = $2", id, w.Events).Scan(&hash)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if hash != w.Hash {
			return fmt.Errorf("%w: %s: event %d is not the one that %s knows", ErrDamaged, titled(s.db, id), w.Events, base)
		}
	}
	return nil
}

// titled names the chain of a batch, by its number where the batch is gone too.
func titled(db querier, id int64) string {
	var name, tenant string
	if err := db.QueryRow("SELECT name, tenant FROM batch WHERE id = $1", id).Scan(&name, &tenant); err != nil {
		return fmt.Sprintf("batch %d", id)
	}
	return chainOf(name, tenant)
}
