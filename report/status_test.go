package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch/checkpoint"
)

// asking asks from another machine than that of the runs.
func (w *world) asking() StatusOptions {
	return StatusOptions{Now: w.now, Machine: "OPS-08", Command: typed}
}

func typed(words ...string) string { return "mde-offboard " + strings.Join(words, " ") }

func TestStatusGolden(t *testing.T) {
	w := newWorld(t)
	small(w)
	zone := time.FixedZone("", 3600) // all times on a screen are of one clock
	one, err := StatusOf(t.Context(), w.s, w.batch, w.asking())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteBatch(&out, one, zone); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-batch.txt", out.Bytes())
	found, err := Devices(t.Context(), w.s, w.batch, "LAP-0005.corp.example")
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := WriteDevices(&out, found, zone); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-device.txt", out.Bytes())

	w.newBatch("another", false)
	all, err := Status(t.Context(), w.s, w.asking())
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := WriteStatus(&out, all, zone); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.txt", out.Bytes())
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", append(b, '\n'))
	for _, name := range []string{"status.txt", "status-batch.txt", "status-device.txt"} {
		for line := range strings.Lines(string(read(t, filepath.Join("..", "testdata", "report", name)))) {
			if line = strings.TrimRight(line, "\n"); cells(line) > narrow && !strings.HasPrefix(line, "portal ") { // one word
				t.Errorf("%s: %q breaks on a terminal", name, line)
			}
		}
	}
}

// The status says the same as the audit.
func TestStatusAddsUp(t *testing.T) {
	w := newWorld(t)
	small(w)
	st, err := StatusOf(t.Context(), w.s, w.batch, w.asking())
	if err != nil {
		t.Fatal(err)
	}
	var audit auditDoc
	if err := json.Unmarshal(read(t, write(t, w, FolderOptions{})+"/audit.json"), &audit); err != nil {
		t.Fatal(err)
	}
	if st.Counts != audit.Counts {
		t.Errorf("status counts %+v; the audit %+v", st.Counts, audit.Counts)
	}
	if len(st.Actions) != 3 || !slices.Equal(st.Actions, audit.Actions) {
		t.Errorf("status has actions %+v; the audit %+v", st.Actions, audit.Actions)
	}
}

func TestNext(t *testing.T) {
	run := checkpoint.Run{What: "run", Who: "anna", Host: "OPS-07", PID: 7, Started: t0, Alive: t0.Add(time.Hour)}
	ended, cancel := run, run
	cancel.What = "cancel"
	ended.Ended = run.Alive
	for _, tt := range []struct {
		why    string
		run    checkpoint.Run
		counts map[checkpoint.Status]int
		action string
		closed string
		alive  bool
		want   string
	}{
		{"at work", run, nil, "", "", true, "wait: run is at work (anna on OPS-07, process 7)"},
		{"killed", run, nil, "", "", false, "the same command goes on: its last run ended without a word"},
		{"stopped", ended, map[checkpoint.Status]int{checkpoint.Pending: 1, checkpoint.InDoubt: 2}, "", "", false,
			"the same command goes on: 1 device to send and 2 devices in doubt to look up"},
		{"to be tracked", ended, map[checkpoint.Status]int{checkpoint.Accepted: 1}, "Pending", "", false, "mde-offboard track b: 1 machine action is open"},
		{"a status nobody knows is open", ended, nil, "Paused", "", false, "mde-offboard track b: 1 machine action is open"},
		{"refusals", ended, map[checkpoint.Status]int{checkpoint.Refused: 1, checkpoint.Failed: 1}, "Cancelled", "", false,
			"look at the 2 devices that were refused or failed; run --retry refused,failed takes them up again"},
		{"actions that came to nothing", ended, map[checkpoint.Status]int{checkpoint.Accepted: 1}, "TimeOut", "", false,
			"1 machine action failed or timed out: run --retry failed sends such devices again"},
		{"all done", ended, map[checkpoint.Status]int{checkpoint.Accepted: 1}, "Succeeded", "", false, "nothing"},
		{"closed", ended, map[checkpoint.Status]int{checkpoint.Pending: 1}, "", "cancelled", false, "nothing: the batch is closed, cancelled"},
		{"a cancel was killed", run, nil, "", "cancelled", false, "nothing: the batch is closed, cancelled"},
		{"a cancel is at work", cancel, map[checkpoint.Status]int{checkpoint.InDoubt: 1}, "", "cancelled", true, "wait: cancel is at work (anna on OPS-07, process 7)"},
		{"a cancel was interrupted", ended, map[checkpoint.Status]int{checkpoint.Pending: 5, checkpoint.InDoubt: 2}, "Pending", "cancelled", false,
			"mde-offboard cancel b goes on: 1 machine action not cancelled yet and 2 devices in doubt to look up"},
		{"a cancel of some was interrupted: that of all would be another", ended, nil, "Pending", "cancel of some devices is under way, begun by anna", false,
			"the same mde-offboard cancel b --only goes on: cancel of some devices is under way, begun by anna"},
	} {
		a := &audit{batch: checkpoint.Batch{Name: "b", Closed: tt.closed}, runs: []checkpoint.Run{tt.run}, sum: Summary{Counts: tt.counts}}
		if tt.action != "" {
			a.actions = []tally{{tt.action, checkpoint.Accepted, 1}}
		}
		if got := a.next(typed, func(checkpoint.Run) bool { return tt.alive }); got != tt.want {
			t.Errorf("next(%s) = %q; want %q", tt.why, got, tt.want)
		}
	}
	tracked := ended
	tracked.What = "track"
	a := &audit{batch: checkpoint.Batch{Name: "b"}, runs: []checkpoint.Run{run, tracked}}
	if got := a.next(typed, func(r checkpoint.Run) bool { return true }); !strings.HasPrefix(got, "wait: run is at work") {
		t.Errorf("next, after a tracker beside the run = %q; want to wait for the run", got)
	}
}

