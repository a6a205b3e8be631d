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
	"mde-offboard/batch/defender"
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
		if end, err := w.tryRun(ctx, devices(1)); err != nil || end.counts[checkpoint.Accepted] != 1 {
			t.Fatalf("the interrupted run left %v, %v; want the device accepted, as it was", end.counts, err)
		}
		w.opt.Again, w.req.Again = false, false
		w.judge(w.run(devices(1)), false)
	})
}

// TestNoTag matches a call without a tag, or leaves it alone.
func TestNoTag(t *testing.T) {
	for _, tt := range []struct {
		name    string
		faults  string
		pending time.Duration // actions succeed after it
		stop    time.Duration // the first run ends then; 0: when it is done
		ends    string        // as what another action, made meanwhile, has ended
		then    bool          // with tags in the second run
		status  checkpoint.Status
		reason  string
		why     string
	}{
		{name: "others are known", faults: "lost-after@2", status: checkpoint.Accepted, reason: "matched by device, time and requestor",
			why: "the first device's answer tells who we are"},
		{name: "others are known from before", faults: "lost-after@2", stop: time.Second, status: checkpoint.Accepted, reason: "matched by device, time and requestor",
			why: "an earlier run was told"},
		{name: "the next run has tags", faults: "lost-after@2", stop: time.Second, then: true, status: checkpoint.Accepted, reason: "matched by device, time and requestor",
			why: "the call in doubt has none, whatever later ones have"},
		{name: "it has succeeded by then", faults: "lost-after=2", pending: 30 * time.Second, stop: time.Second, then: true, status: checkpoint.Skipped,
			reason: "offboard action succeeded on", why: "it is done, whoever asked for it"},
		{name: "it has failed by then", faults: "lost-before=2", ends: simulator.Failed, stop: time.Second, status: checkpoint.InDoubt,
			reason: "may be this call's", why: "nobody knows as who we are known"},
		{name: "it has failed by then, and we are known", faults: "lost-before@2", ends: simulator.Failed, stop: time.Second, status: checkpoint.Accepted,
			reason: "", why: "an action of somebody else's is not ours: called again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults, Repeat: simulator.RepeatSecond, Pending: tt.pending, Running: tt.pending})
				w.opt.NoTag, w.opt.Workers = true, 1
				ids := devices(2)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.stop != 0 {
					time.AfterFunc(tt.stop, cancel)
				}
				end, err := w.tryRun(ctx, ids)
				if err != nil {
					t.Fatal(err)
				}
				if tt.ends != "" {
					w.sim.AddAction(simulator.Action{MachineID: ids[1], Status: tt.ends, Comment: "retired"})
				}
				if tt.stop != 0 {
					w.opt.NoTag = !tt.then
					end = w.run(ids)
				}
				b := w.judge(end, tt.ends != "")
				task := end.tasks[1]
				if task.Status != tt.status || !strings.Contains(task.Reason, tt.reason) {
					t.Errorf("run = %s (%s), %d calls (%v); want %s (…%s…): %s", task.Status, task.Reason, posts(b, task.Device), end.stop, tt.status, tt.reason, tt.why)
				}
			})
		})
	}
}

// TestOpenOffboardComesFirst: of two open actions the Offboard is the one that
// matters, whichever is younger.
func TestOpenOffboardComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		var id string
		w.atPost(1, func() {
			id = w.sim.AddAction(simulator.Action{MachineID: devices(1)[0], Created: time.Now().Add(-2 * time.Minute)})
			w.sim.AddAction(simulator.Action{MachineID: devices(1)[0], Type: "Isolate", Created: time.Now().Add(-time.Minute)})
		})
		task := w.run(devices(1)).tasks[0]
		if task.Status != checkpoint.AlreadyActive || task.Action.ID != id || task.Action.Type != "Offboard" {
			t.Errorf("run = %s with %+v (%s); want already-active with the Offboard %s", task.Status, task.Action, task.Reason, id)
		}
	})
}

// TestLimitCountsEveryCall: whatever a call was answered with, it counts.
func TestLimitCountsEveryCall(t *testing.T) {
	for _, tt := range []struct{ faults, why string }{
		{"proxy-403=2", "an outage"},
		{"503-retry-after=4", "more outages than calls"},
		{"429-seconds@2", "turned away"},
		{"401-cae@2", "challenged, with the same call again"},
		{"401@2", "a token that is refused"},
	} {
		t.Run(tt.faults, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults})
				w.opt.Limit = 3
				end := w.run(devices(10))
				n := w.judge(end, false).Calls[simulator.KindOffboard].Calls
				if n != 3 || end.stop == nil || end.stop.Why != "3 calls were made, as --limit says" {
					t.Errorf("%d calls, %v; want 3, and that as the reason: %s", n, end.stop, tt.why)
				}
			})
		})
	}
}

