package batch

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// waits are those that the chain of the batch has: when they began by the clock
// of the run, for how long, and of what kind.
func (w *world) waits() (kinds []string, lasted []time.Duration) {
	w.t.Helper()
	store, err := checkpoint.Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	var since time.Time
	if err := store.View(context.Background(), func(r checkpoint.Reader) error {
		return r.EachEvent(1, func(_ int64, _, body string) error {
			var e checkpoint.Event
			if err := json.Unmarshal([]byte(body), &e); err != nil || e.Wait == nil {
				return err
			}
			if e.Wait.Kind != "" {
				kinds, lasted, since = append(kinds, e.Wait.Kind), append(lasted, 0), e.Wait.Since
			} else {
				lasted[len(lasted)-1] = e.At.Sub(since).Round(time.Second)
			}
			return nil
		})
	}); err != nil {
		w.t.Fatal(err)
	}
	return kinds, lasted
}

// TestWaitsKept: the chain tells what a run waited for and for how long, but for
// what is over at once.
func TestWaitsKept(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		why, faults string
		devices     int
		hours       bool // calls are allowed from 16 hours on
		stop        time.Duration
		want        []string
		least       time.Duration
	}{
		{why: "nothing", devices: 3},
		{why: "the minute window", devices: 101, want: []string{WaitedForWindow}, least: 55 * time.Second},
		{why: "the hours", devices: 3, hours: true, want: []string{WaitedForHours}, least: 16*time.Hour - 5*time.Second},
		{why: "the hours, and it sends nothing", devices: 3, hours: true, stop: 3 * time.Hour, want: []string{WaitedForHours}, least: 3*time.Hour - 5*time.Second},
		{why: "a hold", faults: "429-seconds@2:40s", devices: 3, want: []string{WaitedForHold}, least: 35 * time.Second},
		{why: "a hold before the first look", faults: "actions/429-seconds@1:40s", devices: 3, want: []string{WaitedForHold}, least: 35 * time.Second},
		{why: "an outage", faults: "proxy-407@1,proxy-407@2,proxy-407@3,proxy-407@4", devices: 1, want: []string{WaitedForDefender, WaitedForDefender, WaitedForDefender}, least: 2 * time.Second},
		{why: "an outage at the first look", faults: "actions/proxy-407@1,actions/proxy-407@2,actions/proxy-407@3,actions/proxy-407@4", devices: 1, want: []string{WaitedForDefender}, least: 10 * time.Second},
		{why: "a device in doubt", faults: "lost-before@1", devices: 1, want: []string{WaitedForSettling}, least: 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Seed: 1, Faults: tt.faults})
			w.opt.Workers = 1
			w.opt.Windows = []quota.Window{{Limit: 100, Per: time.Minute}}
			if open := time.Now().Add(16 * time.Hour); tt.hours {
				w.opt.Wait, w.opt.Allowed = true, func(at time.Time) time.Time {
					if at.Before(open) {
						return open
					}
					return at
				}
			}
			ctx := t.Context()
			if tt.stop > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.stop)
				defer cancel()
			}
			if _, err := w.tryRun(ctx, devices(tt.devices)); err != nil {
				t.Fatal(err)
			}
			kinds, lasted := w.waits()
			if !slices.Equal(kinds, tt.want) || len(lasted) > 0 && slices.Min(lasted) < tt.least {
				t.Errorf("a run that waited for %s: waits %v of %v; want %v of at least %v", tt.why, kinds, lasted, tt.want, tt.least)
			}
		})
	}
}
