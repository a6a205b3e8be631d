package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// Each attempt names the machine action that it is about, also when the device
// has got another one since, and stands in the order of time.
func TestAttemptsNameTheirActions(t *testing.T) {
	found := func(n int, status checkpoint.Status) func(w *world) {
		return func(w *world) {
			w.append(checkpoint.Event{Kind: "settle", Tasks: []checkpoint.TaskChange{{N: 1, Status: status, Action: action(n, "Pending")}}})
		}
	}
	cancelled := func(w *world) {
		id := w.append(checkpoint.Event{Kind: "intent", Intent: &checkpoint.Intent{Run: w.run, Key: w.key.String(), Kind: batch.CallCancel,
			Device: device(1), Number: 1, Action: action(1, "").ID}})
		w.append(checkpoint.Event{Kind: "outcome", Outcome: []checkpoint.Outcome{{Attempt: id, Outcome: "in doubt"}}})
	}
	again := func(w *world) {
		w.append(checkpoint.Event{Kind: "plan", Tasks: []checkpoint.TaskChange{{N: 1, Status: checkpoint.Pending, Action: &checkpoint.Action{}}}})
	}
	called := func(a answer) func(w *world) { return func(w *world) { w.call(1, 1, a) } }
	unanswered := called(answer{outcome: "in doubt", status: checkpoint.InDoubt})
	id := func(n int) string { return action(n, "").ID }
	for _, tt := range []struct {
		why  string
		do   []func(w *world)
		want []string // call and action
	}{
		{"cancelled and sent again", []func(*world){called(accepted(1)), cancelled, again, called(accepted(2))},
			[]string{"offboard " + id(1), "cancel " + id(1), "offboard " + id(2)}},
		{"cancelled and to be sent again", []func(*world){called(accepted(1)), cancelled, again},
			[]string{"offboard " + id(1), "cancel " + id(1)}},
		{"no answer, and found by a look-up", []func(*world){unanswered, found(1, checkpoint.Accepted), again, called(accepted(2))},
			[]string{"offboard " + id(1), "offboard " + id(2)}},
		{"an action that is open, and found by a look-up",
			[]func(*world){called(answer{outcome: "already-active", http: 400, status: checkpoint.AlreadyActive}), found(1, "")},
			[]string{"offboard " + id(1)}},
		{"no answer, and an action that is older", []func(*world){unanswered, found(1, checkpoint.Skipped)}, []string{"offboard "}},
		{"refused, taken up again, and an action of somebody else", []func(*world){
			called(answer{outcome: "refused", http: 404, status: checkpoint.Refused}), again, found(1, checkpoint.AlreadyActive)}, []string{"offboard "}},
		{"no answer, no action, sent again", []func(*world){unanswered, again, called(accepted(1))}, []string{"offboard ", "offboard " + id(1)}},
	} {
		w := newWorld(t)
		w.began("b", false, settings)
		for _, do := range tt.do {
			w.wait(time.Second)
			do(w)
		}
		devices, err := Devices(t.Context(), w.s, w.batch, device(1))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range devices[0].Attempts {
			got = append(got, a.Call+" "+a.Action)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: status has %q; want %q", tt.why, got, tt.want)
		}
		audit := string(read(t, write(t, w, FolderOptions{})+"/audit.json"))
		var out bytes.Buffer
		if err := WriteDevices(&out, devices, time.UTC); err != nil {
			t.Fatal(err)
		}
		for _, call := range tt.want {
			if _, id, _ := strings.Cut(call, " "); !strings.Contains(audit, fmt.Sprintf(`"machineActionId":%q`, id)) && id != "" || !strings.Contains(out.String(), id) {
				t.Errorf("%s: audit.json or the status for people has no %s", tt.why, id)
			}
		}
	}
}