// TestHintOfAClosedBatch: a batch that was closed is not run again; cancel
// settles what it has in doubt.
func TestHintOfAClosedBatch(t *testing.T) {
	for _, tt := range []struct {
		closed string
		hint   string
	}{
		{"", "run that batch again"},
		{"cancelled by somebody", `cancel "list" settles it`},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Faults: "lost-before@1"})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			end, err := w.tryRun(ctx, devices(1))
			if err != nil || end.counts[checkpoint.InDoubt] != 1 {
				t.Fatalf("the first run left %v, %v; want the device in doubt", end.counts, err)
			}
			err = w.store().Update(func(tx *checkpoint.Tx) error {
				_, err := tx.Append(end.tasks[0].Batch, checkpoint.Event{Kind: "close", At: time.Now(), Closed: &tt.closed})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			stop := w.beside("other").run(devices(1)).stop
			if stop == nil || !strings.Contains(stop.Hint, tt.hint) {
				t.Errorf("closed as %q: the other batch stops with %+v; want the hint …%s…", tt.closed, stop, tt.hint)
			}
		})
	}
}

// TestOwnErrors: a checkpoint that cannot be written is no outage of Defender's.
func TestOwnErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		store := w.store()
		s, err := w.session(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(t.Context(), "list")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		r, err := o.Start(t.Context(), planOf(t, listOf(devices(1)), o.Batch, o.Tasks, w.req), "run", "test", w.opt, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		e := r.offboard(t.Context(), r.ready[0])
		if e.err == nil || e.v.next != ready {
			t.Errorf("offboard = %v, next %d; want an error that ends the run", e.err, e.v.next)
		}
		if stop := asStop(e.err); stop == nil || stop.Code != CodeError {
			t.Errorf("asStop(%v) = %+v; want code %d", e.err, stop, CodeError)
		}
		a := &attempt{c: r.caller, kind: CallListActions, intent: checkpoint.Intent{Run: r.run, Number: 1}}
		_, x, err := r.client.ListActions(t.Context(), defender.ActionQuery{}, a.gate)
		if again, err := r.again(t.Context(), CallOffboard, err, x); again || !isOurs(err) {
			t.Errorf("again = %t, %v; want no other try", again, err)
		}
		if err := (&attempt{c: r.caller, id: 1}).drop(); err == nil {
			t.Error("drop = nil; want the error of the checkpoint")
		}
	})
}

// TestNoListOfActions: Defender may answer 404 for a list that is empty. A tenant
// without actions can be started on, and the same answer to a look settles
// nothing.
func TestNoListOfActions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults string
		from   int // of the list calls, those that are answered with a 404
		to     int
		status checkpoint.Status
		posts  int
		code   int
		reads  bool // the permission to read is there
		why    string
	}{
		{"a new tenant", "", 1, 99, checkpoint.Accepted, 1, CodeDone, true, "nothing is in doubt"},
		{"a new tenant, no look-ups", "", 1, 99, checkpoint.Accepted, 1, CodeDone, false, "only the date is asked for"},
		{"once", "", 1, 1, checkpoint.Accepted, 1, CodeDone, true, "wrong at times"},
		{"while one is in doubt", "lost-after@1", 1, 15, checkpoint.Accepted, 1, CodeDone, true, "found when there is a list, after the deadline"},
		{"for good", "lost-after@1", 1, 999, checkpoint.InDoubt, 1, CodeStopped, true, "never taken for absence, and not looked for for ever"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults, Repeat: simulator.RepeatSecond})
				w.opt.NoReads = !tt.reads
				lists := 0
				w.wire.answered = func(r *http.Request, res *http.Response) {
					if !isList(r) {
						return
					}
					if lists++; lists < tt.from || lists > tt.to {
						return
					}
					res.StatusCode = http.StatusNotFound
					rewrite(res, func([]byte) []byte { return []byte(`{"error":{"code":"ResourceNotFound","message":"no actions"}}`) })
				}
				end := w.run(devices(1))
				task := end.tasks[0]
				if n := posts(w.judge(end, false), task.Device); task.Status != tt.status || n != tt.posts || end.code != tt.code {
					t.Errorf("run = %s (%s), %d calls, code %d (%v); want %s, %d, %d: %s", task.Status, task.Reason, n, end.code, end.stop, tt.status, tt.posts, tt.code, tt.why)
				}
				if tt.status != checkpoint.InDoubt {
					return
				}
				time.Sleep(time.Hour)
				if w.opt.MaxOutage = time.Minute; w.run(devices(1)).tasks[0].Status != checkpoint.InDoubt || posts(w.sim.Books(), task.Device) != 1 {
					t.Errorf("the next run called it again, %d calls; want it in doubt: %s", posts(w.sim.Books(), task.Device), tt.why)
				}
			})
		})
	}
}
