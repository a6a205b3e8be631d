package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// inventoryOf reads the inventory as one process would.
func (w *world) inventoryOf(ctx context.Context, what string, note func(string)) (*Inventory, error) {
	w.t.Helper()
	store, err := checkpoint.Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	s, err := w.session(ctx, store)
	if err != nil {
		w.t.Fatal(err)
	}
	return s.Inventory(ctx, what, w.opt, note)
}

// fleetOf is an inventory for the simulator.
func fleetOf(n int) (all []simulator.Machine) {
	for i := range n {
		all = append(all, simulator.Machine{ID: device(fmt.Sprint("device ", i)), ComputerDNSName: fmt.Sprintf("lap-%05d.contoso.com", i),
			RbacGroupName: "group", MachineTags: []string{"a", "b"}})
	}
	return all
}

// TestInventoryPages reads a tenant of 10,001 devices in two calls, twice, which are
// in the checkpoint under no batch's name, with a run that has ended.
func TestInventoryPages(t *testing.T) {
	slow(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Machines: fleetOf(10_001)})
		inv, err := w.inventoryOf(t.Context(), "plan", nil)
		if err != nil || inv.Len() != 10_001 || inv.Onboarded != 10_001 {
			t.Fatalf("Inventory = %d devices, %d onboarded, %v; want 10,001 of both", inv.Len(), inv.Onboarded, err)
		}
		if d, ok := inv.Find(device("device 10000")); !ok || d.Name != "lap-10000.contoso.com" || d.Group != "group" || len(d.Tags) != 2 || !d.Onboarded() {
			t.Errorf("Find = %+v, %v; want the last device", d, ok)
		}
		if calls := w.sim.Books().Calls[simulator.KindMachines].Calls; calls != 4 {
			t.Errorf("%d list calls; want 2, and 2 that show that nothing moved", calls)
		}
		store, err := checkpoint.Open(w.path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		s, err := w.session(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		err = store.View(t.Context(), func(r checkpoint.Reader) error {
			b, err := r.FindBatch(s.Key.Cloud, s.Key.Tenant, "")
			if err != nil {
				return err
			}
			runs, err := r.Runs(b.ID)
			if err != nil || len(runs) != 1 || runs[0].What != "plan" || runs[0].Ended.IsZero() || runs[0].Code != CodeDone {
				t.Errorf("runs %+v, %v; want one plan that has ended well", runs, err)
			}
			attempts, err := r.Attempts(b.ID)
			if err != nil || len(attempts) != 4 {
				t.Errorf("%d attempts, %v; want 4", len(attempts), err)
			}
			all, err := r.Batches()
			if len(all) != 0 {
				t.Errorf("batches %+v; want none that has a name", all)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestWhole has devices move between the pages of an inventory while it is read.
func TestWhole(t *testing.T) {
	fleet := func(n int, without ...int) (all []Device) {
		for i := range n {
			if !slices.Contains(without, i) {
				all = append(all, Device{ID: fmt.Sprint(i)})
			}
		}
		return all
	}
	for _, tc := range []struct {
		reason   string
		readings [][]Device
		want     int // devices
		times    int // that it is read
	}{
		{"one page", [][]Device{fleet(pageSize - 1)}, pageSize - 1, 1},
		{"a reading that misses two", [][]Device{fleet(pageSize+9, 3, 4), fleet(pageSize + 9), fleet(pageSize + 9)}, pageSize + 9, 3},
		{"each misses another one", [][]Device{fleet(pageSize+9, 3), fleet(pageSize+9, 4), fleet(pageSize+9, 5)}, pageSize + 9, 3},
		{"one leaves meanwhile", [][]Device{fleet(pageSize + 9), fleet(pageSize+9, 4)}, pageSize + 9, 2},
	} {
		times := 0
		all, at, err := whole(func() ([]Device, time.Time, error) {
			times++
			return slices.Clone(tc.readings[times-1]), noon.Add(time.Duration(times) * time.Minute), nil
		})
		if err != nil || len(all) != tc.want || times != tc.times || !at.Equal(noon.Add(time.Minute)) {
			t.Errorf("%s: %d devices as of %v after %d readings, %v; want %d as of the first page after %d", tc.reason, len(all), at, times, err, tc.want, tc.times)
		}
	}
}

// TestRecentlySeenClockAhead has a clock that is two days ahead: when a device was
// seen is held against Defender's clock, which wrote it.
func TestRecentlySeenClockAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := device("it")
		w := newWorld(t, simulator.Options{Seed: 1, Machines: []simulator.Machine{{ID: id, ComputerDNSName: "lap-1", LastSeen: time.Now().Add(-time.Hour)}}})
		w.clock = &Clock{Wall: func(at time.Time) time.Time { return at.Add(48 * time.Hour) }}
		inv, err := w.inventoryOf(t.Context(), "plan", nil)
		if err != nil {
			t.Fatal(err)
		}
		p := planOf(t, listOf([]string{id}), checkpoint.Batch{}, nil, Request{Inventory: inv, RecentlySeen: 24 * time.Hour})
		if p.ToDo != 0 || p.Held[heldRecent] == nil {
			t.Errorf("seen an hour ago: to do %d, held %v; want it held back", p.ToDo, p.Held)
		}
	})
}

// TestInventoryQuota reads the inventory more often than the quota of that call
// allows in a minute, in as many processes: they wait, and nobody is refused.
func TestInventoryQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Machines: fleetOf(1), PerMinute: 5})
		w.opt.Windows = []quota.Window{{Limit: 5, Per: time.Minute}, {Limit: 1500, Per: time.Hour}}
		began := time.Now()
		var notes []string
		for range 11 {
			if _, err := w.inventoryOf(t.Context(), "plan", func(s string) { notes = append(notes, s) }); err != nil {
				t.Fatal(err)
			}
		}
		if len(notes) != 2 || !strings.HasPrefix(notes[0], "waiting: minute window, until ") {
			t.Errorf("told %q; want each of the two waits", notes)
		}
		b := w.sim.Books()
		if took := time.Since(began); b.Throttled != 0 || took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("11 calls with 5 a minute: %d were refused, it took %v; want none, and two minutes and a little", b.Throttled, took)
		}
	})
}

