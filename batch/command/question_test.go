package command

import (
	"fmt"
	"strings"
	"testing"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// TestQuestion asks for as many devices of a canary as its run takes up, beside those
// that are in doubt.
func TestQuestion(t *testing.T) {
	for _, tt := range []struct {
		canary, doubts, n int
		ask               string
	}{
		{0, 2, 8, "to offboard 8 devices of tenant contoso"},
		{3, 0, 3, "to offboard the first 3 of 10 devices of tenant contoso"},
		{3, 2, 1, "to offboard the first 1 of 8 devices of tenant contoso"},
		{3, 3, 3, "to look 3 devices up that are in doubt"},
		{0, 10, 10, "to look 10 devices up that are in doubt"},
	} {
		text := "MachineId\n"
		var have []checkpoint.Task
		for i := range int64(10) {
			id := fmt.Sprintf("%040x", i)
			text += id + "\n"
			task := checkpoint.Task{N: i + 1, Position: i + 1, Device: id, Status: checkpoint.Pending}
			if i < int64(tt.doubts) {
				task.Status, task.Attempt = checkpoint.InDoubt, i+1
			}
			have = append(have, task)
		}
		list, err := input.NewList("list.csv", strings.NewReader(text), input.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := batch.MakePlan(list, "list.csv", checkpoint.Batch{ID: 1}, have, batch.Request{Comment: "retired", Canary: tt.canary})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		n, ask := question(&connected{Session: batch.Session{Key: checkpoint.Key{Tenant: "contoso"}}}, p)
		if want := fmt.Sprintf("Type %d %s, anything else to leave: ", tt.n, tt.ask); n != tt.n || ask != want {
			t.Errorf("canary %d with %d in doubt: %d, %q; want %d, %q", tt.canary, tt.doubts, n, ask, tt.n, want)
		}
	}
}
