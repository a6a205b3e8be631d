package batch

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestAlreadyActive: somebody else's action is open, or was a moment ago.
func TestAlreadyActive(t *testing.T) {
	const requestor = "bob@example.com"
	for _, tt := range []struct {
		name   string
		sim    simulator.Options
		typ    string
		mute   bool   // the action has no comment
		ends   string // the action's final status, reached right after the call
		change func(*Options)
		reason string
		id     bool // the action's id is known
		why    string
	}{
		{name: "refused", sim: simulator.Options{Repeat: simulator.RepeatRefuse}, typ: "Offboard", id: true,
			reason: "an action is open already, asked for by " + requestor + " at 1999-", why: "400 ActiveRequestAlreadyExists, looked up"},
		{name: "existing", sim: simulator.Options{Repeat: simulator.RepeatExisting}, typ: "Offboard", id: true,
			reason: "an action is open already, asked for by " + requestor + " at 1999-", why: "a 2xx whose action does not carry the tag"},
		{name: "another type, refused", sim: simulator.Options{Repeat: simulator.RepeatRefuse}, typ: "Isolate", id: true,
			reason: "an action of type Isolate is open already, asked for by " + requestor, why: "the open action need not be an Offboard"},
		{name: "another type, existing", sim: simulator.Options{Repeat: simulator.RepeatExisting}, typ: "RunAntiVirusScan", id: true,
			reason: "an action of type RunAntiVirusScan is open already", why: "the same in a 2xx"},
		{name: "final before it was seen", sim: simulator.Options{Repeat: simulator.RepeatRefuse}, typ: "Isolate", ends: simulator.Succeeded, id: true,
			reason: "an action of type Isolate is open already", why: "the youngest one is told"},
		{name: "no echo", sim: simulator.Options{Repeat: simulator.RepeatExisting, Echo: simulator.EchoNever}, typ: "Offboard", id: true,
			reason: "asked for by " + requestor, why: "the answer may leave the device out"},
		{name: "no comment", sim: simulator.Options{Repeat: simulator.RepeatExisting}, typ: "Offboard", mute: true, id: true,
			reason: "asked for by " + requestor, why: "an action that is older than the call is not the call's"},
		{name: "no comment, another type", sim: simulator.Options{Repeat: simulator.RepeatExisting}, typ: "Isolate", mute: true, id: true,
			reason: "an action of type Isolate is open already", why: "an offboard call makes no such action"},
		{name: "no permission to read", sim: simulator.Options{Repeat: simulator.RepeatRefuse, Roles: []string{"Machine.Offboard"}}, typ: "Offboard",
			change: func(o *Options) { o.NoReads = true }, reason: "Machine.Read.All", why: "it cannot be looked up, and the result says what would help"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.sim)
				if tt.change != nil {
					tt.change(&w.opt)
				}
				id := ""
				w.atPost(1, func() { // after the first look
					a := simulator.Action{Type: tt.typ, MachineID: devices(1)[0], Requestor: requestor, Comment: "ticket 4711", Created: time.Now().Add(-time.Hour)}
					if tt.mute {
						a.Comment = ""
					}
					id = w.sim.AddAction(a)
				})
				looks := w.wire.leaving
				w.wire.leaving = func(r *http.Request) error {
					if tt.ends != "" && id != "" && !isOffboard(r) {
						if err := w.sim.Finish(id, tt.ends); err != nil {
							t.Error(err)
						}
					}
					return looks(r)
				}
				end := w.run(devices(1))
				b := w.judge(end, false)
				task := end.tasks[0]
				if task.Status != checkpoint.AlreadyActive || !strings.Contains(task.Reason, tt.reason) || end.code != CodeDone {
					t.Errorf("run = %s (%s), code %d (%v); want already-active (…%s…), 0: %s", task.Status, task.Reason, end.code, end.stop, tt.reason, tt.why)
				}
				if tt.id && (task.Action.ID != id || task.Action.Requestor != requestor || task.Action.Created == "") {
					t.Errorf("action = %+v; want id %s and who asked for it and when: %s", task.Action, id, tt.why)
				}
				if n := posts(b, task.Device); n != 1 {
					t.Errorf("%d calls; want 1: %s", n, tt.why)
				}
			})
		})
	}
}

