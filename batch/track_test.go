package batch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// store opens the checkpoint until the test ends.
func (w *world) store() *checkpoint.Store {
	w.t.Helper()
	store, err := checkpoint.Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { store.Close() })
	return store
}

// reserve leaves a call without an end in the checkpoint.
func (w *world) reserve(batch int64, in checkpoint.Intent, b checkpoint.Budget) {
	w.t.Helper()
	err := w.store().Update(func(tx *checkpoint.Tx) error {
		_, refused, err := tx.Reserve(batch, in, b, w.clock.Now())
		return cmp.Or(err, refused)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// tracked is what one tracking showed.
type trackEnd struct {
	Tracking
	stop  *Stop
	shown []Tracking
	took  time.Duration
}

// track watches the batch, as one process would.
func (w *world) track(ctx context.Context, o TrackOptions) trackEnd {
	w.t.Helper()
	end, err := w.tryTrack(ctx, w.store(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

func (w *world) tryTrack(ctx context.Context, store *checkpoint.Store, o TrackOptions) (end trackEnd, err error) {
	s, err := w.session(w.t.Context(), store)
	if err != nil {
		return end, err
	}
	began := time.Now()
	end.Tracking, end.stop, err = s.Track(ctx, w.req.Name, o, w.opt, func(t Tracking) { end.shown = append(end.shown, t) })
	end.took = time.Since(began)
	return end, err
}

// tasks reads the batch's tasks by device, and checks its chain.
func (w *world) tasks() map[string]checkpoint.Task {
	w.t.Helper()
	store, byDevice := w.store(), map[string]checkpoint.Task{}
	var id int64
	err := store.View(w.t.Context(), func(r checkpoint.Reader) error {
		all, err := r.Batches()
		if err != nil {
			return err
		}
		id = all[0].ID
		tasks, err := r.Tasks(id)
		for _, t := range tasks {
			byDevice[t.Device] = t
		}
		return err
	})
	if err == nil {
		err = store.Verify(w.t.Context(), id)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return byDevice
}

// goesWrong puts a Defender in the place of the world's that has the same
// actions and faults that the run did not meet.
func (w *world) goesWrong(o simulator.Options) {
	w.t.Helper()
	o.AnyDevice, o.Hosts = true, []string{"127.0.0.1"}
	sim, err := simulator.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, t := range w.tasks() {
		sim.AddAction(simulator.Action{ID: t.Action.ID, MachineID: t.Device, Created: createdAt(t.Action), Comment: "retired"})
	}
	w.sim = sim
}

func (w *world) kinds() map[string]int {
	n := map[string]int{}
	for kind, k := range w.sim.Books().Calls {
		n[kind] = k.Calls
	}
	return n
}

// TestTrackToTheEnd follows actions that begin unseen, run, and end in every way
// that there is, in words that nobody has described too.
func TestTrackToTheEnd(t *testing.T) {
	tests := []struct {
		why      string
		outcomes []string // of the devices in turn
		odd      bool     // the API's other spellings
		until    bool
		wantCode int
		want     map[string]int
	}{
		{why: "all succeed", outcomes: []string{"Succeeded"}, until: true, wantCode: CodeDone, want: map[string]int{"Succeeded": 12}},
		{why: "some fail", outcomes: []string{"Succeeded", "Failed", "TimeOut"}, until: true, wantCode: CodeIncomplete,
			want: map[string]int{"Succeeded": 4, "Failed": 4, "TimeOut": 4}},
		{why: "cancelled by somebody, in the other spelling", outcomes: []string{"Succeeded", "Cancelled"}, odd: true, until: true,
			wantCode: CodeIncomplete, want: map[string]int{"Succeeded": 6, "Canceled": 6}},
		{why: "a word of later is kept as it is and is not final", outcomes: []string{"Succeeded", "Deferred"}, wantCode: CodeStopped,
			want: map[string]int{"Succeeded": 6, "Deferred": 6}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ids := devices(12)
				w := newWorld(t, simulator.Options{Seed: 1, Pending: 5 * time.Minute, Running: time.Minute, Lag: 110 * time.Second, OddSpellings: tt.odd,
					Outcome: func(id string) string { return tt.outcomes[slices.Index(ids, id)%len(tt.outcomes)] }})
				w.run(ids)
				o := TrackOptions{Every: time.Minute, UntilFinal: tt.until}
				if !tt.until {
					o.For = 30 * time.Minute
				}
				end := w.track(t.Context(), o)
				if got := end.Code(); end.stop != nil || got != tt.wantCode || fmt.Sprint(end.Statuses) != fmt.Sprint(tt.want) || end.Missing != 0 {
					t.Errorf("Track() = %v, code %d, stop %v, %d missing; want %v, code %d", end.Statuses, got, end.stop, end.Missing, tt.want, tt.wantCode)
				}
				if tt.until && (end.took < 6*time.Minute || end.took > 8*time.Minute) {
					t.Errorf("took %v; want the 6 minutes that the actions take, and one look more", end.took)
				}
				if !tt.until && end.took != o.For {
					t.Errorf("took %v; want %v", end.took, o.For)
				}
				for device, task := range w.tasks() {
					want := tt.outcomes[slices.Index(ids, device)%len(tt.outcomes)]
					if tt.odd && want == "Cancelled" {
						want = "Canceled"
					}
					if task.Action.Status != want || task.Status != checkpoint.Accepted {
						t.Errorf("device %s: %s, action %s; want accepted, %s", device, task.Status, task.Action.Status, want)
					}
					if want == "Failed" && task.Action.Error != "-2147024809 (0x80070057)" {
						t.Errorf("device %s: error %q; want the code in both forms", device, task.Action.Error)
					}
				}
			})
		})
	}
}

// TestTrackPages tracks 10,001 actions: two pages, within the quota of that call
// alone, and one event for each 500 that have changed, none for those that have not.
func TestTrackPages(t *testing.T) {
	slow(t)
	synctest.Test(t, func(t *testing.T) {
		const n = 10_001
		w := newWorld(t, simulator.Options{Seed: 1, Pending: time.Hour})
		store := w.store()
		s, err := w.session(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		batch := acceptedBefore(t, w, s, n)
		events := func() (total int64) {
			store.View(t.Context(), func(r checkpoint.Reader) error {
				b, err := r.Batch(batch)
				total = b.Events
				return err
			})
			return total
		}
		before := events()
		first, err := w.tryTrack(t.Context(), store, TrackOptions{Every: time.Minute})
		if err != nil || first.Code() != CodeStopped || first.Total != n || first.Open != n || first.Changed != 0 || first.Missing != 0 {
			t.Fatalf("Track() = %+v, %v; want %d open, none changed", first.Tracking, err, n)
		}
		if got, want := w.kinds()[simulator.KindActions], 2; got != want {
			t.Errorf("%d list calls; want %d pages", got, want)
		}
		if got, want := events()-before, int64(1+2*2+1); got != want {
			t.Errorf("%d events were written; want %d: the run, two calls, its end", got, want)
		}
		time.Sleep(time.Hour)
		before = events()
		second, err := w.tryTrack(t.Context(), store, TrackOptions{Every: time.Minute, UntilFinal: true})
		if err != nil || second.Code() != CodeDone || second.Statuses["Succeeded"] != n {
			t.Fatalf("Track() = %+v, %v; want all succeeded", second.Tracking, err)
		}
		if got, want := events()-before, int64(1+2*2+1+21); got != want {
			t.Errorf("%d events were written; want %d: the run, two calls, 21 of changes, its end", got, want)
		}
		third, err := w.tryTrack(t.Context(), store, TrackOptions{Every: time.Minute, UntilFinal: true})
		if err != nil || third.Code() != CodeDone || w.kinds()[simulator.KindActions] != 4 {
			t.Errorf("Track() of final actions = %+v, %v, %d list calls; want no call more than 4", third.Tracking, err, w.kinds()[simulator.KindActions])
		}
		if err := store.Verify(t.Context(), batch); err != nil {
			t.Error(err)
		}
	})
}

// acceptedBefore makes a batch of n accepted devices and their actions without
// the hours that calls would take.
func acceptedBefore(t *testing.T, w *world, s *Session, n int) (batch int64) {
	t.Helper()
	now := time.Now()
	var lines []checkpoint.Line
	var tasks []checkpoint.TaskChange
	for i, id := range devices(n) {
		action := w.sim.AddAction(simulator.Action{MachineID: id, Requestor: "us"})
		lines = append(lines, checkpoint.Line{N: int64(i + 1), Position: int64(i + 1), Device: id, Comment: "retired"})
		tasks = append(tasks, checkpoint.TaskChange{N: int64(i + 1), Status: checkpoint.Accepted, Action: &checkpoint.Action{ID: action,
			Type: "Offboard", Status: "Pending", Requestor: "us", Created: stampOf(now), Updated: stampOf(now)}})
	}
	err := s.Store.Update(func(tx *checkpoint.Tx) (err error) {
		if batch, err = tx.NewBatch(checkpoint.NewBatch{Name: w.req.Name, Cloud: s.Key.Cloud, Tenant: s.Key.Tenant,
			Application: s.Key.Application, Host: s.Host, Simulated: true}, now); err != nil {
			return err
		}
		for i := 0; i < n; i += perEvent {
			end := min(n, i+perEvent)
			if _, err := tx.Append(batch, checkpoint.Event{Kind: "lines", At: now, Lines: lines[i:end], Tasks: tasks[i:end]}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// TestTrackMissing has actions that Defender does not know: fresh ones may be
// absent for two minutes, older ones are missing, and are found again if they
// come back.
func TestTrackMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Lag: 4 * time.Minute, Pending: time.Hour})
		w.run(devices(3))
		end := w.track(t.Context(), TrackOptions{Every: time.Minute})
		if end.Missing != 0 || end.Open != 3 || end.Code() != CodeStopped {
			t.Errorf("Track() of fresh actions = %+v; want 3 open, none missing", end.Tracking)
		}
		end = w.track(t.Context(), TrackOptions{Every: time.Minute, UntilFinal: true})
		if end.Missing != 3 || end.Open != 0 || end.Code() != CodeIncomplete || end.took < 2*time.Minute || end.took > 4*time.Minute {
			t.Errorf("Track() = %+v after %v; want 3 missing when two minutes have passed, code 3", end.Tracking, end.took)
		}
		for device, task := range w.tasks() {
			if task.Reason != reasonMissing || task.Status != checkpoint.Accepted || task.Action.Status != "Pending" {
				t.Errorf("device %s: %s, %q, action %s; want accepted, missing, Pending", device, task.Status, task.Reason, task.Action.Status)
			}
		}
		time.Sleep(5 * time.Minute)
		end = w.track(t.Context(), TrackOptions{Every: time.Minute})
		if end.Missing != 0 || end.Open != 3 {
			t.Errorf("Track() = %+v; want them found again", end.Tracking)
		}
		for device, task := range w.tasks() {
			if task.Reason != "" {
				t.Errorf("device %s: reason %q; want none", device, task.Reason)
			}
		}
	})
}

// TestTrackFaults tracks through whatever goes wrong with reads, and gives an
// outage as long as it is told to.
func TestTrackFaults(t *testing.T) {
	tests := []struct {
		why, faults string
		max         time.Duration
		wantCode    int
		wantWhy     string
	}{
		{"answers are lost, spoiled and throttled", "actions/mixed=5%", time.Hour, CodeDone, ""},
		{"a token ends", "actions/401@2", time.Hour, CodeDone, ""},
		{"the list is not found", "actions/proxy-404=2,actions/404-once", time.Hour, CodeDone, ""},
		{"nobody answers", "actions/lost-before", 10 * time.Minute, CodeStopped, "no answer of Defender's for 10m0s"},
		{"the permission is taken away", "actions/403-all@3", time.Hour, CodeError, "machine actions may not be read"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Seed: 3, Pending: 20 * time.Minute})
				w.opt.MaxOutage = tt.max
				w.run(devices(20))
				w.goesWrong(simulator.Options{Seed: 3, Pending: 20 * time.Minute, Faults: tt.faults})
				end := w.track(t.Context(), TrackOptions{Every: time.Minute, UntilFinal: true})
				code := end.Code()
				why := ""
				if end.stop != nil {
					code, why = end.stop.Code, end.stop.Error()
				}
				if code != tt.wantCode || !strings.Contains(why, tt.wantWhy) {
					t.Errorf("Track() = code %d, %q, %+v; want code %d, %q", code, why, end.Tracking, tt.wantCode, tt.wantWhy)
				}
				if tt.wantCode == CodeDone && end.Statuses["Succeeded"] != 20 {
					t.Errorf("Track() = %+v; want 20 succeeded", end.Tracking)
				}
				if len(openRuns(w)) != 0 {
					t.Error("the run has no end")
				}
			})
		})
	}
}

