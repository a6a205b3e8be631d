package command

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
)

// TestForecastOfARun says of a plan of 4,000 devices when all of them are called, and
// how many by the run at hand, or the one to come.
func TestForecastOfARun(t *testing.T) {
	const all = "Calls       4000, the last one by 02:09:08, in 2h9m (minute window)\n"
	const nights = "Calls       4000, the last one by Mon 2000-01-03 22:09, in 70h9m (minute window), in the 3rd of the allowed hours (22:00-23:00, UTC)"
	for _, tt := range []struct {
		reason string
		args   []string
		canary int
		want   string
	}{
		{"no end", nil, 0, all},
		{"an end after the last", []string{"--until", "06:00"}, 0, all},
		{"an end on the way", []string{"--until", "01:00"}, 0, all + "            this run makes about 1500 of them, until 01:00:00\n"},
		{"a length, and a limit that is less", []string{"--for", "90m", "--limit", "20"}, 0, all + "            this run makes 20 of them\n"},
		{"a limit that is more", []string{"--for", "90m", "--limit", "3500"}, 0, all + "            this run makes about 3000 of them, until 01:30:00\n"},
		{"hours that are open", []string{"--between", "23:00-00:30"}, 0, "Calls       4000, the last one by Sun 2000-01-02 00:09, in 24h9m (minute window), in the 2nd of the allowed hours (23:00-00:30, UTC); run the same command again in each\n" +
			"            this run makes about 1500 of them, until 00:30:00\n"},
		{"hours to come", []string{"--between", "22:00-23:00"}, 0, nights + "; run the same command again in each\n            a run from 22:00:00 on makes about 1500 of them, until 23:00:00\n"},
		{"and its length is counted from then", []string{"--between", "22:00-23:00", "--for", "90s"}, 0, nights + "; run the same command again in each\n            a run from 22:00:00 on makes about 200 of them, until 22:01:30\n"},
		{"hours that are waited for", []string{"--between", "22:00-23:00", "--wait"}, 0, nights + "\n"},
		{"a wait that ends before", []string{"--between", "22:00-23:00", "--wait", "--until", "06:00"}, 0, nights + "\n            this run makes none of them, until 06:00:00\n"},
		{"a canary that nobody is asked about", []string{"--yes"}, 5, all + "            this run makes 5 of them\n"},
		{"one that somebody is", nil, 5, all},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			j, flags := &job{}, pflag.NewFlagSet("run", pflag.ContinueOnError)
			j.addFlags(flags)
			j.addRunFlags(flags)
			s := &connected{Session: batch.Session{Clock: &batch.Clock{}, Key: checkpoint.Key{Cloud: "c", Tenant: "t", Application: "a"}}}
			store, err := checkpoint.Open(filepath.Join(dir, "checkpoint.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			s.Store = store
			if err := errors.Join(flags.Parse(append(tt.args, "--timezone", "UTC")), j.check(), j.hours.apply(s.Clock.Now(), &j.opt)); err != nil {
				t.Fatal(err)
			}
			said, err := os.Create(filepath.Join(dir, "said"))
			if err != nil {
				t.Fatal(err)
			}
			defer said.Close()
			a := &app{Env: Env{Stderr: said}, zone: j.hours.parsed.Zone()}
			a.forecast(j, s, &batch.Plan{ToDo: 4000, Request: batch.Request{Canary: tt.canary}})
			if got := fileText(t, said.Name()); got != tt.want {
				t.Errorf("%s: %q said\n%s; want\n%s", tt.reason, tt.args, got, tt.want)
			}
		})
	}
}

// TestLastGoes: one call has no last one.
func TestLastGoes(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		n    int
		wait time.Duration
		want string
	}{
		{1, 0, "at once"},
		{2, 0, "the last one at once"},
		{1, time.Minute, "by Sat 2000-01-01 00:01, in 1m0s (hold)"},
		{2, time.Minute, "the last one by Sat 2000-01-01 00:01, in 1m0s (hold)"},
	} {
		a := &app{zone: time.UTC}
		if got := a.lastGoes(tt.n, quota.Forecast{Last: now.Add(tt.wait), Why: "hold"}, now); got != tt.want {
			t.Errorf("lastGoes(%d, in %v) = %s; want %s", tt.n, tt.wait, got, tt.want)
		}
	}
}
