package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// TestTrackBesideRunner watches a batch while a run of it is at work: what the
// run sends is watched too, neither stands in the way of the other, and the
// chain of both is one.
func TestTrackBesideRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		w := newWorld(t, simulator.Options{Seed: 1, Pending: time.Minute, LatencyMin: 10 * time.Millisecond, LatencyMax: 300 * time.Millisecond})
		ran := make(chan runEnd)
		go func() {
			end, err := w.tryRun(t.Context(), devices(n))
			if err != nil {
				t.Error(err)
			}
			ran <- end
		}()
		time.Sleep(20 * time.Second)
		first := w.track(t.Context(), TrackOptions{Every: 10 * time.Second, For: 10 * time.Minute})
		end := <-ran
		w.judge(end, false)
		if end.code != CodeDone || end.counts[checkpoint.Accepted] != n {
			t.Errorf("run: code %d, %v; want all accepted", end.code, end.counts)
		}
		last := w.track(t.Context(), TrackOptions{Every: 10 * time.Second, UntilFinal: true})
		if last.Statuses["Succeeded"] != n {
			t.Errorf("Track() = %+v after %+v; want %d succeeded", last.Tracking, first.Tracking, n)
		}
		w.tasks() // the chain holds
	})
}

// TestTrackBesideReset has a run take a task up again between a tracker's look
// and its writing: what the look has shown is of an action of before.
func TestTrackBesideReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		w.run(devices(2))
		store := w.store()
		_, b, tracker := w.watching(store, whatTrack)
		tasks, err := tracker.tasks()
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Update(func(tx *checkpoint.Tx) error {
			_, err := tx.Append(b.ID, checkpoint.Event{Kind: "plan", At: w.clock.Now(), Tasks: []checkpoint.TaskChange{
				{N: tasks[0].N, Status: checkpoint.Pending, Action: &checkpoint.Action{}}}})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var changes []change
		for i := range tasks {
			after := tasks[i].Action
			after.Status = "Succeeded"
			changes = append(changes, change{&tasks[i], checkpoint.TaskChange{N: tasks[i].N, Action: &after}})
		}
		if n, err := tracker.write(changes); n != 1 || err != nil {
			t.Errorf("write() = %d, %v; want 1 of 2 written", n, err)
		}
		got := w.tasks()
		if a := got[tasks[0].Device].Action; a.ID != "" {
			t.Errorf("the task that was taken up again has action %+v; want none", a)
		}
		if a := got[tasks[1].Device].Action; a.Status != "Succeeded" {
			t.Errorf("the other one has action %+v; want it Succeeded", a)
		}
	})
}

// TestTrackKilled ends a tracker without a word: neither the next tracker nor a
// run is held up by it, and a living one is not taken for dead by a run.
func TestTrackKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Pending: time.Hour})
		w.run(devices(2))
		store := w.store()
		ctx, kill := context.WithCancel(t.Context())
		alive := make(chan error)
		go func() {
			end, err := w.tryTrack(ctx, store, TrackOptions{Every: time.Minute, UntilFinal: true})
			if err == nil && (end.stop == nil || end.stop.Code != CodeStopped) {
				err = fmt.Errorf("stop %v; want interrupted, code 4", end.stop)
			}
			alive <- err
		}()
		time.Sleep(10 * time.Second)

		var other *ErrOtherRunner
		if _, err := w.tryTrack(t.Context(), w.store(), TrackOptions{}); !errors.As(err, &other) || other.Run.What != whatTrack {
			t.Errorf("a second tracker: %v; want that another one is at work", err)
		}
		w.run(devices(3)) // opens the batch beside the living tracker
		if got := openRuns(w); !slices.Equal(got, []string{whatTrack}) {
			t.Errorf("open runs beside a living tracker: %v; want its own", got)
		}
		kill()
		if err := <-alive; err != nil {
			t.Error(err)
		}

		// A tracker that was killed leaves its run open, and its lock free.
		s, b, dead := w.watching(store, whatTrack)
		w.reserve(b.ID, checkpoint.Intent{Run: dead.run, Number: 1}, w.opt.budget(s.Key, CallListActions))
		w.run(devices(4))
		if got := openRuns(w); len(got) != 0 {
			t.Errorf("open runs after one of the batch: %v; want the dead tracker's ended", got)
		}
		w.tasks()
	})
}

// openRuns are the runs of the batch that have no end, by what they do.
func openRuns(w *world) (open []string) {
	err := w.store().View(w.t.Context(), func(r checkpoint.Reader) error {
		all, err := r.Batches()
		if err != nil {
			return err
		}
		runs, err := r.Runs(all[0].ID)
		for _, run := range runs {
			if run.Ended.IsZero() {
				open = append(open, run.What)
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return open
}
