package command

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
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

// virtual is the program in virtual time: all of it but its process, on a list of
// so many devices against a simulator within the test.
type virtual struct {
	a        *app
	j        *job
	sim      *simulator.Server
	machines []simulator.Machine
	dir      string
}

// newVirtual makes one in a folder of its own; it begins in a bubble of synctest.
func newVirtual(t *testing.T, dir string, devices int, opt simulator.Options, args ...string) *virtual {
	t.Helper()
	v := &virtual{dir: dir}
	lines := "MachineId,Comment\n"
	for i := range devices {
		id := fmt.Sprintf("%040x", 0xabc000+i)
		lines += id + ",retired\n"
		v.machines = append(v.machines, simulator.Machine{ID: id, ComputerDNSName: fmt.Sprintf("pc-%d", i)})
	}
	if err := os.WriteFile(filepath.Join(dir, "list.csv"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	opt.Seed, opt.Machines, opt.Hosts = 1, v.machines, []string{"127.0.0.1"}
	var err error
	if v.sim, err = simulator.New(opt); err != nil {
		t.Fatal(err)
	}
	v.a = testApp(t)
	v.a.global.checkpoint = filepath.Join(dir, "checkpoint.db")
	v.j = &job{}
	flags := (&cobra.Command{}).Flags()
	v.j.addFlags(flags)
	v.j.addRunFlags(flags)
	v.j.watchers.addFlags(flags)
	if err := flags.Parse(append([]string{"--yes", "--endpoint", "https://127.0.0.1", "--authority-host", "https://127.0.0.1", "--max-percent", "100"}, args...)); err != nil {
		t.Fatal(err)
	}
	v.j.config.Transport = v.sim.Transport()
	v.j.source = defender.SecretSource(simulator.DefaultTenant, simulator.DefaultApplication, simulator.DefaultSecret)
	v.j.metrics, v.j.service = &metrics{path: v.j.metricsFile}, newService(v.a.Getenv, 0)
	return v
}

func (v *virtual) run(t *testing.T) {
	t.Helper()
	if err := v.a.run(v.j, []string{filepath.Join(v.dir, "list.csv")}); err != nil {
		t.Fatal(err)
	}
}

// TestWaitedForTheHours runs one process over three stretches of hours, in virtual
// time. Before each the inventory is read again, and a device that was tagged
// meanwhile is protected. All the while it tells what it waits for, and in which of
// the stretches it will be done.
func TestWaitedForTheHours(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute under the race detector")
	}
	dir := t.TempDir()
	protect := filepath.Join(dir, "protect.txt")
	if err := os.WriteFile(protect, []byte("tag:keep\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, dir, 50, simulator.Options{PerMinute: 10, PerHour: 20}, "--per-minute", "10", "--per-hour", "20", "--between", "02:00-03:00",
			"--between", "05:00-06:00", "--between", "08:00-09:00", "--timezone", "UTC", "--wait", "--protect", protect, "--metrics-file", filepath.Join(dir, "run.prom"))
		last := v.machines[49].ID
		e := &ear{}
		v.j.service = &service{conn: e, done: make(chan struct{})}
		defer v.j.service.close()
		tells := func(at time.Duration, status string, figures ...string) {
			time.AfterFunc(at, func() {
				if told := e.last("STATUS="); !strings.HasPrefix(told, "STATUS=batch list: "+status) {
					t.Errorf("after %v systemd is told %q; want %q", at, told, status)
				}
				checkFigures(t, fileText(t, v.j.metricsFile), figures...)
			})
		}
		tells(time.Hour, "waiting: outside the allowed hours until 2000-01-01T02:00:00Z", `mde_offboard_running{batch="list",`+ofRig+`} 1`)
		tells(150*time.Minute, "20 of 50 done, waiting: hour window until 2000-01-01T03:00:0", `mde_offboard_done_night{batch="list",`+ofRig+`} 3`)
		tells(4*time.Hour, "20 of 50 done, waiting: outside the allowed hours until 2000-01-01T05:00:00Z, done by 2000-01-01T08:0", `mde_offboard_done_night{batch="list",`+ofRig+`} 2`)
		time.AfterFunc(7*time.Hour, func() { // between the second and the third
			v.sim.SetMachine(simulator.Machine{ID: last, ComputerDNSName: "pc-49", MachineTags: []string{"keep"}})
		})
		v.run(t)
		b := v.sim.Books()
		if k := b.Calls[simulator.KindMachines]; v.a.code != batch.CodeDone || k == nil || k.Calls != 3 {
			t.Errorf("code %d, the inventory was read: %+v; want 0, and three times", v.a.code, k)
		}
		if d := b.Devices[last]; d != nil && d.Posts > 0 {
			t.Error("a device that was tagged before the third stretch was called in it")
		}
		if n := len(b.Arrivals("offboard")); n != 49 || v.j.end.sum.Counts[checkpoint.Accepted] != 49 {
			t.Errorf("%d calls, %v; want 49, all accepted", n, v.j.end.sum.Counts)
		}
	})
}

