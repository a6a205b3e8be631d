package batch

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mde-offboard/batch/simulator"
)

// wire is the network between a runner and the simulator, under the eyes of a
// test.
type wire struct {
	world *world
	// leaving sees each call of the API before it leaves and can keep it back
	// with an error; nil: none.
	leaving func(*http.Request) error
	// answered sees each answer of the API and can change it; nil: none.
	answered func(*http.Request, *http.Response)

	mu      sync.Mutex
	until   time.Time // nobody may call before it
	tooSoon int
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		return w.world.sim.Transport().RoundTrip(r)
	}
	if w.leaving != nil {
		if err := w.leaving(r); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	if time.Now().Before(w.until) {
		w.tooSoon++
	}
	w.mu.Unlock()
	res, err := w.world.sim.Transport().RoundTrip(r)
	if err == nil && res.StatusCode == http.StatusTooManyRequests {
		w.hold(res.Header.Get("Retry-After"))
	}
	if err == nil && w.answered != nil {
		w.answered(r, res)
	}
	return res, err
}

// hold notes a wait in seconds. It is known a moment after the answer, when
// those who call at the same instant have left.
func (w *wire) hold(after string) {
	seconds, err := strconv.Atoi(after)
	if err != nil {
		return
	}
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	time.AfterFunc(time.Millisecond, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if until.After(w.until) {
			w.until = until
		}
	})
}

// knocked is how many calls left during a hold that was known.
func (w *wire) knocked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tooSoon
}

// isOffboard says whether a request is an offboard call.
func isOffboard(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/offboard") }

// atPost calls do when the n-th offboard call of the world leaves.
func (w *world) atPost(n int64, do func()) {
	var posts atomic.Int64
	w.wire.leaving = func(r *http.Request) error {
		if isOffboard(r) && posts.Add(1) == n {
			do()
		}
		return nil
	}
}

// refuseAll lets nothing leave.
func refuseAll(*http.Request) error { return gone }

// gone is the error of a call for which there is no connection.
var gone = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// crash runs the list and kills the runner when its n-th offboard call leaves:
// what is on the disk then is all that is left, and nothing of it calls any more,
// but what is on its way arrives.
func (w *world) crash(ids []string, n int64) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	left := filepath.Join(w.t.TempDir(), "left.db")
	var posts atomic.Int64
	w.wire.leaving = func(r *http.Request) error {
		k := posts.Load()
		if isOffboard(r) {
			k = posts.Add(1)
		} else if k >= n {
			return gone
		}
		switch {
		case k < n:
			return nil
		case k > n:
			return gone
		}
		if err := copyCheckpoint(w.path, left); err != nil {
			w.t.Error(err)
		}
		cancel()
		return nil
	}
	if _, err := w.tryRun(ctx, ids); err != nil {
		w.t.Fatal(err)
	}
	if posts.Load() < n {
		w.t.Fatalf("the run made %d calls; want it killed at the %d-th", posts.Load(), n)
	}
	w.wire.leaving, w.path, w.clock = nil, left, &Clock{Wall: w.clock.Wall}
}

// copyCheckpoint copies what is committed.
func copyCheckpoint(from, to string) error {
	db, err := sql.Open("sqlite", "file:"+from+"?_pragma=busy_timeout(10000)") // the runner may be writing
	if err != nil {
		return err
	}
	_, err = db.Exec("VACUUM INTO $1", to)
	return errors.Join(err, db.Close())
}

// posts is how many offboard calls of a device have arrived.
func posts(b simulator.Books, device string) int {
	if d := b.Devices[device]; d != nil {
		return d.Posts
	}
	return 0
}

// atEachPost calls do with the number of each offboard call when it leaves.
func (w *world) atEachPost(do func(n int64)) {
	var posts atomic.Int64
	w.wire.leaving = func(r *http.Request) error {
		if isOffboard(r) {
			do(posts.Add(1))
		}
		return nil
	}
}
