package batch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mde-offboard/batch/checkpoint"
)

// put carries a plan into tasks, as the checkpoint does.
func put(have []checkpoint.Task, p *Plan) []checkpoint.Task {
	have = slices.Clone(have)
	task := func(n int64) *checkpoint.Task {
		i := slices.IndexFunc(have, func(t checkpoint.Task) bool { return t.N == n })
		if i < 0 {
			have, i = append(have, checkpoint.Task{N: n, Status: checkpoint.Pending}), len(have)
		}
		return &have[i]
	}
	p.changes.each(func(l *checkpoint.Line) error {
		t := task(l.N)
		t.Position, t.File, t.Line, t.Device, t.Name, t.Comment, t.Extra = l.Position, l.File, l.Line, l.Device, l.Name, l.Comment, l.Extra
		if l.Status != "" {
			t.Status, t.Reason = l.Status, l.Reason
		}
		return nil
	})
	for _, c := range p.tasks {
		w := work{Task: *task(c.N)}
		w.apply(c)
		*task(c.N) = w.Task
	}
	return have
}

// told is a batch's lines as its owner sees them: in the order of the list.
func told(have []checkpoint.Task) (all []string) {
	have = slices.Clone(have)
	slices.SortStableFunc(have, func(a, b checkpoint.Task) int { return int(a.Position - b.Position) })
	for _, t := range have {
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%d %s %s %s %s", t.Position, t.Device[:1], t.Comment, t.Status, t.Reason), " "))
	}
	return all
}

// TestRewrite plans a list that was rewritten between two runs. A device is one
// letter; before, a was accepted, b refused, c in doubt, d not sent, and e skipped.
func TestRewrite(t *testing.T) {
	id := func(letter string) string { return strings.Repeat(letter, 40) }
	before := []checkpoint.Task{
		{N: 1, Position: 1, File: "list.csv", Line: 2, Device: id("a"), Comment: "x", Status: checkpoint.Accepted, Attempt: 3, Action: checkpoint.Action{ID: "act", Status: "Succeeded"}},
		{N: 2, Position: 2, File: "list.csv", Line: 3, Device: id("b"), Comment: "x", Status: checkpoint.Refused, Attempt: 4},
		{N: 3, Position: 3, File: "list.csv", Line: 4, Device: id("c"), Comment: "x", Status: checkpoint.InDoubt, Attempt: 5},
		{N: 4, Position: 4, File: "list.csv", Line: 5, Device: id("d"), Comment: "x", Status: checkpoint.Pending},
		{N: 5, Position: 5, File: "list.csv", Line: 6, Device: id("e"), Comment: "x", Status: checkpoint.Skipped, Reason: "protected: by e"},
	}
	asItWas := []string{"1 a x accepted", "2 b x refused", "3 c x in-doubt", "4 d x pending", "5 e x pending"}
	for _, tc := range []struct {
		reason string
		lines  string // letter and comment of each line
		req    Request
		want   []string
		counts string // to do, in doubt, added, withdrawn, gone, other comment
	}{
		{"nothing, and e is no longer protected", "ax bx cx dx ex", Request{}, asItWas, "2 1 0 0 0 0"},
		{"reordered: what was sent stays sent", "ex dx cx bx ax", Request{},
			[]string{"1 e x pending", "2 d x pending", "3 c x in-doubt", "4 b x refused", "5 a x accepted"}, "2 1 0 0 0 0"},
		{"a line added in the middle", "ax bx fx cx dx ex", Request{},
			[]string{"1 a x accepted", "2 b x refused", "3 f x pending", "4 c x in-doubt", "5 d x pending", "6 e x pending"}, "3 1 1 0 0 0"},
		{"all removed but one: what was not sent is withdrawn", "ax", Request{},
			[]string{"0 b x refused", "0 c x in-doubt", "0 d x skipped withdrawn: no longer in the list", "0 e x skipped protected: by e", "1 a x accepted"}, "0 1 0 1 2 0"},
		{"comments changed: only for what was not sent", "ay by cy dy ey", Request{},
			[]string{"1 a x accepted", "2 b x refused", "3 c x in-doubt", "4 d y pending", "5 e y pending"}, "2 1 0 0 0 2"},
		{"--comment is for lines that have none", "ax bx cx d ey", Request{Comment: "z"},
			[]string{"1 a x accepted", "2 b x refused", "3 c x in-doubt", "4 d z pending", "5 e y pending"}, "2 1 0 0 0 2"},
		{"a duplicate of what was sent", "ax ax bx cx dx ex", Request{},
			[]string{"1 a x accepted", "2 a x skipped duplicate of line 2", "3 b x refused", "4 c x in-doubt", "5 d x pending", "6 e x pending"}, "2 1 1 0 0 0"},
		{"refused ones taken up again, with the new comment", "ax by cx dx ex", Request{Retry: []checkpoint.Status{checkpoint.Refused}},
			[]string{"1 a x accepted", "2 b y pending", "3 c x in-doubt", "4 d x pending", "5 e x pending"}, "3 1 0 0 0 1"},
		{"all again: not what is in doubt", "ax bx cx dx ex", Request{Again: true},
			[]string{"1 a x pending", "2 b x refused", "3 c x in-doubt", "4 d x pending", "5 e x pending"}, "3 1 0 0 0 0"},
	} {
		text := "MachineId,Comment\n"
		for _, line := range strings.Fields(tc.lines) {
			text += id(line[:1]) + "," + line[1:] + "\n"
		}
		p := planOf(t, text, checkpoint.Batch{ID: 1}, before, tc.req)
		if diff := cmp.Diff(tc.want, told(put(before, p))); diff != "" {
			t.Errorf("%s: lines (-want +got)\n%s", tc.reason, diff)
		}
		if got := fmt.Sprint(p.ToDo, p.InDoubt, p.Added, p.Withdrawn, p.Gone, p.Recomment); got != tc.counts {
			t.Errorf("%s: to do, in doubt, added, withdrawn, gone, comment: %s; want %s", tc.reason, got, tc.counts)
		}
	}
}