// TestManyAlreadyActive: each device is asked for by itself, some in a look, and
// none is given up before its turn.
func TestManyAlreadyActive(t *testing.T) {
	slow(t)
	synctest.Test(t, func(t *testing.T) {
		const n = 250
		w := newWorld(t, simulator.Options{Repeat: simulator.RepeatRefuse})
		w.opt.SettleWait = 0 // over before all have had their turn
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprintf("dead0410%032x", i)) // an Isolate action is open
		}
		end := w.run(ids)
		w.judge(end, false)
		if end.code != CodeDone || end.counts[checkpoint.AlreadyActive] != n {
			t.Fatalf("code %d, counts %v, stop %v; want 0 and all already-active", end.code, end.counts, end.stop)
		}
		for _, task := range end.tasks {
			if task.Action.Type != "Isolate" {
				t.Fatalf("device %s: %s, action %+v; want its Isolate action", task.Device, task.Reason, task.Action)
			}
		}
	})
}

// TestLookFirst: what the tenant has before the first call.
func TestLookFirst(t *testing.T) {
	day := 24 * time.Hour
	for _, tt := range []struct {
		name   string
		action simulator.Action
		again  bool
		status checkpoint.Status
		reason string
		posts  int
		why    string
	}{
		{"open", simulator.Action{Requestor: "bob@example.com"}, false, checkpoint.AlreadyActive, "asked for by bob@example.com at 1999-12-22", 0, "no call is needed"},
		{"open, again", simulator.Action{}, true, checkpoint.AlreadyActive, "is open already", 0, "--again is no second action beside an open one"},
		{"succeeded", simulator.Action{Status: simulator.Succeeded}, false, checkpoint.Skipped, "offboard action succeeded on 1999-12-22", 0, "it is done, and when"},
		{"succeeded, again", simulator.Action{Status: simulator.Succeeded}, true, checkpoint.Accepted, "", 1, "somebody wants it done all the same"},
		{"failed", simulator.Action{Status: simulator.Failed}, false, checkpoint.Accepted, "", 1, "a failed one does not count"},
		{"cancelled", simulator.Action{Status: simulator.Cancelled}, false, checkpoint.Accepted, "", 1, "nor one that was taken back"},
		{"another type", simulator.Action{Type: "RunAntiVirusScan", Status: simulator.Succeeded}, false, checkpoint.Accepted, "", 1, "a scan is no offboarding"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{})
				w.opt.Again, w.req.Again = tt.again, tt.again
				tt.action.MachineID, tt.action.Created = devices(1)[0], time.Now().Add(-10*day)
				w.sim.AddAction(tt.action)
				end := w.run(devices(1))
				b := w.judge(end, false)
				task := end.tasks[0]
				if task.Status != tt.status || !strings.Contains(task.Reason, tt.reason) || posts(b, task.Device) != tt.posts {
					t.Errorf("run = %s (%s), %d calls; want %s (…%s…), %d: %s",
						task.Status, task.Reason, posts(b, task.Device), tt.status, tt.reason, tt.posts, tt.why)
				}
			})
		})
	}
}

// TestLookFirstFullPage: the last page of actions is full, so that the one behind it
// is empty, which may be told as 404. What was read before stays.
func TestLookFirstFullPage(t *testing.T) {
	slow(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond})
		ids := devices(3)
		for i := range pageSize {
			w.sim.AddAction(simulator.Action{MachineID: device(fmt.Sprint("device ", i)), Status: simulator.Succeeded, Created: time.Now().Add(-time.Hour)})
		}
		missing := 0
		w.wire.answered = func(r *http.Request, res *http.Response) {
			if isList(r) && strings.Contains(r.URL.RawQuery, "skip=10000") {
				missing++
				res.StatusCode = http.StatusNotFound
				rewrite(res, func([]byte) []byte { return []byte(`{"error":{"code":"ResourceNotFound","message":"no actions"}}`) })
			}
		}
		end := w.run(ids)
		if missing != 2 || end.counts[checkpoint.Skipped] != len(ids) {
			t.Errorf("run: %v, %v, the empty page was asked for %d times; want all skipped, whose actions succeeded, and that twice", end.counts, end.stop, missing)
		}
	})
}

