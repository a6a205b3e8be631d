package batch

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

func TestSettle(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		name   string
		sim    simulator.Options
		change func(*Options)
		status checkpoint.Status
		reason string // part of it
		posts  int
		spent  int
		code   int
		least  time.Duration // between the first call and the second
		why    string
	}{
		{name: "found at once", sim: simulator.Options{Faults: "lost-after@1"},
			status: checkpoint.Accepted, reason: "found by its tag", posts: 1, spent: 1, why: "the tag comes back as the action's comment"},
		{name: "found when it can be seen", sim: simulator.Options{Faults: "500-after@1", Lag: 110 * time.Second},
			status: checkpoint.Accepted, reason: "found by its tag", posts: 1, spent: 1, why: "absence within the settle wait says nothing"},
		{name: "late and unseen", sim: simulator.Options{Faults: "effect-late@1", Lag: 110 * time.Second},
			status: checkpoint.Accepted, reason: "found by its tag", posts: 1, spent: 1, why: "59 s until the effect and 110 s until it shows"},
		{name: "absent", sim: simulator.Options{Faults: "lost-before@1"},
			status: checkpoint.Accepted, posts: 2, spent: 2, least: 6 * time.Minute, why: "a time-out's grace and the settle wait, then a new attempt"},
		{name: "absent after a time-out", sim: simulator.Options{Faults: "hang-before@1"},
			status: checkpoint.Accepted, posts: 2, spent: 2, least: 7 * time.Minute, why: "the time-out, its grace and the settle wait"},
		{name: "absent for longer than the settle wait", sim: simulator.Options{Faults: "lost-after@1", Lag: 10 * time.Minute, Repeat: simulator.RepeatRefuse},
			status: checkpoint.Accepted, reason: "found by its tag", posts: 2, spent: 2, least: 6 * time.Minute,
			why: "the new attempt is refused, looked up, and found to be the first one's"},
		{name: "absent, and the second answer brings it", sim: simulator.Options{Faults: "lost-after@1", Lag: 10 * time.Minute, Repeat: simulator.RepeatExisting},
			status: checkpoint.Accepted, posts: 2, spent: 2, least: 6 * time.Minute, why: "the existing action carries the first attempt's tag"},
		{name: "attempts used up", sim: simulator.Options{Faults: "lost-before"}, change: func(o *Options) { o.MaxAttempts = 2 },
			status: checkpoint.Failed, reason: "2 attempts without an answer", posts: 2, spent: 2, code: CodeIncomplete, least: 6 * time.Minute,
			why: "nothing happened, twice"},
		{name: "never an answer, and the last one had its effect", sim: simulator.Options{Faults: "lost-before@1,lost-after@2"}, change: func(o *Options) { o.MaxAttempts = 2 },
			status: checkpoint.Accepted, reason: "found by its tag", posts: 2, spent: 2, least: 6 * time.Minute, why: "what is found is not failed"},
		{name: "no permission to read", sim: simulator.Options{Faults: "lost-after@1", Roles: []string{"Machine.Offboard"}}, change: func(o *Options) { o.NoReads = true },
			status: checkpoint.InDoubt, reason: "Machine.Read.All", posts: 1, spent: 1, code: CodeIncomplete, why: "what cannot be looked up is not called again"},
		{name: "no permission to read, and no attempt left", sim: simulator.Options{Faults: "lost-after@1", Roles: []string{"Machine.Offboard"}},
			change: func(o *Options) { o.NoReads, o.MaxAttempts = true, 1 },
			status: checkpoint.InDoubt, reason: "Machine.Read.All", posts: 1, spent: 1, code: CodeIncomplete, why: "nobody knows that it failed"},
		{name: "reads fail for a while", sim: simulator.Options{Faults: "lost-after@1,actions/503-retry-after@2,actions/lost-before@3,actions/proxy-403@4,actions/429-none@5"},
			status: checkpoint.Accepted, reason: "found by its tag", posts: 1, spent: 1, why: "a look that fails is made again"},
		{name: "reads fail past the deadline", sim: simulator.Options{Faults: "lost-after@1," + many("actions/lost-before@%d", 2, 40), Repeat: simulator.RepeatSecond},
			change: func(o *Options) { o.MaxOutage = 2 * time.Hour },
			status: checkpoint.Accepted, reason: "found by its tag", posts: 1, spent: 1, why: "only a look that was made counts as absence"},
		{name: "no tag", sim: simulator.Options{Faults: "lost-after@1"}, change: func(o *Options) { o.NoTag = true },
			status: checkpoint.AlreadyActive, reason: "an action is open already", posts: 1, spent: 1, why: "as who our actions are known is not known yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.sim)
				if tt.change != nil {
					tt.change(&w.opt)
				}
				end := w.run(devices(1))
				b := w.judge(end, false)
				task := end.tasks[0]
				if task.Status != tt.status || !strings.Contains(task.Reason, tt.reason) || task.Attempts != tt.spent || end.code != tt.code {
					t.Errorf("run = %s (%s), %d attempts, code %d (%v); want %s (…%s…), %d, %d: %s",
						task.Status, task.Reason, task.Attempts, end.code, end.stop, tt.status, tt.reason, tt.spent, tt.code, tt.why)
				}
				if n := posts(b, task.Device); n != tt.posts {
					t.Errorf("%d calls; want %d: %s", n, tt.posts, tt.why)
				}
				if at := b.Arrivals(simulator.KindOffboard); len(at) == 2 && at[1].Sub(at[0]) < tt.least {
					t.Errorf("the second call came %v after the first; want at least %v: %s", at[1].Sub(at[0]), tt.least, tt.why)
				}
				w.again(end)
			})
		})
	}
}

