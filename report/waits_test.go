package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// waits writes a wait of a run that begins now and is over after a while.
func (w *world) waits(kind, why string, d time.Duration) {
	w.t.Helper()
	w.append(checkpoint.Event{Kind: "wait", Wait: &checkpoint.Wait{Kind: kind, Why: why, Since: w.now}})
	w.wait(d)
	w.append(checkpoint.Event{Kind: "wait", Wait: &checkpoint.Wait{}})
}

// waitScene has waits of every kind: before the first call, between calls and
// after the last one; and a run that waits and sends nothing.
func waitScene(w *world) {
	w.began("b", false, settings)
	w.waits(batch.WaitedForHours, "outside the allowed hours", 16*time.Hour)
	w.waits(batch.WaitedForLook, "looking", 4*time.Minute)
	w.burst(1, 100)
	w.waits(batch.WaitedForWindow, "minute window", 62*time.Second)
	w.burst(101, 20)
	w.waits(batch.WaitedForWindow, "hour window", 45*time.Minute)
	w.burst(121, 20)
	w.waits(batch.WaitedForDefender, "no answer", 20*time.Minute)
	w.waits(batch.WaitedForRetry, "before trying again", time.Minute)
	w.burst(141, 1)
	w.waits(batch.WaitedForSettling, "devices in doubt are looked up", 6*time.Minute)
	w.end("done", 3)
	w.wait(time.Hour)
	w.start("run", "--yes")
	w.append(checkpoint.Event{Kind: "wait", Wait: &checkpoint.Wait{Kind: batch.WaitedForHours, Why: "outside the allowed hours", Since: w.now}})
	w.wait(3 * time.Hour)
	w.end("interrupted", 4)
}

// What a run waited for is drawn by kind, wherever it stands, and time in which
// nothing was sent is cut within a run too.
func TestWaitsDrawn(t *testing.T) {
	w := newWorld(t)
	waitScene(w)
	c := newChart(auditOf(t, w))
	var classes []string
	for _, b := range c.Waits {
		classes = append(classes, b.Class)
	}
	if want := []string{"shut", "looked", "minute", "hour", "outage", "later", "looked", "shut"}; !slices.Equal(classes, want) {
		t.Errorf("waits = %v; want %v", classes, want)
	}
	if len(c.Runs) != 2 || len(c.Breaks) != 2 || c.Runs[0].X != "0" {
		t.Errorf("%d runs, the first at %s, %d breaks; want 2 from 0 on, and two waits for the hours cut", len(c.Runs), c.Runs[0].X, len(c.Breaks))
	}
	var width float64
	fmt.Sscan(c.Waits[0].W, &width)
	if width > 100 {
		t.Errorf("the wait of 16 hours is %v wide; want it cut, so that the rest has room", width)
	}
	var kinds []string
	for _, k := range c.Kinds {
		kinds = append(kinds, k.Name)
	}
	if want := []string{"waiting for the minute window", "waiting for the hour window", "outside the allowed hours", "no answer of Defender’s", "looking actions up", "waiting to try again"}; !slices.Equal(kinds, want) {
		t.Errorf("legend = %q; want %q", kinds, want)
	}
}

// A run that sent nothing is in the chart with what it waited for; one that was
// killed while it waited, too.
func TestWaitsWithoutCalls(t *testing.T) {
	for _, tt := range []struct {
		why string
		end func(w *world)
	}{
		{"interrupted", func(w *world) { w.end("interrupted", 4) }},
		{"killed", func(w *world) {}},
	} {
		w := newWorld(t)
		w.began("b", false, settings)
		w.wait(time.Minute)
		w.append(checkpoint.Event{Kind: "wait", Wait: &checkpoint.Wait{Kind: batch.WaitedForHours, Since: w.now}})
		w.wait(16 * time.Hour)
		tt.end(w)
		c := newChart(auditOf(t, w))
		if c == nil || len(c.Waits) != 1 || len(c.Runs) != 1 || c.Panels != nil || !strings.HasPrefix(c.Verdict, "No call was sent") {
			t.Errorf("%s: chart %+v; want a run, its wait, and that nothing was sent", tt.why, c)
		}
	}
	w := newWorld(t)
	w.began("b", false, settings)
	w.end("stopped", 4)
	if c := newChart(auditOf(t, w)); c != nil {
		t.Errorf("a run that sent nothing and waited for nothing has the chart %+v", c)
	}
}

// A burst that is asked to wait is one hold: each of its calls had the answer.
func TestHeldTimes(t *testing.T) {
	a, until := &audit{}, t0.Add(time.Minute)
	for i := range 12 {
		later := time.Duration(i) * time.Millisecond
		a.holds = append(a.holds, held{t0.Add(later), checkpoint.HoldSet{Until: until.Add(later)}})
	}
	a.holds = append(a.holds, held{until, checkpoint.HoldSet{Until: until.Add(40 * time.Second)}})
	if got := a.heldTimes(); len(got) != 2 || !got[0].at.Equal(t0) || !got[1].at.Equal(until) {
		t.Errorf("heldTimes() = %+v; want those of the burst as one, from its first on, and the next", got)
	}
}

func TestPageWords(t *testing.T) {
	if got := spoken("no answer for 2m0s: 429, again in 8s"); got != "no answer for 2\u00a0min: 429, again in 8\u00a0s" {
		t.Errorf("spoken = %q", got)
	}
	for _, tt := range []struct {
		counts map[checkpoint.Status]int
		want   string
	}{
		{map[checkpoint.Status]int{checkpoint.Accepted: 48}, "48 lines of the list."},
		{map[checkpoint.Status]int{checkpoint.Accepted: 47, checkpoint.Refused: 1}, "47 + 1 = 48: 48 lines of the list."},
	} {
		var p page
		if p.count(&audit{sum: Summary{Lines: 48, Counts: tt.counts}}); p.Sum != tt.want {
			t.Errorf("the sum of %v is %q; want %q", tt.counts, p.Sum, tt.want)
		}
	}
}