func TestTrackNext(t *testing.T) {
	tests := []struct {
		why             string
		every, youngest time.Duration
		want            time.Duration
	}{
		{"fresh: as often as is asked for", time.Minute, time.Minute, time.Minute},
		{"an hour old", time.Minute, time.Hour, 6 * time.Minute},
		{"days old: four times an hour", time.Minute, 72 * time.Hour, 15 * time.Minute},
		{"what is asked for is never undercut", time.Hour, time.Minute, time.Hour},
		{"an age that is not known", time.Minute, 0, time.Minute},
	}
	for _, tt := range tests {
		if got := (TrackOptions{Every: tt.every}).next(tt.youngest); got != tt.want {
			t.Errorf("next(%v) every %v = %v; want %v (%s)", tt.youngest, tt.every, got, tt.want, tt.why)
		}
	}
}

// TestTrackInventory keeps what the inventory says of each device, and writes
// it again only when it has changed.
func TestTrackInventory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := devices(3)
		seen := time.Now().Add(-48 * time.Hour)
		w := newWorld(t, simulator.Options{Seed: 1, Pending: time.Minute, Machines: []simulator.Machine{
			{ID: ids[0], HealthStatus: "Inactive", LastSeen: seen}, {ID: ids[1], LastSeen: seen}}})
		w.run(ids)
		end := w.track(t.Context(), TrackOptions{Every: time.Minute, UntilFinal: true, Inventory: true})
		if end.Code() != CodeDone || end.stop != nil {
			t.Fatalf("Track() = %+v, %v; want all succeeded", end.Tracking, end.stop)
		}
		want := map[string]string{ids[0]: "Inactive, last seen 1999-12-30T00:00:00Z", ids[1]: "Active, last seen 1999-12-30T00:00:00Z", ids[2]: "not in the inventory"}
		events := w.events()
		for device, task := range w.tasks() {
			if task.Health != want[device] {
				t.Errorf("device %s: health %q; want %q", device, task.Health, want[device])
			}
		}
		w.track(t.Context(), TrackOptions{Every: time.Minute, UntilFinal: true, Inventory: true})
		if got := w.events(); got != events {
			t.Errorf("%d events were written of what has not changed; want none", got-events)
		}
	})
}

// events is the length of the batch's chain.
func (w *world) events() (n int64) {
	w.t.Helper()
	err := w.store().View(w.t.Context(), func(r checkpoint.Reader) error {
		all, err := r.Batches()
		if err == nil {
			n = all[0].Events
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}