// TestLostCheckpoint deletes the checkpoint in the middle of a run.
func TestLostCheckpoint(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		name   string
		sim    simulator.Options
		killed bool // with calls on their way, not stopped
		why    string
	}{
		{"a second action would be made", simulator.Options{Repeat: simulator.RepeatSecond}, false, "the look comes before the first call"},
		{"unseen, refused", simulator.Options{Repeat: simulator.RepeatRefuse, Lag: 110 * time.Second}, false, "the server refuses what the look does not show"},
		{"unseen, existing", simulator.Options{Repeat: simulator.RepeatExisting, Lag: 110 * time.Second}, false, "the action that comes back is an earlier one"},
		{"killed", simulator.Options{Repeat: simulator.RepeatRefuse, Lag: 110 * time.Second, LatencyMin: time.Second, LatencyMax: 3 * time.Second}, true, "calls were on their way"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n, before = 20, 8
				w := newWorld(t, tt.sim)
				ids := devices(n)
				if tt.killed {
					w.crash(ids, before)
				} else {
					w.opt.Limit = before
					w.run(ids)
				}
				w.path, w.opt.Limit = w.path+"-anew", 0
				end := w.run(ids)
				b := w.judge(end, false)
				if end.code != CodeDone || end.counts[checkpoint.Accepted]+end.counts[checkpoint.AlreadyActive] != n {
					t.Errorf("code %d, counts %v, stop %v; want 0 and all accepted or already active: %s", end.code, end.counts, end.stop, tt.why)
				}
				for _, task := range end.tasks {
					if d := b.Devices[task.Device]; d == nil || len(d.Actions) != 1 || d.Actions[0] != task.Action.ID {
						t.Errorf("device %s has the actions %+v, the result %q; want one, and the same: %s", task.Device, d, task.Action.ID, tt.why)
					}
				}
			})
		})
	}
}

// TestOldCheckpoint puts back a copy of the checkpoint that was made in the middle of a
// batch: what was called since is found, also what came to its end.
func TestOldCheckpoint(t *testing.T) {
	slow(t)
	for _, over := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const n, before = 20, 8
			w := newWorld(t, simulator.Options{Repeat: simulator.RepeatSecond, Pending: 100 * time.Hour})
			ids, old := devices(n), w.path+"-old"
			w.opt.Limit = before
			w.run(ids)
			if err := copyCheckpoint(w.path, old); err != nil {
				t.Fatal(err)
			}
			w.opt.Limit = 0
			since, later := w.run(ids), checkpoint.AlreadyActive
			for _, task := range since.tasks {
				if !over {
					continue
				}
				if later = checkpoint.Skipped; w.sim.Finish(task.Action.ID, simulator.Succeeded) != nil {
					t.Fatal("no such action")
				}
			}
			w.path, w.clock = old, &Clock{}
			end := w.run(ids)
			if b := w.judge(end, false); b.Calls[simulator.KindOffboard].Calls != n || end.counts[checkpoint.Accepted] != before || end.counts[later] != n-before {
				t.Errorf("over: %v: %d calls, %v (%v); want %d, and the rest %s", over, b.Calls[simulator.KindOffboard].Calls, end.counts, end.stop, n, later)
			}
		})
	}
}

// TestAgain offboards once more what succeeded in an earlier run of the batch.
func TestAgain(t *testing.T) {
	for _, tt := range []struct{ name, faults, why string }{
		{"answered", "", "the first round's action does not stand for the second"},
		{"in doubt", "lost-after@2", "the action that is found is the second round's, not the first's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults, Lag: 110 * time.Second})
				first := w.run(devices(1)).tasks[0].Action.ID
				time.Sleep(time.Hour)
				if err := w.sim.Finish(first, simulator.Succeeded); err != nil {
					t.Fatal(err)
				}
				w.opt.Again, w.req.Again = true, true
				end := w.run(devices(1))
				d := w.sim.Books().Devices[devices(1)[0]]
				task := end.tasks[0]
				if len(d.Actions) != 2 || d.Beside != 0 || task.Status != checkpoint.Accepted || task.Action.ID != d.Actions[1] {
					t.Errorf("run = %s with %s, the simulator has %+v; want accepted with the second of two: %s", task.Status, task.Action.ID, d, tt.why)
				}
			})
		})
	}
}
