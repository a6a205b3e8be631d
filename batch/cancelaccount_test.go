package batch

import (
	"testing"

	"mde-offboard/batch/checkpoint"
)

// TestCancelAccount has every device that a cancel meant told in one row, however
// far it came.
func TestCancelAccount(t *testing.T) {
	accepted := func(status string) checkpoint.Task {
		return checkpoint.Task{N: 1, Device: "d", Status: checkpoint.Accepted, Action: checkpoint.Action{ID: "a", Status: status}}
	}
	doubtful := checkpoint.Task{N: 1, Device: "d", Status: checkpoint.InDoubt}
	tests := []struct {
		why          string
		planned, now checkpoint.Task
		left         bool
		want         string
		wantCode     int
	}{
		{"cancelled", accepted("Pending"), accepted("Cancelled"), false, "cancelled", CodeDone},
		{"interrupted before its call", accepted("Pending"), accepted("Pending"), false, "still", CodeIncomplete},
		{"found to have an action, and then interrupted", doubtful, accepted("Pending"), false, "still", CodeIncomplete},
		{"found to have an action that was carried out", doubtful, accepted("Succeeded"), false, "late", CodeIncomplete},
		{"carried out before its call", accepted("Pending"), accepted("Succeeded"), false, "late", CodeIncomplete},
		{"given up", accepted("Pending"), accepted("Deferred"), true, "left", CodeIncomplete},
		{"given up, and final after that", accepted("Pending"), accepted("Succeeded"), true, "late", CodeIncomplete},
		{"in doubt as before", doubtful, doubtful, false, "in doubt", CodeIncomplete},
		{"found to have an action, which was cancelled", doubtful, accepted("Cancelled"), false, "cancelled", CodeDone},
		{"cancelled before it was planned", accepted("Cancelled"), accepted("Cancelled"), false, "before", CodeDone},
		{"final before it was planned: in the plan's rows", accepted("Succeeded"), accepted("Succeeded"), false, "", CodeDone},
	}
	for _, tt := range tests {
		p := &CancelPlan{Final: map[string]int{}, meant: map[int64]bool{}}
		p.sort([]checkpoint.Task{tt.planned})
		c := &canceller{plan: p, left: map[int64]bool{1: tt.left}}
		end := c.account([]checkpoint.Task{tt.now})
		got := ""
		for word, n := range map[string]int{"cancelled": end.Cancelled, "before": end.Before, "still": end.Still, "late": len(end.Late), "left": len(end.Left),
			"in doubt": end.InDoubt, "not sent": end.Unsent} {
			if n > 0 {
				got += word
			}
		}
		if got != tt.want || end.Code() != tt.wantCode {
			t.Errorf("account() tells it as %q, code %d; want %q, code %d (%s)", got, end.Code(), tt.want, tt.wantCode, tt.why)
		}
	}
}