// TestOpenActions has devices that --again leaves as they are, and says how many.
func TestOpenActions(t *testing.T) {
	all := devices(3)
	have := put(nil, planOf(t, listOf(all), checkpoint.Batch{}, nil, Request{}))
	for i, status := range []string{"Pending", "InProgress", "Succeeded"} {
		have[i].Status, have[i].Attempt, have[i].Action = checkpoint.Accepted, int64(i+1), checkpoint.Action{ID: "a", Status: status}
	}
	for n, want := range map[int]string{1: "1 device with an open action: not taken up again", 2: "2 devices with an open action: not taken up again"} {
		list := append(all[:n:n], all[2])
		p := planOf(t, listOf(list), checkpoint.Batch{ID: 1}, have, Request{Again: true})
		if p.ToDo != 1 || p.Done[checkpoint.Accepted] != n || !slices.Contains(p.Notes, want) {
			t.Errorf("%d of %d open: %d to do, %v, notes %q; want 1 and %q", n, n+1, p.ToDo, p.Done, p.Notes, want)
		}
	}
}

// TestWithdrawnComesBack has a line leave the list and come back.
func TestWithdrawnComesBack(t *testing.T) {
	all := devices(2)
	have := put(nil, planOf(t, listOf(all), checkpoint.Batch{}, nil, Request{}))
	have = put(have, planOf(t, listOf(all[:1]), checkpoint.Batch{ID: 1}, have, Request{}))
	if have[1].Status != checkpoint.Skipped || have[1].Position != 0 {
		t.Errorf("a line that left: %s at %d; want it skipped at 0", have[1].Status, have[1].Position)
	}
	p := planOf(t, listOf(all), checkpoint.Batch{ID: 1}, have, Request{})
	if have = put(have, p); p.ToDo != 2 || have[1].Status != checkpoint.Pending || have[1].Reason != "" || have[1].Position != 2 {
		t.Errorf("a line that came back: %d to do, %+v; want 2, and it pending at 2 with no reason", p.ToDo, have[1])
	}
}