// again runs the same list once more: what is over stays as it is, and what is
// in doubt without a permission to read is not called again.
func (w *world) again(before runEnd) {
	w.t.Helper()
	calls := w.sim.Books().Calls[simulator.KindOffboard].Calls
	end := w.run(deviceIDs(before.tasks))
	w.judge(end, false)
	if n := w.sim.Books().Calls[simulator.KindOffboard].Calls; n != calls {
		w.t.Errorf("the same command again made %d calls; want none", n-calls)
	}
	for i, task := range end.tasks {
		if task.Status != before.tasks[i].Status {
			w.t.Errorf("%s: %s after the same command again; want %s as before", task.Device, task.Status, before.tasks[i].Status)
		}
	}
}

func deviceIDs(tasks []checkpoint.Task) (ids []string) {
	for _, t := range tasks {
		ids = append(ids, t.Device)
	}
	return ids
}

func many(format string, from, to int) string {
	var items []string
	for i := from; i <= to; i++ {
		items = append(items, fmt.Sprintf(format, i))
	}
	return strings.Join(items, ",")
}

// TestOthersGoOn: while one device is looked up, the others are called.
func TestOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Faults: "lost-before@1"})
		w.opt.Workers = 1
		start := time.Now()
		end := w.run(devices(40))
		b := w.judge(end, false)
		at := b.Arrivals(simulator.KindOffboard)
		if end.code != CodeDone || len(at) != 41 {
			t.Fatalf("code %d, %d calls; want 0 and 41", end.code, len(at))
		}
		if last := at[39].Sub(start); last > time.Minute {
			t.Errorf("the last of the others was called after %v; want them not to wait for the one in doubt", last)
		}
	})
}

// TestOneLookForAll: what is in doubt is looked up in one list call, however
// much it is.
func TestOneLookForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Faults: "500-after=60%", Seed: 3})
		end := w.run(devices(60))
		b := w.judge(end, false)
		if end.code != CodeDone || end.counts[checkpoint.Accepted] != 60 {
			t.Errorf("code %d, counts %v, stop %v; want 0 and all accepted", end.code, end.counts, end.stop)
		}
		doubtful := b.Faults["500-after"]
		if looks := b.Calls[simulator.KindActions].Calls; doubtful < 20 || looks > doubtful/2 {
			t.Errorf("%d list calls for %d devices in doubt; want far fewer", looks, doubtful)
		}
	})
}

// TestCrash kills the runner at a call and starts it again: every device has one
// action, and all are known by the tags of their intents.
func TestCrash(t *testing.T) {
	for _, tt := range []struct {
		faults string
		at     int64
		posts  int // of all devices
		why    string
	}{
		{"", 1, 10, "the first call has left, the intent is all that is known"},
		{"", 7, 10, "in the middle"},
		{"", 10, 10, "the last one"},
		{"effect-late@4", 4, 10, "the effect comes 59 s after the crash"},
		{"lost-before@4", 4, 11, "the call is lost with the runner: called again, when it cannot take effect any more"},
		{"lost-after=3", 6, 10, "some were in doubt before"},
	} {
		t.Run(fmt.Sprint(tt.faults, " at ", tt.at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Faults: tt.faults, Lag: 110 * time.Second, Repeat: simulator.RepeatSecond})
				w.opt.Workers = 3
				ids := devices(10)
				w.crash(ids, tt.at)
				end := w.run(ids)
				b := w.judge(end, false)
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != 10 {
					t.Errorf("code %d, counts %v, stop %v; want 0 and all accepted: %s", end.code, end.counts, end.stop, tt.why)
				}
				if n := b.Calls[simulator.KindOffboard].Calls; n != tt.posts {
					t.Errorf("%d calls; want %d: %s", n, tt.posts, tt.why)
				}
			})
		})
	}
}

// TestEndedButForAWrite: a call that was given up, of a run that could not write
// that but its own end, is in doubt for as long as that of a run that died.
func TestEndedButForAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		w.opt.Timeout = 10 * time.Minute
		store := w.store()
		r, _, done, err := w.begin(t.Context(), store, listOf(devices(1)))
		if err != nil {
			t.Fatal(err)
		}
		a := &attempt{c: r.caller, kind: CallOffboard, intent: checkpoint.Intent{Run: r.run, N: 1, Device: devices(1)[0], Number: 1}}
		if err := a.gate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(w.opt.Timeout)
		ended := time.Now()
		if _, err := r.Finish(&Stop{Why: "nothing more can be written", Code: CodeError}); err != nil {
			t.Fatal(err)
		}
		done()
		time.Sleep(time.Minute)
		s, err := w.session(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(t.Context(), w.req.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if task, want := o.Tasks[0], ended.Add(w.opt.Grace()); task.Status != checkpoint.InDoubt || !task.DoubtUntil.Equal(want) {
			t.Errorf("the task is %s, and its call can take effect until %v; want in-doubt, %v", task.Status, task.DoubtUntil, want)
		}
	})
}
