package batch

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// wire is the network between a runner and the simulator, under the eyes of a
// test.
type wire struct {
	world *world
	// leaving sees each call of the API before it leaves and can keep it back
	// with an error; nil: none.
	leaving func(*http.Request) error

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
