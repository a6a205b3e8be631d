package batch

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// TestPace runs 3,000 devices under both windows, with random latency: not one
// call too many, and no longer than the least time that there is, plus a round
// trip and the margin for each window and the last burst.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 3000
		if testing.Short() {
			n = 300
		}
		latency := 400 * time.Millisecond // each way, at most
		w := newWorld(t, simulator.Options{Seed: 1, LatencyMin: 20 * time.Millisecond, LatencyMax: latency})
		start := time.Now()
		end := w.run(devices(n))
		took := time.Since(start)
		b := w.judge(end, false)
		if end.code != CodeDone || end.counts[checkpoint.Accepted] != n || b.Throttled != 0 {
			t.Errorf("code %d, counts %v, %d answers of 429; want 0, all accepted, none", end.code, end.counts, b.Throttled)
		}
		ideal := quota.Ideal(both, n)
		minutes, hours := time.Duration(n/100), time.Duration(n/1500)
		burst := 100 / 20 * 2 * latency // a hundred calls by twenty workers
		allowed := ideal + minutes*(2*latency+both[0].Margin()) + hours*(2*latency+both[1].Margin()) + burst
		if took < ideal || took > allowed {
			t.Errorf("took %v; want between the ideal %v and %v", took, ideal, allowed)
		}
		t.Logf("%d devices in %v of virtual time, %.4f of the ideal %v", n, took, took.Seconds()/ideal.Seconds(), ideal)
	})
}

// TestInterruptedWhenDone: a signal that comes when the last calls are on their way
// has stopped nothing.
func TestInterruptedWhenDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{LatencyMin: time.Second, LatencyMax: 2 * time.Second})
		ctx, interrupt := context.WithCancel(t.Context())
		w.atPost(2, interrupt)
		end, err := w.tryRun(ctx, devices(2))
		if err != nil || end.stop != nil || end.code != CodeDone || end.counts[checkpoint.Accepted] != 2 {
			t.Errorf("%v, stop %v, code %d, %v; want 0 and both accepted", err, end.stop, end.code, end.counts)
		}
	})
}

// TestDoneAt holds what is told of the time against the quota. A batch is never said to
// be done before the windows allow, however fast the first calls went, nor after the
// last call has left, however long its answer takes; and a wait for a window ends when
// it is said to.
func TestDoneAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		w := newWorld(t, simulator.Options{LatencyMin: 10 * time.Second, LatencyMax: 10 * time.Second})
		w.opt.Workers = 100
		r, _, done, err := w.begin(t.Context(), w.store(), listOf(devices(n)))
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		start, doneAt, until := time.Now(), map[time.Duration]bool{}, map[time.Duration]bool{}
		var last time.Duration // until the second hundred leaves
		w.atPost(n, func() { last = time.Since(start) })
		r.show = func(p Progress) {
			if !p.DoneAt.IsZero() {
				doneAt[p.DoneAt.Sub(start)] = true
			}
			if p.Wait == "minute window" {
				until[p.Until.Sub(start)] = true
			}
		}
		if stop := r.Run(t.Context(), t.Context()); stop != nil {
			t.Fatal(stop)
		}
		for at := range doneAt {
			if at < quota.Ideal(both, n) || at > last {
				t.Errorf("told to be done after %v; want from %v on, and no later than the last call, after %v", at, quota.Ideal(both, n), last)
			}
		}
		if len(doneAt) < 2 || !maps.Equal(until, map[time.Duration]bool{last: true}) {
			t.Errorf("told %d times when it would be done, and waits until after %v; want two times at least, and until after %v", len(doneAt), until, last)
		}
	})
}

// TestWorkers has as many calls in flight as there are workers, and no more.
func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{LatencyMin: time.Second, LatencyMax: 3 * time.Second})
		w.opt.Workers = 7
		var mu sync.Mutex
		flying, most := 0, 0
		count := func(r *http.Request, n int) {
			mu.Lock()
			defer mu.Unlock()
			if isOffboard(r) {
				flying += n
				most = max(most, flying)
			}
		}
		w.wire.leaving = func(r *http.Request) error { count(r, 1); return nil }
		w.wire.answered = func(r *http.Request, _ *http.Response) { count(r, -1) }
		if end := w.run(devices(90)); end.code != CodeDone || most != 7 {
			t.Errorf("code %d, at most %d calls in flight; want 0 and 7", end.code, most)
		}
	})
}