// TestInventoryEmpty has a tenant without devices: a 404 that means none.
func TestInventoryEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		if inv, err := w.inventoryOf(t.Context(), "plan", nil); err != nil || inv.Len() != 0 {
			t.Errorf("Inventory = %v, %v; want an empty one", inv, err)
		}
	})
}

// TestInventoryForbidden has no permission to read.
func TestInventoryForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Machines: fleetOf(1), Roles: []string{"Machine.Offboard"}})
		_, err := w.inventoryOf(t.Context(), "plan", nil)
		var stop *Stop
		if !errors.As(err, &stop) || stop.Code != CodeError || stop.Why != "the inventory may not be read" {
			t.Errorf("Inventory = %v; want a stop that says that it may not be read", err)
		}
	})
}

// TestInventoryOutage has Defender away for a while, and then for too long.
func TestInventoryOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Machines: fleetOf(1), Faults: "machines/lost-before=5"})
		var notes []string
		if _, err := w.inventoryOf(t.Context(), "plan", func(s string) { notes = append(notes, s) }); err != nil || len(notes) != 1 {
			t.Errorf("Inventory = %v, told %q; want it read after a while, and told once", err, notes)
		}
	})
}

// TestInventoryInterrupted is Ctrl-C while Defender cannot be reached.
func TestInventoryInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1, Machines: fleetOf(1), Faults: "machines/lost-before=500"})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := w.inventoryOf(ctx, "plan", nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Inventory = %v; want the context's error", err)
		}
	})
}
