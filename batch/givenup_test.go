package batch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestGivenUp: calls that were given up arrive up to a time-out later, and keep
// their slots until then, whoever gave up.
func TestGivenUp(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		name  string
		after time.Duration
		err   error
	}{
		{"by us, when the time was over", time.Hour, nil},
		{"by net/http, when a ping was lost", 45 * time.Second, errors.New("http2: client connection lost")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := clockWorld(t, simulator.Options{})
				var posts atomic.Int64
				w.wire.leaving = func(r *http.Request) error {
					if !isOffboard(r) || posts.Add(1) > int64(small[0].Limit) {
						return nil
					}
					err := tt.err
					if stopped := wait(r.Context(), tt.after); stopped != nil {
						err = stopped
					}
					w.arriveLater(r, w.opt.Timeout-time.Second)
					return err
				}
				end := w.run(devices(30))
				w.judge(end, false)
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != 30 {
					t.Errorf("code %d (%v), %v; want 0, all accepted", end.code, end.stop, end.counts)
				}
			})
		})
	}
}

// arriveLater lets a request arrive to whose answer nobody listens.
func (w *world) arriveLater(r *http.Request, after time.Duration) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	late := r.Clone(context.WithoutCancel(r.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))
	time.AfterFunc(after, func() {
		if _, err := w.sim.Transport().RoundTrip(late); err != nil {
			w.t.Error(err)
		}
	})
}
