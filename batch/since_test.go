package batch

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestFirstLookAsksSince has the first look of a process, which knows nothing of
// the server's clock yet, ask for the actions of the batch and not for those
// since the year 0, which a service may refuse.
func TestFirstLookAsksSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Pending: time.Hour})
		began := time.Now()
		w.run(devices(2))
		var filters []string
		w.wire.leaving = func(r *http.Request) error {
			if strings.HasSuffix(r.URL.Path, "/machineactions") {
				filters = append(filters, r.URL.Query().Get("$filter"))
			}
			return nil
		}
		if end := w.track(t.Context(), TrackOptions{}); end.stop != nil || end.Open != 2 {
			t.Errorf("track: %+v, %v; want 2 open", end.Tracking, end.stop)
		}
		want := "type eq 'Offboard' and creationDateTimeUtc ge " + began.UTC().Add(-slack).Format(time.RFC3339)
		if len(filters) != 1 || filters[0] != want {
			t.Errorf("filters of track = %q; want %q", filters, want)
		}
	})
}

// TestSinceUnknown has a look ask for all actions where one of them did not tell
// its time and the server's clock is not known.
func TestSinceUnknown(t *testing.T) {
	told := checkpoint.Action{Created: "2026-11-20T10:00:00Z"}
	tests := []struct {
		reason string
		open   []checkpoint.Action
		want   string
	}{
		{"the oldest of two", []checkpoint.Action{{Created: "2026-11-20T11:00:00Z"}, told}, "2026-11-20T09:55:00Z"},
		{"the answer did not say", []checkpoint.Action{told, {}}, ""},
		{"not a time", []checkpoint.Action{{Created: "yesterday"}, told}, ""},
	}
	for _, tt := range tests {
		w := (&Session{Clock: &Clock{}}).watcher(checkpoint.Batch{Created: time.Now()}, &Options{})
		var open []*checkpoint.Task
		for _, a := range tt.open {
			open = append(open, &checkpoint.Task{Action: a})
		}
		got := ""
		if since := w.since(open); !since.IsZero() {
			got = since.Format(time.RFC3339)
		}
		if got != tt.want {
			t.Errorf("%s: since = %q; want %q", tt.reason, got, tt.want)
		}
	}
}
