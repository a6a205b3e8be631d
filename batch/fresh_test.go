package batch

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestFreshTokenIsTriedAlone: of calls that go together with a fresh token, one
// may be answered and another refused, and that be heard first.
func TestFreshTokenIsTriedAlone(t *testing.T) {
	for _, tt := range []struct{ why, run, cancel string }{
		{why: "offboard calls", run: "401@12"},
		{why: "cancel calls", cancel: "cancel/401@12"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 40
				latency := simulator.Options{Faults: tt.run, LatencyMin: time.Second, LatencyMax: 2 * time.Second, Pending: 100 * time.Hour}
				w := newWorld(t, latency)
				tokens := w.watchTokens()
				if end := w.run(devices(n)); end.counts[checkpoint.Accepted] != n {
					t.Fatalf("run: %v, %v; want all accepted", end.counts, end.stop)
				}
				if tt.cancel != "" {
					latency.Faults = tt.cancel
					w.goesWrong(latency)
					tokens = w.watchTokens()
					if end := w.cancel(t.Context()); end.code != CodeDone {
						t.Errorf("Cancel() = %+v, %v; want all cancelled", end.Cancelled, end.stop)
					}
				}
				if len(tokens.early) < 2 {
					t.Fatalf("%d tokens were used; want one and a fresh one", len(tokens.early))
				}
				for i, early := range tokens.early[1:] {
					if early != 1 {
						t.Errorf("%d calls left with fresh token %d before one was answered; want 1", early, i+1)
					}
				}
			})
		})
	}
}

// tokens counts for each token the calls that left before one was answered.
type tokens struct {
	mu       sync.Mutex
	index    map[string]int
	early    []int
	answered []bool
}

func (w *world) watchTokens() *tokens {
	s := &tokens{index: map[string]int{}}
	w.wire.leaving = func(r *http.Request) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		i, ok := s.index[r.Header.Get("Authorization")]
		if !ok {
			i = len(s.early)
			s.index[r.Header.Get("Authorization")] = i
			s.early, s.answered = append(s.early, 0), append(s.answered, false)
		}
		if !s.answered[i] {
			s.early[i]++
		}
		return nil
	}
	w.wire.answered = func(r *http.Request, _ *http.Response) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answered[s.index[r.Header.Get("Authorization")]] = true
	}
	return s
}
