package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"mde-offboard/batch"
)

// TestGuardValues takes nothing for the value of a guard that only begins like
// one, or that compares with nothing.
func TestGuardValues(t *testing.T) {
	const noShare, noThreshold = "not a share from above 0 to 100", "neither a number nor a share"
	tests := []struct {
		flag, value string
		want        string // in the error; empty: it is taken
	}{
		{"max-percent", "50", ""},
		{"max-percent", "0.5", ""},
		{"max-percent", "100", ""},
		{"max-percent", "0", noShare},
		{"max-percent", "-1", noShare},
		{"max-percent", "100.1", noShare},
		{"max-percent", "nan", noShare},
		{"max-percent", "inf", noShare},
		{"max-percent", "-Inf", noShare},
		{"max-percent", "1e1", noShare},
		{"max-percent", "0x1p4", noShare},
		{"max-percent", "50%", noShare},
		{"max-percent", " 50", noShare},
		{"max-percent", "", noShare},
		{"max-failures", "0", ""},
		{"max-failures", "5", ""},
		{"max-failures", "10%", ""},
		{"max-failures", "2.5%", ""},
		{"max-failures", "5x", noThreshold},
		{"max-failures", "3.5", noThreshold},
		{"max-failures", "-1", noThreshold},
		{"max-failures", "+1", noThreshold},
		{"max-failures", "99999999999", noThreshold},
		{"max-failures", "", noThreshold},
		{"max-failures", "10foo%", noShare},
		{"max-failures", "nan%", noShare},
		{"max-failures", "0%", noShare},
		{"max-failures", "101%", noShare},
		{"max-failures", "%", noShare},
		{"max-failures", "10%%", noShare},
		{"recently-seen", "3d", ""},
		{"recently-seen", "72h", ""},
		{"recently-seen", "3", "missing unit"},
		{"recently-seen", "3.5d", "invalid syntax"},
		{"recently-seen", "70000d", "out of range"},
		{"recently-seen", "-72h", "negative"},
	}
	for _, tt := range tests {
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		j := &job{}
		j.addFlags(f)
		j.addRunFlags(f)
		state := func() string {
			return fmt.Sprint(j.opt.MaxFailures, f.Lookup("max-percent").Value, j.req.RecentlySeen)
		}
		before := state()
		err := f.Parse([]string{"--" + tt.flag + "=" + tt.value})
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--"+tt.flag)) {
			t.Errorf("--%s=%s: %v; want an error with %q", tt.flag, tt.value, err, tt.want)
		}
		if after := state(); err != nil && after != before {
			t.Errorf("--%s=%s: %v, and it is %s now; want %s left", tt.flag, tt.value, err, after, before)
		}
	}
}

// TestThreshold reads what the flag says, and has its default.
func TestThreshold(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want batch.Threshold
	}{
		{nil, batch.Threshold{Percent: 10, From: 20}},
		{[]string{"--max-failures=7"}, batch.Threshold{Count: 7, From: 20}},
		{[]string{"--max-failures=2.5%"}, batch.Threshold{Percent: 2.5, From: 20}},
	} {
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		j := &job{}
		j.addFlags(f)
		j.addRunFlags(f)
		if err := f.Parse(tt.args); err != nil || j.opt.MaxFailures != tt.want || j.req.MaxPercent != 50 {
			t.Errorf("%q: %+v, --max-percent %g, %v; want %+v, 50", tt.args, j.opt.MaxFailures, j.req.MaxPercent, err, tt.want)
		}
	}
}

func TestDays(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"90d", 90 * 24 * time.Hour, true}, {"36h", 36 * time.Hour, true}, {"0d", 0, true},
		{"-1d", 0, false}, {"-36h", 0, false}, {"a week", 0, false}, {"1.5d", 0, false},
	}
	for _, tt := range tests {
		var d days
		err := d.Set(tt.text)
		if (err == nil) != tt.ok || tt.ok && time.Duration(d) != tt.want {
			t.Errorf("Set(%q) = %v, %v; want %v, ok %v", tt.text, time.Duration(d), err, tt.want, tt.ok)
		}
	}
}