// TestBadLinesKeepTheirCell has lines that cannot be used carry what stood where
// their id should be, by which the next plan finds them, wherever they stand then.
// A checkpoint of before has the problem's words there, and goes on.
func TestBadLinesKeepTheirCell(t *testing.T) {
	req, batch := Request{SkipInvalid: true}, checkpoint.Batch{ID: 1}
	good, bad := device("good")+",x\n", []string{"Total,2\n", ",y\n", "Total,3\n"}
	have := put(nil, planOf(t, "MachineId,Comment\n"+good+strings.Join(bad, ""), batch, nil, req))
	slices.Reverse(bad)
	p := planOf(t, "MachineId,Comment\n"+strings.Join(bad, "")+good, batch, have, req)
	var got []string
	for _, task := range put(have, p) {
		got = append(got, fmt.Sprintf("%d %s %s", task.Position, strings.Replace(task.Device, device("good"), "good", 1), task.Status))
	}
	if diff := cmp.Diff([]string{"4 good pending", "1 Total skipped", "2  skipped", "3 Total skipped"}, got); diff != "" || p.Added != 0 {
		t.Errorf("turned around: %d new, tasks (-want +got)\n%s", p.Added, diff)
	}

	have[1].Device = `"Total" is a name, not a device id (40 hexadecimal characters)`
	p = planOf(t, "MachineId,Comment\n"+good+"Total,2\n", batch, have, req)
	if now := put(have, p); p.ToDo != 1 || p.Lines != 2 || now[0].Status != checkpoint.Pending || now[1].Position != 0 {
		t.Errorf("with the words of a problem in place of a device: %d to do of %d lines, %+v; want the good one to do, the words out of the list", p.ToDo, p.Lines, now)
	}
}

// TestReplan plans any list after any other, with anything done in between: each
// line has a task of its own, what was sent keeps its status, and a second plan
// of the same list changes nothing.
func TestReplan(t *testing.T) {
	slow(t)
	pool := append(devices(5), "bad")
	list := rapid.Custom(func(t *rapid.T) string {
		text := "MachineId,Comment\n"
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 5), 1, 8).Draw(t, "devices") {
			text += pool[n] + "," + rapid.SampledFrom([]string{"x", "y", ""}).Draw(t, "comment") + "\n"
		}
		return text
	})
	statuses := []checkpoint.Status{checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Refused, checkpoint.Failed, checkpoint.InDoubt}
	rapid.Check(t, func(rt *rapid.T) {
		var have []checkpoint.Task
		for round := range 3 {
			text := list.Draw(rt, "list")
			p := planOf(t, text, checkpoint.Batch{ID: 1}, have, Request{SkipInvalid: true})
			now := put(have, p)
			sent := map[string]bool{}
			places := map[int64]bool{}
			for i, task := range now {
				if i < len(have) && have[i].Attempt != 0 && (task.Status != have[i].Status || task.Comment != have[i].Comment) {
					rt.Errorf("round %d: a task that was sent became %s %q; it was %s %q", round, task.Status, task.Comment, have[i].Status, have[i].Comment)
				}
				if task.Attempt != 0 || task.Status == checkpoint.Pending {
					if sent[task.Device] {
						rt.Errorf("round %d: two tasks would call %s", round, task.Device)
					}
					sent[task.Device] = true
				}
				if task.Position != 0 {
					if places[task.Position] {
						rt.Errorf("round %d: two tasks at place %d", round, task.Position)
					}
					places[task.Position] = true
				}
			}
			if len(places) != p.Lines {
				rt.Errorf("round %d: %d places for %d lines", round, len(places), p.Lines)
			}
			if again := planOf(t, text, checkpoint.Batch{ID: 1}, now, Request{SkipInvalid: true}); again.Changed() {
				rt.Errorf("round %d: planned again, it changes %+v", round, again.changes)
			}
			for i := range now {
				if now[i].Status == checkpoint.Pending && rapid.Bool().Draw(rt, "sent") {
					now[i].Status, now[i].Attempt = rapid.SampledFrom(statuses).Draw(rt, "status"), 1
				}
			}
			have = now
		}
	})
}
