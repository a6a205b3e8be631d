package batch

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// rerun runs a list that was rewritten, as a process of its own, for at most so
// long; 0: to its end.
func (w *world) rerun(text string, most time.Duration) runEnd {
	w.t.Helper()
	ctx := w.t.Context()
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	store, err := checkpoint.Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	end, err := w.runText(ctx, store, text)
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

// of are the tasks of a device.
func (end *runEnd) of(device string) (all []checkpoint.Task) {
	for _, t := range end.tasks {
		if t.Device == device {
			all = append(all, t)
		}
	}
	return all
}

// TestBadLineOfASentDevice has a line of a device that was sent go bad, alone and
// with a good line beside it: the device keeps its result, and has one action. The
// tenant would make a second one for a second call.
func TestBadLineOfASentDevice(t *testing.T) {
	for _, tc := range []struct {
		reason, faults string
		rows           string // each is the comment of a line of the device
	}{
		{"it was accepted; its line lost the comment", "", ""},
		{"it was accepted; a good line follows the bad one", "", ",again"},
		{"it was accepted; a good line stands before the bad one", "", "again,"},
		{"it is in doubt and has an action; its line lost the comment", "lost-after=1", ""},
		{"it is in doubt and has an action; a good line follows the bad one", "lost-after=1", ",again"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Faults: tc.faults, Lag: 2 * time.Minute, Repeat: simulator.RepeatSecond})
			w.req.SkipInvalid, w.opt.Workers = true, 1
			all := devices(2)
			w.rerun(listOf(all), 10*time.Second)
			text := "MachineId,Comment\n" + all[1] + ",retired\n"
			for _, comment := range strings.Split(tc.rows, ",") {
				text += all[0] + "," + comment + "\n"
			}
			end := w.rerun(text, 0)
			sent := slices.DeleteFunc(end.of(all[0]), func(t checkpoint.Task) bool { return t.Attempt == 0 })
			if len(sent) != 1 || sent[0].Status != checkpoint.Accepted || sent[0].Comment != "retired" {
				t.Errorf("%s: %+v; want one task with a call, accepted", tc.reason, sent)
			}
			if b := w.sim.Books(); len(b.Doubled) > 0 || posts(b, all[0]) != 1 {
				t.Errorf("%s: %d calls, two actions: %v; want one call", tc.reason, posts(b, all[0]), b.Doubled)
			}
		})
	}
}

// TestOutOfTheListInDoubt takes a device that is in doubt out of the list, or
// makes its line a bad one: it is looked up and not called again. When it comes
// back, it is.
func TestOutOfTheListInDoubt(t *testing.T) {
	for _, tc := range []struct{ reason, row, why string }{
		{"taken out", "", withdrawn},
		{"its line is bad", device("device 0") + ",\n", "invalid: " + noComment},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Faults: "lost-before=1"})
			w.req.SkipInvalid = true
			all := devices(2)
			if end := w.rerun(listOf(all[:1]), 10*time.Second); end.counts[checkpoint.InDoubt] != 1 {
				t.Fatalf("%s: first run: %v; want the device in doubt", tc.reason, end.counts)
			}
			time.Sleep(time.Hour)
			end := w.rerun("MachineId,Comment\n"+tc.row+all[1]+",retired\n", 0)
			got := end.of(all[0])
			if len(got) != 1 || got[0].Status != checkpoint.Skipped || got[0].Reason != tc.why || posts(w.sim.Books(), all[0]) != 1 {
				t.Errorf("%s: %+v after %d calls; want it skipped (%s) after one", tc.reason, got, posts(w.sim.Books(), all[0]), tc.why)
			}
			end = w.rerun(listOf(all), 0)
			if end.counts[checkpoint.Accepted] != 2 || end.code != CodeDone {
				t.Errorf("%s, and back: %v, code %d; want both accepted", tc.reason, end.counts, end.code)
			}
			w.judge(end, false)
		})
	}
}

// TestHeldBackAfterACall holds a device back, or takes it out of the list, that
// had a call without any effect: once nothing holds it, it is sent.
func TestHeldBackAfterACall(t *testing.T) {
	all := devices(2)
	for _, tc := range []struct {
		reason string
		list   []string
		req    func(*Request)
	}{
		{"taken out of the list", all[1:], func(*Request) {}},
		{"protected for a while", all, func(r *Request) { r.Protect = protecting(t, all[0]) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1})
			w.wire.leaving = func(r *http.Request) error {
				if isOffboard(r) {
					return gone
				}
				return nil
			}
			w.rerun(listOf(all), 10*time.Second)
			w.wire.leaving = nil
			was := w.req
			tc.req(&w.req)
			if end := w.rerun(listOf(tc.list), 0); end.counts[checkpoint.Skipped] != 1 {
				t.Errorf("%s: %v; want one skipped", tc.reason, end.counts)
			}
			w.req = was
			end := w.rerun(listOf(all), 0)
			if end.counts[checkpoint.Accepted] != 2 || end.code != CodeDone {
				t.Errorf("%s, and back: %v, code %d; want both accepted", tc.reason, end.counts, end.code)
			}
			w.judge(end, false)
		})
	}
}

// protecting protects what a text names.
func protecting(t *testing.T, text string) *Protection {
	t.Helper()
	p, err := ReadProtection([]string{protectFile(t, text)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestColumnsOfWhatLeft changes a list's columns: rows that have left it keep
// their cells under the names under which they stood.
func TestColumnsOfWhatLeft(t *testing.T) {
	ids := devices(2)
	before := "MachineId,Comment,Owner,Site\n" + ids[0] + ",x,bob,Berlin\n" + ids[1] + ",x,eve,Madrid\n"
	was := planOf(t, before, checkpoint.Batch{}, nil, Request{})
	have := put(nil, was)
	for _, tc := range []struct {
		reason, columns string
		want            []string
	}{
		{"one is gone", "Site", []string{"Berlin"}},
		{"another order", "Site,Owner", []string{"Berlin", "bob"}},
		{"one is new", "Owner,Room,Site", []string{"bob", "", "Berlin"}},
		{"all are gone", "Room", nil},
		{"two of that name", "Site,Site", []string{"Berlin", ""}},
		{"the same", "Owner,Site", []string{"bob", "Berlin"}},
	} {
		text := "MachineId,Comment," + tc.columns + "\n" + ids[1] + ",x" + strings.Repeat(",y", 1+strings.Count(tc.columns, ",")) + "\n"
		p := planOf(t, text, checkpoint.Batch{ID: 1, Columns: was.Columns}, have, Request{})
		now := put(have, p)
		if got := now[0].Extra; !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q under %q; want %q", tc.reason, got, p.Columns, tc.want)
		}
		if again := planOf(t, text, checkpoint.Batch{ID: 1, Columns: p.Columns}, now, Request{}); again.Changed() {
			t.Errorf("%s: planned again, it changes something", tc.reason)
		}
	}
}