// Only the batch's own actions are cancel's to take back.
func TestStatusOfUnfinishedCancel(t *testing.T) {
	w := newWorld(t)
	small(w)
	closed := "cancelled by anna on OPS-07"
	w.append(checkpoint.Event{Kind: "close", Closed: &closed})
	st, err := StatusOf(t.Context(), w.s, w.batch, w.asking())
	if err != nil {
		t.Fatal(err)
	}
	const want = "mde-offboard cancel decommission goes on: 2 machine actions not cancelled yet and 1 device in doubt to look up"
	if st.Next != want { // device 3 has an open action, too, that somebody else asked for
		t.Errorf("Next = %q; want %q", st.Next, want)
	}
}

// An action that somebody else asked for is none of the batch's, though its device
// has it; and track looks at none of a device that was skipped.
func TestActionsOfOthers(t *testing.T) {
	w := newWorld(t)
	w.newBatch("b", false)
	w.lines(listed(4)...)
	w.start("run", "--yes")
	w.call(1, 1, accepted(1))
	w.call(2, 1, answer{outcome: "already-active", http: 400, status: checkpoint.AlreadyActive, action: action(2, "Pending")})
	w.append(checkpoint.Event{Kind: "looked", Tasks: []checkpoint.TaskChange{{N: 3, Status: checkpoint.Skipped, Action: action(3, "Succeeded")},
		{N: 4, Status: checkpoint.Skipped, Action: action(4, "Pending")}}})
	w.end("done", 0)
	st, err := StatusOf(t.Context(), w.s, w.batch, w.asking())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteBatch(&out, st, time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 that the batch asked for: 1 Pending\n", "3 that it did not ask for: 2 Pending, 1 Succeeded\n", "mde-offboard track b: 2 machine actions are open\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the status does not say %q, but\n%s", want, &out)
		}
	}
	page := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(string(read(t, pageOf(t, w))), "")
	for _, want := range []string{"Defender last showed the 1 machine action that this batch asked for as: 1 Pending. ",
		"3 devices have an action that the batch did not ask for: 2 Pending, 1 Succeeded. "} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	var audit auditDoc
	if err := json.Unmarshal(read(t, write(t, w, FolderOptions{})+"/audit.json"), &audit); err != nil {
		t.Fatal(err)
	}
	if want := []tallyDoc{{"Pending", 3}, {"Succeeded", 1}}; !slices.Equal(audit.Actions, want) || !slices.Equal(st.Actions, want) {
		t.Errorf("actions of all devices: %v, and %v in the status; want %v", audit.Actions, st.Actions, want)
	}
}

func TestDevices(t *testing.T) {
	w := newWorld(t)
	small(w)
	for _, tt := range []struct {
		what string
		want int // line
		why  string
	}{
		{strings.ToUpper(device(6)), 7, "an id, in capitals"},
		{" lap-0006.corp.example ", 7, "a name"},
		{"7", 7, "a line"},
		{"lap-0010", 11, "what stood in the list for an id"},
	} {
		found, err := Devices(t.Context(), w.s, w.batch, tt.what)
		if err != nil || len(found) != 1 || found[0].Line != tt.want {
			t.Errorf("Devices(%q) = %v, %v; want line %d (%s)", tt.what, found, err, tt.want, tt.why)
		}
	}
	var no *NotInBatch
	for _, what := range []string{"", "99", "nobody"} {
		if _, err := Devices(t.Context(), w.s, w.batch, what); !errors.As(err, &no) {
			t.Errorf("Devices(%q) = %v; want that it is not in the batch", what, err)
		}
	}
}

// TestStatusOfWeeks: a batch takes two lines, whatever another one is called.
func TestStatusOfWeeks(t *testing.T) {
	long := strings.Repeat("north-west-", 6) + "laptops"
	var all []BatchStatus
	for _, name := range []string{"night-1", long, "night-2"} {
		b := BatchStatus{Next: nothing, Counts: countsDoc{Lines: 1500, Accepted: 1500}, Runs: []runDoc{{Ended: "2026-10-25T05:59:00Z"}}}
		b.Batch.Name = name
		all = append(all, b)
	}
	var out bytes.Buffer
	if err := WriteStatus(&out, all, time.UTC); err != nil {
		t.Fatal(err)
	}
	const when = "2026-10-25 05:59:00 +00:00  1,500/1,500\n  1,500 accepted\n"
	want := "BATCH    LAST RUN                    DONE\nnight-1  " + when + long + "\n         " + when + "night-2  " + when + "\nTo do next:\n  nothing\n"
	if got := out.String(); got != want {
		t.Errorf("the status is\n%s\nwant\n%s", got, want)
	}
}
