package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch/checkpoint"
)

// What a folder depended on besides the chain makes no mismatch of it, and hides
// no forgery.
func TestVerifyFolderRemakes(t *testing.T) {
	for _, tt := range []struct {
		why    string
		opt    FolderOptions
		before func(w *world)             // the report
		after  func(w *world, dir string) // it
		unmade string
		since  string // in the description
	}{
		{why: "for Excel", opt: FolderOptions{Excel: true}},
		{why: "of a simulated batch", before: func(w *world) { w.newBatch("rehearsed", true) }},
		{why: "of a run at work, that was seen again since", before: func(w *world) {
			w.start("run", "--yes")
			w.wait(time.Second)
			w.intent(11, 1)
			w.alive()
		}, after: func(w *world, _ string) {
			w.wait(time.Minute)
			w.alive()
		}},
		{why: "of a run at work, that has ended since", before: func(w *world) {
			w.start("run", "--yes")
			w.wait(time.Second)
			w.intent(11, 1)
			w.wait(time.Second)
			w.alive()
		}, after: func(w *world, _ string) {
			w.wait(time.Minute)
			w.alive()
			w.end("done", 0)
		}, since: "it has gone on since, by 1 event"},
		{why: "from before the actions were followed up", after: func(w *world, _ string) {
			w.wait(time.Hour)
			w.start("track", "changes nothing")
			w.append(checkpoint.Event{Kind: "tracked", Tasks: []checkpoint.TaskChange{{N: 2, Action: action(2, "Failed")}}})
			w.end("done", 3)
		}, since: "it has gone on since, by 3 events"},
		{why: "beside another batch, that was forgotten since", before: func(w *world) {
			w.now = t0.Add(80 * time.Second)
			w.beside(func() { w.call(1, 1, accepted(100)) })
		}, after: func(w *world, _ string) {
			all := w.batches()
			if err := w.s.Forget(all[len(all)-1].ID, w.now.AddDate(1, 0, 0)); err != nil {
				w.t.Fatal(err)
			}
		}, unmade: "the calls of other batches"},
		{why: "beside another batch, whose call was answered since", before: func(w *world) {
			w.now = t0.Add(68 * time.Second) // it leaves the minute after the last call of the first run, or not before its end
			w.beside(func() { w.intent(1, 1) })
		}, after: func(w *world, _ string) {
			all := w.batches()
			w.batch = all[len(all)-1].ID
			w.append(checkpoint.Event{Kind: "outcome", Outcome: []checkpoint.Outcome{{Attempt: 5, Outcome: "accepted", Status: 201}}})
		}, unmade: "the calls of other batches"},
		{why: "that says it was beside another batch", after: func(w *world, dir string) {
			forge(w.t, dir, "audit.json", `"callsOfOtherBatches": 0`, `"callsOfOtherBatches": 1`)
			forge(w.t, dir, "audit.html", "First reached", "Last reached")
		}, unmade: "the calls of other batches"},
		{why: "of another version", opt: FolderOptions{Program: "v0.9"}},
		{why: "of another version, that has another page", opt: FolderOptions{Program: "v0.9"}, after: func(w *world, dir string) {
			forge(w.t, dir, "audit.html", "3 accepted", "4 accepted")
		}, unmade: `audit.html, which version "v0.9" of the program`},
	} {
		w := newWorld(t)
		small(w)
		if tt.before != nil {
			tt.before(w)
		}
		dir := write(t, w, tt.opt)
		if tt.after != nil {
			tt.after(w, dir)
		}
		c, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
		if err != nil || !c.Remade || !strings.Contains(strings.Join(c.Unmade, "\n"), tt.unmade) || (len(c.Unmade) == 0) != (tt.unmade == "") {
			t.Errorf("VerifyFolder of a folder %s = %+v, %v; want it made again, but for %q", tt.why, c, err, tt.unmade)
		}
		if said := c.Describe(); !strings.HasSuffix(said, "the same report") && tt.unmade+tt.since == "" || !strings.Contains(said, tt.unmade) || !strings.Contains(said, tt.since) {
			t.Errorf("Describe of a folder %s = %s; want it to say %q", tt.why, said, tt.unmade+tt.since)
		}
		var m *Mismatch
		forge(t, dir, "audit.json", `"format": "mde-offboard audit"`, `"format": "another"`)
		if _, err := VerifyFolder(t.Context(), dir, w.s, nil, ""); !errors.As(err, &m) || m.File != "audit.json" {
			t.Errorf("VerifyFolder of a forged folder %s = %v; want audit.json named", tt.why, err)
		}
	}
}

// TestVerifyFolderLastSeen: a run without an end cannot have been seen for the last
// time before its last reservation, nor later than the checkpoint knows.
func TestVerifyFolderLastSeen(t *testing.T) {
	for _, tt := range []struct {
		why  string
		seen time.Duration // after the last reservation
		ok   bool
	}{
		{"as it was written", time.Second, true},
		{"at the last reservation", 0, true},
		{"at the last sign that the checkpoint has", time.Minute, true},
		{"before the last reservation", -time.Millisecond, false},
		{"later than the checkpoint has it", time.Minute + time.Millisecond, false},
	} {
		w := newWorld(t)
		small(w)
		w.start("run", "--yes")
		w.wait(time.Second)
		w.intent(11, 1)
		reserved := w.now
		w.wait(time.Second)
		w.alive()
		dir := write(t, w, FolderOptions{})
		w.now = reserved.Add(time.Minute)
		w.alive()
		if said := reserved.Add(tt.seen); !said.Equal(reserved.Add(time.Second)) {
			forge(t, dir, "audit.json", `"lastSignOfLife": "`+exact(reserved.Add(time.Second)), `"lastSignOfLife": "`+exact(said))
		}
		_, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
		var m *Mismatch
		if errors.As(err, &m); (m == nil || m.File != "audit.json") != tt.ok {
			t.Errorf("VerifyFolder of a run that was seen %s = %v; want audit.json accepted: %v", tt.why, err, tt.ok)
		}
	}
}
