package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// TestWaitedForTheHours runs one process over three stretches of hours, in virtual
// time. Before each the inventory is read again, and a device that was tagged
// meanwhile is protected.
func TestWaitedForTheHours(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.csv")
	protect := filepath.Join(dir, "protect.txt")
	var lines strings.Builder
	lines.WriteString("MachineId,Comment\n")
	var machines []simulator.Machine
	for i := range 50 {
		id := fmt.Sprintf("%040x", 0xabc000+i)
		fmt.Fprintf(&lines, "%s,retired\n", id)
		machines = append(machines, simulator.Machine{ID: id, ComputerDNSName: fmt.Sprintf("pc-%d", i)})
	}
	for name, text := range map[string]string{list: lines.String(), protect: "tag:keep\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	synctest.Test(t, func(t *testing.T) {
		sim, err := simulator.New(simulator.Options{Seed: 1, Machines: machines, PerMinute: 10, PerHour: 20, Hosts: []string{"127.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		a := &app{Env: Env{Stdout: nowhere, Stderr: nowhere, Getenv: variables(), Context: t.Context(), Hard: context.Background(), Last: context.Background()},
			log: slog.New(slog.DiscardHandler), global: globals{checkpoint: filepath.Join(dir, "checkpoint.db")}}
		j, flags := &job{}, (&cobra.Command{}).Flags()
		j.addFlags(flags)
		j.addRunFlags(flags)
		j.watchers.addFlags(flags)
		if err := flags.Parse([]string{"--yes", "--endpoint", "https://127.0.0.1", "--authority-host", "https://127.0.0.1", "--per-minute", "10", "--per-hour", "20",
			"--between", "02:00-03:00", "--between", "05:00-06:00", "--between", "08:00-09:00", "--timezone", "UTC", "--wait", "--protect", protect, "--max-percent", "100"}); err != nil {
			t.Fatal(err)
		}
		j.config.Transport = sim.Transport()
		j.source = defender.SecretSource(simulator.DefaultTenant, simulator.DefaultApplication, simulator.DefaultSecret)
		j.metrics, j.service = &metrics{}, newService(a.Getenv, 0)
		time.AfterFunc(7*time.Hour, func() { // between the second and the third
			sim.SetMachine(simulator.Machine{ID: machines[49].ID, ComputerDNSName: "pc-49", MachineTags: []string{"keep"}})
		})
		if err := a.run(j, []string{list}); err != nil {
			t.Fatal(err)
		}
		b := sim.Books()
		if k := b.Calls[simulator.KindMachines]; a.code != batch.CodeDone || k == nil || k.Calls != 3 {
			t.Errorf("code %d, the inventory was read: %+v; want 0, and three times", a.code, k)
		}
		if d := b.Devices[machines[49].ID]; d != nil && d.Posts > 0 {
			t.Error("a device that was tagged before the third stretch was called in it")
		}
		if n := len(b.Arrivals("offboard")); n != 49 || j.end.sum.Counts[checkpoint.Accepted] != 49 {
			t.Errorf("%d calls, %v; want 49, all accepted", n, j.end.sum.Counts)
		}
	})
}