// TestTellsWhileItTracks: between two looks, which are far apart, systemd hears
// that a run that tracks is alive, and the figures are fresh.
func TestTellsWhileItTracks(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, dir, 3, simulator.Options{Pending: 6 * time.Hour}, "--track", "--for", "5h", "--metrics-file", filepath.Join(dir, "run.prom"))
		e := &ear{}
		v.j.service = &service{conn: e, watchdog: 30 * time.Second, done: make(chan struct{})}
		defer v.j.service.close()
		go v.j.service.pet()
		time.AfterFunc(4*time.Hour, func() {
			e.pets()
			time.Sleep(20 * time.Minute)
			if told := e.last("STATUS="); !strings.HasPrefix(told, "STATUS=batch list: tracking 3 actions: 3 Pending") {
				t.Errorf("systemd was told %q; want how the actions stand", told)
			}
			if e.pets() < 60 {
				t.Error("while the run tracks the watchdog went hungry")
			}
			m := regexp.MustCompile(`written_timestamp_seconds\{.*\} (\d+)`).FindStringSubmatch(fileText(t, v.j.metricsFile))
			if at, _ := strconv.ParseInt(m[1], 10, 64); time.Since(time.Unix(at, 0)) > 2*metricsEvery {
				t.Errorf("the figures are of %v, and it is %v", time.Unix(at, 0), time.Now())
			}
		})
		v.run(t)
		if v.a.code != batch.CodeStopped {
			t.Errorf("code %d; want that of actions that are open", v.a.code)
		}
	})
}

