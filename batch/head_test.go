package batch

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestLogLostInAPause: a process that is killed while it waits, and whose log is
// lost then, has told the head file of all that it has written.
func TestLogLostInAPause(t *testing.T) {
	slow(t)
	ids := devices(12) // two more than a minute has slots
	for _, tt := range []struct {
		name string
		ran  bool // before
		do   func(*world)
	}{
		{"run", false, func(w *world) { w.run(ids) }},
		{"run, before its hours", false, func(w *world) {
			w.allow("22:00-06:00")
			w.opt.Wait = true
			w.run(ids)
		}},
		{"track", true, func(w *world) { w.track(w.t.Context(), TrackOptions{Every: time.Minute, For: time.Minute}) }},
		{"cancel", true, func(w *world) { w.cancel(w.t.Context()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := clockWorld(t, simulator.Options{Pending: time.Hour})
				time.Sleep(7 * time.Hour) // past midnight
				if tt.ran {
					w.run(ids)
				}
				killed := time.AfterFunc(35*time.Second, func() {
					written, told := w.heads()
					if told != written {
						t.Errorf("the head file tells of %d events in a pause; want all %d", told, written)
					}
					if err := w.loseLog(); !errors.Is(err, checkpoint.ErrDamaged) {
						t.Errorf("Open without the log = %v; want ErrDamaged", err)
					}
				})
				tt.do(w)
				if killed.Stop() {
					t.Error("it ended before it was killed; want it to wait for its quota, or the next look")
				}
			})
		})
	}
}

// heads is how long the batch's chain is, and how long the head file says it is.
func (w *world) heads() (written, told int64) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT events FROM batch").Scan(&written); err != nil {
		w.t.Error(err)
	}
	var heads map[string]struct{ Events int64 }
	text, err := os.ReadFile(w.path + "-head")
	if err == nil {
		err = json.Unmarshal(text, &heads)
	}
	if err != nil {
		w.t.Error(err)
	}
	return written, heads["1"].Events
}

// loseLog opens a copy of the checkpoint as a crash leaves it that takes the log.
func (w *world) loseLog() error {
	lost := filepath.Join(w.t.TempDir(), "lost.db")
	for _, end := range []string{"", "-head"} {
		b, err := os.ReadFile(w.path + end)
		if err == nil {
			err = os.WriteFile(lost+end, b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	store, err := checkpoint.Open(lost)
	if err != nil {
		return err
	}
	return store.Close()
}

// TestDoctoredChain: a run goes on with nothing that was not written by one.
func TestDoctoredChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond})
		ids := devices(2)
		w.run(ids)
		db, err := sql.Open("sqlite", "file:"+w.path)
		if err == nil {
			_, err = db.Exec("UPDATE task SET status = 'pending' WHERE n = 1")
			err = errors.Join(err, db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		calls := len(w.sim.Books().Arrivals("all"))
		_, err = w.tryRun(t.Context(), ids)
		stop := asStop(err)
		if stop == nil || stop.Code != CodeError || !strings.Contains(stop.Error(), "the checkpoint is not what was written: ") || !strings.Contains(stop.Hint, "mde-offboard verify") {
			t.Errorf("run = %+v; want code 1 and the reason, with a hint", stop)
		}
		if n := len(w.sim.Books().Arrivals("all")) - calls; n != 0 {
			t.Errorf("%d calls; want none", n)
		}
	})
}
