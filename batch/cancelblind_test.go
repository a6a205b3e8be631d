package batch

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestCancelBlind cancels while the actions cannot be read: the batch is closed
// all the same, which stops its runner, somebody is told what is waited for, and
// what was sent is cancelled when answers come again.
func TestCancelBlind(t *testing.T) {
	tests := []struct {
		reason string
		outage time.Duration // in which nothing arrives
		hold   time.Duration // in which nothing may be sent
		note   string
	}{
		{"in an outage", 20 * time.Minute, 0, "Defender cannot be reached"},
		{"during a hold", 0, 10 * time.Minute, "waiting: hold"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Pending: 100 * time.Hour})
			all := devices(250)
			ran := make(chan runEnd, 1)
			go func() {
				end, err := w.tryRun(t.Context(), all)
				if err != nil {
					t.Errorf("%s: run: %v", tt.reason, err)
				}
				ran <- end
			}()
			time.Sleep(10 * time.Second)
			s, err := w.session(t.Context(), w.store())
			if err != nil {
				t.Fatal(err)
			}
			if tt.hold > 0 {
				b, err := s.known(t.Context(), w.req.Name)
				if err != nil {
					t.Fatal(err)
				}
				err = s.Store.Update(func(tx *checkpoint.Tx) error {
					_, err := tx.Append(b.ID, checkpoint.Event{Kind: "hold", At: time.Now(), Hold: &checkpoint.HoldSet{Key: s.Key.String(), Kind: "*",
						Until: time.Now().Add(tt.hold), Why: "429 from Defender"}})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			until := time.Now().Add(tt.outage)
			w.wire.leaving = func(*http.Request) error {
				if time.Now().Before(until) {
					return gone
				}
				return nil
			}
			var notes []string
			began := time.Now()
			p, err := s.PlanCancel(t.Context(), CancelRequest{Name: w.req.Name, Note: func(text string) { notes = append(notes, text) }}, w.opt)
			if err != nil || p.Stale == nil || p.Open != 100 {
				t.Fatalf("%s: PlanCancel = %+v, %v; want 100 to cancel, by what the checkpoint knows", tt.reason, p, err)
			}
			if took := time.Since(began); took > planPatience+time.Second {
				t.Errorf("%s: PlanCancel took %v; want a minute at most", tt.reason, took)
			}
			if !strings.Contains(strings.Join(notes, "\n"), tt.note) {
				t.Errorf("%s: told %q; want %q", tt.reason, notes, tt.note)
			}
			var waits []string
			end, stop, err := s.Cancel(t.Context(), context.Background(), p, "test", w.opt, func(c Cancelling) { waits = append(waits, c.Wait) })
			if stop != nil || err != nil || end.Cancelled < 100 || end.Cancelled+end.Unsent != 250 {
				t.Errorf("%s: Cancel = %+v, %v, %v; want all that was sent cancelled", tt.reason, end, stop, err)
			}
			if !strings.Contains(strings.Join(waits, "\n"), strings.TrimPrefix(tt.note, "waiting: ")) {
				t.Errorf("%s: cancel did not say what it waits for; want %q", tt.reason, tt.note)
			}
			if run := <-ran; run.code != CodeGuard {
				t.Errorf("%s: run: code %d, %v; want 5, closed", tt.reason, run.code, run.stop)
			}
			w.judgeCancelled(w.sim.Books().Actions())
		})
	}
}

// TestCancelPlanInterrupted has a plan that somebody interrupts be none.
func TestCancelPlanInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Pending: 100 * time.Hour})
		w.run(devices(2))
		w.wire.leaving = refuseAll
		s, err := w.session(t.Context(), w.store())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PlanCancel(interruptedAfter(t, 5*time.Second), CancelRequest{Name: w.req.Name}, w.opt); stopCode(err) != CodeStopped {
			t.Errorf("PlanCancel when interrupted = %v; want a stop of code 4", err)
		}
	})
}