// protectFile is a protect file that is yet to be written.
func protectFile(t *testing.T, dir string) (path string, write func(text string)) {
	path = filepath.Join(dir, "protect.txt")
	return path, func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// TestRestNotSent has a guard keep in the second stretch of hours what is left: that
// is no run of which nothing was sent, nor one that had nothing to do, and its
// results are written. What a protect file got meanwhile is heeded.
func TestRestNotSent(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute under the race detector")
	}
	for _, tt := range []struct {
		why     string
		protect string // from the second stretch on
		onboard string // what the other devices are then
		code    int
		says    string
		skipped int
	}{
		{"too large a share", "pc-49\npc-48\n", "CanBeOnboarded", batch.CodeGuard, "the rest was not sent: 28 devices are to be offboarded", 0},
		{"all are protected", "pc-*\n", "Onboarded", batch.CodeDone, "", 30},
		{"a protect file with nothing in it", "\n", "Onboarded", batch.CodeGuard, "the rest was not sent: --protect: ", 0},
	} {
		t.Run(tt.why, func(t *testing.T) {
			dir := t.TempDir()
			protect, write := protectFile(t, dir)
			write("nobody\n")
			synctest.Test(t, func(t *testing.T) {
				v := newVirtual(t, dir, 50, simulator.Options{PerMinute: 10, PerHour: 20}, "--per-minute", "10", "--per-hour", "20", "--between", "02:00-03:00",
					"--between", "05:00-06:00", "--timezone", "UTC", "--wait", "--protect", protect, "--max-percent", "50")
				others := func(status string) {
					for i := range 100 {
						v.sim.SetMachine(simulator.Machine{ID: fmt.Sprintf("%040x", 0xdef000+i), OnboardingStatus: status})
					}
				}
				others("Onboarded")
				time.AfterFunc(4*time.Hour, func() { others(tt.onboard); write(tt.protect) })
				err := v.a.run(v.j, []string{filepath.Join(v.dir, "list.csv")})
				code, says := v.a.code, ""
				if err != nil {
					var hint string
					code, hint = codeOf(err)
					says = err.Error() + "; " + hint
				}
				if code != tt.code || !strings.HasPrefix(says, tt.says) || strings.Contains(says, "nothing was sent") || v.j.end.idle {
					t.Errorf("the second stretch: code %d, %q, idle %v; want %d, %q", code, says, v.j.end.idle, tt.code, tt.says)
				}
				n := v.j.end.sum.Counts
				if n[checkpoint.Accepted] != 20 || n[checkpoint.Skipped] != tt.skipped || strings.Count(fileText(t, filepath.Join(dir, "list.results.csv")), ",accepted,") != 20 {
					t.Errorf("results %v; want 20 accepted and %d skipped, in their file too", n, tt.skipped)
				}
			})
		})
	}
}

// TestProtectedWhileItWaits adds to a protect file while hours are waited for: the
// device is not called in them.
func TestProtectedWhileItWaits(t *testing.T) {
	stretches := []string{"--between", "00:00-00:05", "--between", "00:10-00:15", "--between", "00:20-01:20"}
	for _, tt := range []struct {
		why  string
		args []string
		at   time.Duration
		pipe bool // there is another protect file, which can be read only once
		runs int
	}{
		{"before anything was planned with the inventory", []string{"--between", "00:10-01:10"}, 5 * time.Minute, false, 1},
		{"without an inventory", append(stretches, "--no-inventory"), 7 * time.Minute, false, 3},
		{"with one that is fresh", stretches, 7 * time.Minute, false, 3},
		{"beside a pipe", stretches, 7 * time.Minute, true, 3},
	} {
		t.Run(tt.why, func(t *testing.T) {
			dir := t.TempDir()
			protect, write := protectFile(t, dir)
			nobody := fmt.Sprintf("%040x\n", 1)
			write(nobody)
			args := append([]string{"--per-minute", "2", "--timezone", "UTC", "--wait", "--protect", protect}, tt.args...)
			if tt.pipe {
				args = append(args, "--protect", piped(t, nobody))
			}
			synctest.Test(t, func(t *testing.T) {
				v := newVirtual(t, dir, 20, simulator.Options{PerMinute: 2}, args...)
				last := v.machines[19].ID
				time.AfterFunc(tt.at, func() { write(nobody + last + "\n") })
				v.run(t)
				n := v.j.end.sum.Counts
				if v.a.code != batch.CodeDone || n[checkpoint.Accepted] != 19 || n[checkpoint.Skipped] != 1 || v.sim.Books().Devices[last] != nil {
					t.Errorf("code %d, %v; want all but the last accepted, and that one not called", v.a.code, n)
				}
				if got := v.runs(t); len(got) != tt.runs {
					t.Errorf("runs %+v; want %d", got, tt.runs)
				}
			})
		})
	}
}

