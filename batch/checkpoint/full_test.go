package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fill appends events from several goroutines until nothing more can be
// written, and returns those that were acknowledged.
func fill(t *testing.T, s *Store, batch int64, name string) (told []string) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 10000 {
				note := fmt.Sprintf("%s.%d.%d.%s", name, w, i, strings.Repeat("x", 500))
				err := s.Update(func(tx *Tx) error {
					_, err := tx.Append(batch, Event{Kind: "note", At: t0, Note: note})
					return err
				})
				if err != nil {
					if !errors.Is(err, ErrDisk) || !strings.Contains(err.Error(), s.Path()) {
						t.Errorf("Update on a full disk = %v; want ErrDisk and the path", err)
					}
					return
				}
				mu.Lock()
				told = append(told, note)
				mu.Unlock()
			}
			t.Error("the disk never was full")
		})
	}
	wg.Wait()
	return told
}

func mustHave(t *testing.T, s *Store, batch int64, told []string) {
	t.Helper()
	there := notes(t, s, batch)
	for _, note := range told {
		if !slices.Contains(there, note) {
			t.Fatalf("%.20s was acknowledged and is not there", note)
		}
	}
	s.mustVerify(t)
}

func TestFull(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	batch, run := start(t, s, "list", devices(1)...)
	var pages int
	if err := s.db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		t.Helper()
		if _, err := s.db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 20)
	told := fill(t, s, batch, "first")
	if len(told) < 20 {
		t.Fatalf("%d acknowledged before the disk was full; want more", len(told))
	}
	mustHave(t, s, batch, told)
	if got := s.free(t, budget(1), 0); got != 1 {
		t.Errorf("free = %d; want 1", got)
	}
	for i := range 200 { // what still fits in a page may still be written
		if _, err := s.Reserve(batch, Intent{Run: run, Tag: strings.Repeat("x", 3000)}, budget(1000), clock(float64(i))); err != nil {
			if !errors.Is(err, ErrDisk) {
				t.Errorf("Reserve on a full disk = %v; want ErrDisk", err)
			}
			break
		}
	}
	open(t, path).mustVerify(t)

	// There is space again, for this store and for the next.
	limit(1 << 30)
	told = append(told, notesOf(t, s, batch, "second"))
	mustHave(t, s, batch, told)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	told = append(told, notesOf(t, s, batch, "third"))
	mustHave(t, s, batch, told)
}

// notesOf appends one event and returns its note.
func notesOf(t *testing.T, s *Store, batch int64, note string) string {
	t.Helper()
	s.mustAppend(t, batch, Event{Kind: "note", At: t0, Note: note})
	return note
}
