package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// pacedBy are settings of a quota.
func pacedBy(perMinute int, shared bool) string {
	return fmt.Sprintf(`{"windows":["%d in 1m0s","1500 in 1h0m0s"],"sharedBudget":%v}`, perMinute, shared)
}

// began makes a run of a batch of 200 devices under settings.
func (w *world) began(name string, simulated bool, settings string) {
	w.t.Helper()
	w.newBatch(name, simulated)
	w.plan(checkpoint.Plan{List: name, Options: settings})
	w.lines(listed(200)...)
	w.start("run", "--yes")
}

// burst calls so many devices at once, from one on.
func (w *world) burst(from, n int) {
	w.t.Helper()
	for i := from; i < from+n; i++ {
		w.call(int64(i), 1, accepted(i))
	}
}

// auditOf gathers a batch.
func auditOf(t *testing.T, w *world) (a *audit) {
	t.Helper()
	if err := w.s.View(t.Context(), func(r checkpoint.Reader) (err error) {
		a, err = gather(t.Context(), r, w.batch)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return a
}

// The quota is judged by what binds, whatever a run kept to, over all calls that
// count against it and no others.
func TestQuotaVerdict(t *testing.T) {
	const kept, broken = "The quota was kept: never more than ", "The quota may have been exceeded: up to "
	for _, tt := range []struct {
		why  string
		fill func(w *world)
		want string
	}{
		{"resumed with a lower limit", func(w *world) {
			w.began("b", false, pacedBy(20, false))
			w.burst(1, 20)
			w.end("stopped", 4)
			w.plan(checkpoint.Plan{Options: pacedBy(10, false)})
			w.start("run", "--yes")
			w.wait(2 * time.Minute)
			w.burst(21, 10)
		}, kept + "20 offboard calls in any minute (limit 100) and 30 in any hour (limit 1,500)."},
		{"the same in a rehearsal, whose server may have had the larger of the two", func(w *world) {
			w.began("b", true, pacedBy(20, false))
			w.burst(1, 20)
			w.plan(checkpoint.Plan{Options: pacedBy(10, false)})
			w.start("run", "--yes")
		}, kept + "20 offboard calls in any minute (limit 20) and 20 in any hour (limit 1,500)."},
		{"another batch with a higher limit, in a rehearsal", func(w *world) {
			w.began("other", true, pacedBy(20, false))
			w.burst(1, 15)
			w.began("b", true, pacedBy(5, false))
			w.burst(101, 5)
		}, kept + "20 offboard calls in any minute (limit 20) and 20 in any hour (limit 1,500)."},
		{"windows of a length that has no name, in a rehearsal", func(w *world) {
			w.began("b", true, `{"windows":["1500 in 1m15s"]}`)
			w.burst(1, 20)
		}, kept + "20 offboard calls in any 1\u00a0min 15\u00a0s (limit 1,500)."},
		{"one call too many", func(w *world) {
			w.began("b", false, pacedBy(100, false))
			w.burst(1, 101)
		}, broken + "101 offboard calls in any minute (limit 100), by the clock of this machine."},
		{"one too many together with another batch", func(w *world) {
			w.began("other", false, pacedBy(100, false))
			w.burst(1, 60)
			w.began("b", false, pacedBy(100, false))
			w.burst(101, 41)
		}, broken + "101 offboard calls in any minute (limit 100), by the clock of this machine."},
		{"a batch of another application, which has a quota of its own", func(w *world) {
			key := w.key
			w.key.Application = "another"
			w.began("other", false, pacedBy(100, false))
			w.burst(1, 60)
			w.key = key
			w.began("b", false, pacedBy(100, false))
			w.burst(101, 60)
		}, kept + "60 offboard calls in any minute (limit 100) and 60 in any hour (limit 1,500)."},
		{"a call that did not leave", func(w *world) {
			w.began("b", false, pacedBy(100, false))
			w.burst(1, 2)
			w.append(checkpoint.Event{Kind: "drop", Outcome: []checkpoint.Outcome{{Attempt: w.intent(3, 1), Over: w.now, Outcome: "dropped", Unsent: true}}})
		}, kept + "2 offboard calls in any minute (limit 100) and 2 in any hour (limit 1,500)."},
		{"a call without an end, until the last sign of life and the grace", func(w *world) {
			w.began("b", false, pacedBy(100, false))
			w.intent(1, 1)
			w.wait(10 * time.Second)
			w.alive()
			w.start("run", "--yes")
			w.wait(2*time.Minute + 59*time.Second) // the grace is two minutes
			w.burst(2, 1)
		}, kept + "2 offboard calls in any minute (limit 100) and 2 in any hour (limit 1,500)."},
		{"and no longer", func(w *world) {
			w.began("b", false, pacedBy(100, false))
			w.intent(1, 1)
			w.wait(10 * time.Second)
			w.alive()
			w.start("run", "--yes")
			w.wait(3*time.Minute + time.Second)
			w.burst(2, 1)
		}, kept + "1 offboard call in any minute (limit 100) and 2 in any hour (limit 1,500)."},
		{"each kind of call has a quota, and what serves no batch counts too", func(w *world) {
			w.newBatch("", false)
			w.start("inventory", "changes nothing")
			w.other(batch.CallListActions, "", answer{outcome: "read", http: 200})
			w.began("b", false, pacedBy(100, false))
			w.burst(1, 70)
			w.other(batch.CallListActions, "", answer{outcome: "read", http: 200})
			for range 40 {
				w.other(batch.CallCancel, "", answer{outcome: "cancelled", http: 201})
			}
		}, kept + "70 offboard calls in any minute (limit 100) and 70 in any hour (limit 1,500); nor than 40 calls to cancel in any minute and 40 in any hour; " +
			"nor than 2 look-ups of actions in any minute and 2 in any hour."},
		{"a kind that went over its own", func(w *world) {
			w.began("b", false, pacedBy(100, false))
			w.burst(1, 1)
			for range 101 {
				w.other(batch.CallCancel, "", answer{outcome: "cancelled", http: 201})
			}
		}, broken + "101 calls to cancel in any minute (limit 100), by the clock of this machine."},
		{"one budget for all kinds", func(w *world) {
			w.began("b", false, pacedBy(100, true))
			w.burst(1, 70)
			for range 31 {
				w.other(batch.CallCancel, "", answer{outcome: "cancelled", http: 201})
			}
		}, broken + "101 calls of all kinds in any minute (limit 100), by the clock of this machine."},
		{"one budget in one run alone, which binds no other", func(w *world) {
			w.began("b", false, pacedBy(100, true))
			w.burst(1, 70)
			w.append(checkpoint.Event{Kind: "run", Start: &checkpoint.RunStart{What: "cancel", Settings: pacedBy(100, false)}})
			w.run = int64(auditOf(t, w).batch.Events)
			for range 31 {
				w.other(batch.CallCancel, "", answer{outcome: "cancelled", http: 201})
			}
		}, kept + "70 offboard calls in any minute (limit 100) and 70 in any hour (limit 1,500); nor than 31 calls to cancel in any minute and 31 in any hour."},
	} {
		w := newWorld(t)
		tt.fill(w)
		c := newChart(auditOf(t, w))
		if c.Verdict != tt.want || c.Kept != strings.HasPrefix(tt.want, kept) {
			t.Errorf("%s: %q, kept %v; want %q", tt.why, c.Verdict, c.Kept, tt.want)
		}
	}
}

// The chart draws what the runs kept to where that is less than the limit.
func TestOwnLimit(t *testing.T) {
	for _, tt := range []struct {
		why           string
		first, second int
		want          []int
	}{
		{"the limit itself", 100, 100, nil},
		{"less, and then less again", 20, 10, []int{20, 10}},
		{"less, and then the limit", 20, 100, []int{20, 100}},
	} {
		w := newWorld(t)
		w.began("b", false, pacedBy(tt.first, false))
		w.burst(1, 1)
		w.wait(time.Minute)
		w.plan(checkpoint.Plan{Options: pacedBy(tt.second, false)})
		w.start("run", "--yes")
		w.burst(2, 1)
		a := auditOf(t, w)
		var got []int
		for _, s := range a.schedule.drawn().levels[0].own {
			got = append(got, s.n)
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: the line stands at %v; want %v", tt.why, got, tt.want)
		}
		if c := newChart(a); c.Own != (tt.want != nil) {
			t.Errorf("%s: a line of its own is %v", tt.why, c.Own)
		}
	}
}