// TestNamedWhileItWaits has a device protected, while a night is waited for, by a
// name that another of its lines has: in the protect file, or in the list.
func TestNamedWhileItWaits(t *testing.T) {
	const patterns, line = "keep-*\nvip-*\n", "vip-1"
	for _, tt := range []struct{ why, before, since, named string }{
		{"a pattern comes", "keep-*\n", patterns, line},
		{"a line gets the name", patterns, patterns, "pc-1"},
	} {
		dir := t.TempDir()
		protect, write := protectFile(t, dir)
		write(tt.before)
		synctest.Test(t, func(t *testing.T) {
			v := newVirtual(t, dir, 5, simulator.Options{}, "--between", "00:10-01:10", "--timezone", "UTC", "--wait", "--protect", protect)
			list := func(name string) {
				text := "MachineId,Name,Comment\n"
				for i, m := range append(v.machines, v.machines[0]) {
					text += m.ID + "," + []string{"pc-0", "pc-1", "pc-2", "pc-3", "pc-4", name}[i] + ",retired\n"
				}
				if err := os.WriteFile(filepath.Join(dir, "list.csv"), []byte(text), 0o600); err != nil {
					t.Error(err)
				}
			}
			list(tt.named)
			time.AfterFunc(5*time.Minute, func() { write(tt.since); list(line) })
			v.run(t)
			if n := v.j.end.sum.Counts; v.a.code != batch.CodeDone || n[checkpoint.Accepted] != 4 || n[checkpoint.Skipped] != 2 || v.sim.Books().Devices[v.machines[0].ID] != nil {
				t.Errorf("%s: code %d, %v; want the first not called, and the others accepted", tt.why, v.a.code, n)
			}
		})
	}
}

// piped is the name of a pipe from which a text comes.
func piped(t *testing.T, text string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("on Windows an open pipe has no name")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return fmt.Sprintf("/dev/fd/%d", r.Fd())
}

// runs are those of the batch, as its checkpoint has them.
func (v *virtual) runs(t *testing.T) (runs []checkpoint.Run) {
	t.Helper()
	store, err := v.a.openStore()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = store.View(t.Context(), func(r checkpoint.Reader) error {
		b, err := find(r, "list", "")
		if err == nil {
			runs, err = r.Runs(b.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// TestOverBeforeTheHours ends a run by the clock that nobody is asked about, while it
// waits for hours which open later than that. Until then it read nothing.
func TestOverBeforeTheHours(t *testing.T) {
	for _, args := range [][]string{{"--until", "06:00"}, {"--for", "6h"}, {"--for", "6h", "--until", "07:00", "--no-inventory"}} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			v := newVirtual(t, dir, 5, simulator.Options{}, append(args, "--between", "22:00-23:00", "--timezone", "UTC", "--wait")...)
			began := time.Now()
			err := v.a.run(v.j, []string{filepath.Join(v.dir, "list.csv")})
			if code, _ := codeOf(err); code != batch.CodeStopped || err.Error() != "the time is up" || time.Since(began) != 6*time.Hour {
				t.Errorf("%q: %v, code %d, after %v; want that the time is up, code 4, after 6 hours", args, err, code, time.Since(began))
			}
			if all := v.sim.Books().Calls["all"]; all != nil && all.Calls > 0 {
				t.Errorf("%q: %d calls; want none", args, all.Calls)
			}
		})
	}
}

// TestReadingHours says for whom the hours hold while a plan is made.
func TestReadingHours(t *testing.T) {
	for _, tt := range []struct {
		why   string
		j     job
		holds bool
	}{
		{"somebody is asked now, and the run waits: it reads at once", job{hours: hours{wait: true}}, false},
		{"somebody is asked now, and the run does not wait: it does not even read", job{}, true},
		{"nobody is asked", job{yes: true}, true},
		{"a plan changes nothing", job{planning: true}, false},
	} {
		tt.j.opt.Allowed = func(t time.Time) time.Time { return t.Add(time.Hour) }
		opt, err := testApp(t).readingHours(&tt.j, &connected{}, nil)
		if (opt.Allowed != nil) != tt.holds || err != nil {
			t.Errorf("readingHours() holds: %t, %v; want %t (%s)", opt.Allowed != nil, err, tt.holds, tt.why)
		}
	}
}
