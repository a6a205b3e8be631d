package batch

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// rewrite changes the body of an answer.
func rewrite(res *http.Response, change func([]byte) []byte) {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return // an answer that is cut short stays so
	}
	body = change(body)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Del("Content-Length")
}

// isList says whether a request lists actions.
func isList(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/machineactions") }

var anyMachine = regexp.MustCompile(`"machineId":"[0-9a-f]*"`)

// TestListWithoutDevices: a list may leave out the devices of its actions; the
// tag is enough.
func TestListWithoutDevices(t *testing.T) {
	for _, tt := range []struct{ name, faults, why string }{
		{"in doubt", "lost-after@1", "the call had its effect"},
		{"crashed", "", "the first look of the next run is by tag, too"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults, Repeat: simulator.RepeatSecond})
				w.wire.answered = func(r *http.Request, res *http.Response) {
					if isList(r) {
						rewrite(res, func(b []byte) []byte { return anyMachine.ReplaceAll(b, []byte(`"machineId":null`)) })
					}
				}
				if tt.faults == "" {
					w.crash(devices(1), 1)
				}
				end := w.run(devices(1))
				w.judge(end, false)
				if task := end.tasks[0]; task.Status != checkpoint.Accepted || posts(w.sim.Books(), task.Device) != 1 {
					t.Errorf("run = %s (%s), %d calls; want accepted by one: %s", task.Status, task.Reason, posts(w.sim.Books(), task.Device), tt.why)
				}
			})
		})
	}
}

// TestAnotherDeviceStaysInDoubt: a call that made an action of another device is
// not made again, however long its own device has none.
func TestAnotherDeviceStaysInDoubt(t *testing.T) {
	for _, tt := range []struct{ name, inLists, why string }{
		{"lists say so too", `"machineId":"` + device("wrong") + `"`, "found by its tag, and not the device's"},
		{"lists leave it out", `"machineId":null`, "nothing takes the answer back"},
		{"lists have nothing", "", "absence does not either"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond})
				w.wire.answered = func(r *http.Request, res *http.Response) {
					rewrite(res, func(b []byte) []byte {
						switch {
						case isOffboard(r):
							return bytes.ReplaceAll(b, []byte(device("device 0")), []byte(device("wrong")))
						case isList(r) && tt.inLists == "":
							return []byte(`{"value":[]}`)
						case isList(r):
							return anyMachine.ReplaceAll(b, []byte(tt.inLists))
						}
						return b
					})
				}
				if end := w.run(devices(1)); end.code != CodeGuard {
					t.Errorf("run = code %d (%v); want %d", end.code, end.stop, CodeGuard)
				}
				for range 2 {
					time.Sleep(time.Hour)
					end := w.run(devices(1))
					task := end.tasks[0]
					if task.Status != checkpoint.InDoubt || end.code != CodeIncomplete || !strings.HasPrefix(task.Reason, reasonAnother) || posts(w.sim.Books(), task.Device) != 1 {
						t.Errorf("the next run = %s (%s), code %d (%v), %d calls; want it in doubt with the reason, and no call: %s",
							task.Status, task.Reason, end.code, end.stop, posts(w.sim.Books(), task.Device), tt.why)
					}
				}
			})
		})
	}
}

// TestDateOfAProxy: the clock of a portal that stands in the way says nothing
// about Defender's, and moves no look past our own action.
func TestDateOfAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond,
			Faults: "lost-after@1," + many("proxy-403@%d", 2, 12) + "," + many("actions/proxy-403@%d", 2, 12)})
		w.opt.Workers = 1
		w.wire.answered = func(r *http.Request, res *http.Response) {
			if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
				res.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			}
		}
		end := w.run(devices(2))
		b := w.judge(end, false)
		if n := posts(b, devices(2)[0]); n != 1 || end.tasks[0].Reason != "found by its tag" {
			t.Errorf("run = %s (%s), %d calls; want it found by its tag", end.tasks[0].Status, end.tasks[0].Reason, n)
		}
		if n := b.Faults["proxy-403"]; n < 15 {
			t.Errorf("the portal answered %d calls; want it in the way of both kinds", n)
		}
	})
}

// TestAgainWhileUnseen: --again right after a run finds actions that no list
// shows yet, and makes no second ones.
func TestAgainWhileUnseen(t *testing.T) {
	for _, tt := range []struct {
		name string
		by   func(w *world) *world
		why  string
	}{
		{"in the same batch", func(w *world) *world { return w }, "the action's id is known"},
		{"in another batch", func(w *world) *world { return w.beside("other") }, "the other batch knows it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond, Lag: 2 * time.Minute, Pending: time.Hour})
				ids := devices(3)
				w.run(ids)
				again := tt.by(w)
				again.opt.Again, again.req.Again = true, true
				end := again.run(ids)
				b := w.judge(end, false)
				if n := b.Calls[simulator.KindOffboard].Calls; n != 3 || end.counts[checkpoint.Pending] != 0 {
					t.Errorf("%d calls, %v (%v); want no call beside the first three: %s", n, end.counts, end.stop, tt.why)
				}
				time.Sleep(2 * time.Hour)
				end = again.run(ids)
				if n := w.sim.Books().Calls[simulator.KindOffboard].Calls; n != 6 || end.counts[checkpoint.Accepted] != 3 {
					t.Errorf("when they are over: %d calls, %v (%v); want all called again", n, end.counts, end.stop)
				}
			})
		})
	}
}

// TestAgainInterrupted: what is known of an action outlives a run that could not
// read it.
func TestAgainInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond, Lag: 2 * time.Minute})
		w.run(devices(1))
		w.opt.Again, w.req.Again = true, true
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if end, err := w.tryRun(ctx, devices(1)); err != nil || end.counts[checkpoint.Pending] != 1 {
			t.Fatalf("the interrupted run left %v, %v; want the device pending", end.counts, err)
		}
		w.opt.Again, w.req.Again = false, false
		w.judge(w.run(devices(1)), false)
	})
}
