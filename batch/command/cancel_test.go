package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// TestCancelAgreement has nothing cancelled that nobody has agreed to.
func TestCancelAgreement(t *testing.T) {
	if _, _, closeTTY, err := terminal(); err == nil {
		closeTTY()
		t.Skip("there is a terminal, which would be asked on")
	}
	tests := []struct {
		why            string
		yes, simulated bool
		want           string
		wantCode       int
	}{
		{"given on the command line", true, false, "--yes", 0},
		{"a rehearsal asks nothing", false, true, "simulated, not asked", 0},
		{"nobody to ask", false, false, "", batch.CodeUsage},
	}
	for _, tt := range tests {
		a := &app{Env: Env{Context: context.Background(), Stderr: os.Stderr}}
		s := &connected{Session: batch.Session{Simulated: tt.simulated}}
		how, err := a.agreeCancel(&withdrawal{yes: tt.yes}, s, &batch.CancelPlan{Open: 3})
		var stop *batch.Stop
		code := 0
		if errors.As(err, &stop) {
			code = stop.Code
		}
		if how != tt.want || code != tt.wantCode {
			t.Errorf("agreeCancel() = %q, %v; want %q, code %d (%s)", how, err, tt.want, tt.wantCode, tt.why)
		}
	}
}

// TestCancelAsked has nobody agree to another thing than what is done.
func TestCancelAsked(t *testing.T) {
	only := batch.CancelRequest{Only: map[string]bool{"d": true}}
	for _, tt := range []struct {
		plan batch.CancelPlan
		n    int
		want string
	}{
		{batch.CancelPlan{Open: 2, Unsent: 3}, 2, "to cancel 2 actions"},
		{batch.CancelPlan{InDoubt: 1, Unsent: 3}, 4, "to close the batch, with 4 devices in doubt or pending,"},
		{batch.CancelPlan{Request: only, Open: 2, Unsent: 3}, 2, "to cancel 2 actions"},
		{batch.CancelPlan{Request: only, InDoubt: 1, Unsent: 3}, 4, "to take 4 devices in doubt or pending out of the batch"},
		{batch.CancelPlan{Request: only}, 0, "to open the batch again, of which nothing is left to cancel,"},
	} {
		if n, what := asked(&tt.plan); n != tt.n || what != tt.want {
			t.Errorf("asked(%+v) = %d, %q; want %d, %q", tt.plan, n, what, tt.n, tt.want)
		}
	}
}

// TestCancelOnlyList takes nothing for a device that is none.
func TestCancelOnlyList(t *testing.T) {
	good := "734c09fc0de96b7be017de8cc70310a2c02bb05f"
	tests := []struct {
		why, list, wantErr string
		want               int
	}{
		{"two devices, one of them twice", "MachineId\n" + good + "\n" + strings.Replace(good, "7", "8", 1) + "\n" + good + "\n", "", 2},
		{"a name refuses the list", "MachineId\n" + good + "\nlap-0001\n", "lap-0001", 0},
		{"no device at all", "MachineId\n", "no", 0},
	}
	for _, tt := range tests {
		file := filepath.Join(t.TempDir(), "only.csv")
		if err := os.WriteFile(file, []byte(tt.list), 0o600); err != nil {
			t.Fatal(err)
		}
		w := withdrawal{only: []string{file}}
		req, err := w.request("list")
		if len(req.Only) != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("request(%q) = %v, %v; want %d devices, error %q (%s)", tt.list, req.Only, err, tt.want, tt.wantErr, tt.why)
		}
	}
}

// TestUnsent has nobody take a batch for done of which lines were never sent.
func TestUnsent(t *testing.T) {
	tests := []struct {
		why   string
		state batch.Tracking
		want  string
	}{
		{"all were sent", batch.Tracking{Total: 2}, ""},
		{"one is left", batch.Tracking{Total: 2, Unsent: 1}, "1 line is pending: mde-offboard run goes on."},
		{"many are left", batch.Tracking{Unsent: 60}, "60 lines are pending: mde-offboard run goes on."},
		{"run would not go on", batch.Tracking{Unsent: 60, Closed: true}, "60 lines are pending: the batch is closed."},
	}
	for _, tt := range tests {
		if got := unsent(tt.state); got != tt.want {
			t.Errorf("unsent(%+v) = %q; want %q (%s)", tt.state, got, tt.want, tt.why)
		}
	}
}

// TestNoSuchBatch has a batch that is not there said at once: nobody signs in,
// and no checkpoint is made.
func TestNoSuchBatch(t *testing.T) {
	for _, command := range []string{"track", "cancel", "status", "report", "forget"} {
		a := testApp(t)
		a.Home = t.TempDir()
		a.global.checkpoint = filepath.Join(a.Home, "checkpoint.db")
		look := func(why, leads string) {
			t.Helper()
			root := a.root()
			root.SetArgs([]string{command, "nosuch", "--checkpoint", filepath.Join(a.Home, "checkpoint.db")})
			err := root.ExecuteContext(t.Context())
			_, hint := codeOf(err)
			if !errors.Is(err, checkpoint.ErrNoBatch) || codeIn(err) != batch.CodeUsage || !strings.Contains(hint, leads) {
				t.Errorf("%s nosuch: %v, hint %q; want no such batch, code 2, %s (%s)", command, err, hint, leads, why)
			}
		}
		look("no checkpoint", "there are none yet: mde-offboard run LIST begins one")
		if a.hasCheckpoint() {
			t.Errorf("%s nosuch has made a checkpoint", command)
		}
		store, err := a.openStore()
		if err != nil {
			t.Fatal(err)
		}
		past(t, store, "another", checkpoint.Pending, time.Now())
		store.Close()
		look("another batch", "lists the batches")
	}
}

func codeIn(err error) int {
	code, _ := codeOf(err)
	return code
}

func TestTrackLine(t *testing.T) {
	tests := []struct {
		why   string
		state batch.Tracking
		want  string
	}{
		{"nothing was accepted", batch.Tracking{}, "no actions"},
		{"the most frequent first, words as they are", batch.Tracking{Total: 9, Statuses: map[string]int{"Deferred": 1, "Succeeded": 5}, Missing: 3},
			"9 actions: 5 Succeeded, 1 Deferred, 3 missing"},
		{"with the age of the oldest", batch.Tracking{Total: 1, Statuses: map[string]int{"Pending": 1}, Oldest: 7500e9},
			"1 action: 1 Pending; the oldest open one is 2h5m old"},
	}
	next := time.Now().Add(time.Second)
	looked := batch.Tracking{Total: 2, Statuses: map[string]int{"Pending": 2}, Oldest: 3 * time.Hour, Next: next}
	want := []string{"ACTIONS", "Pending               2", "total                 2", "The oldest open one is 3h0m old.", "Next look at " + clockTime(next) + "."}
	if got := trackFrame(looked); !slices.Equal(got, want) {
		t.Errorf("trackFrame(%+v) = %q; want %q", looked, got, want)
	}
	if got, want := trackLine(looked), "2 actions: 2 Pending; the oldest open one is 3h0m old; next look at "+clockTime(next); got != want {
		t.Errorf("trackLine(%+v) = %q; want %q", looked, got, want)
	}
	for _, tt := range tests {
		if got := trackLine(tt.state); got != tt.want {
			t.Errorf("trackLine(%+v) = %q; want %q (%s)", tt.state, got, tt.want, tt.why)
		}
	}
}
