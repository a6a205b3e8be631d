package command

import (
	"errors"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// TestSettleWait holds the lower bound of --settle-wait, which 0 must not pass:
// it would call every device in doubt at once again.
func TestSettleWait(t *testing.T) {
	const loopback = "https://127.0.0.1:8443"
	tests := []struct {
		reason   string
		endpoint string
		settles  bool
		wait     time.Duration
		ok       bool
	}{
		{"the default", "", true, 5 * time.Minute, true},
		{"longer", "", true, time.Hour, true},
		{"shorter than reads lag", "", true, 5*time.Minute - 1, false},
		{"none at all", "", true, 0, false},
		{"a command without the flag", "", false, 0, true},
		{"none at all, on loopback", loopback, true, 0, true},
		{"shorter, on loopback", loopback, true, time.Second, true},
		{"backwards, on loopback", loopback, true, -time.Second, false},
	}
	for _, tt := range tests {
		c := &connection{}
		c.addFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
		c.config.Endpoint, c.settles, c.opt.SettleWait = tt.endpoint, tt.settles, tt.wait
		err := c.check()
		var u usage
		if tt.ok && err != nil || !tt.ok && !errors.As(err, &u) {
			t.Errorf("%s: check with --settle-wait %v = %v; want allowed: %v", tt.reason, tt.wait, err, tt.ok)
		}
	}
}

// TestSettleWaitFromEnvironment has the commands with the flag heed its bound,
// wherever the value comes from.
func TestSettleWaitFromEnvironment(t *testing.T) {
	a := &app{Env: Env{Getenv: func(name string) string { return map[string]string{"MDE_OFFBOARD_SETTLE_WAIT": "0s"}[name] }}}
	j, w := &job{}, &withdrawal{}
	for name, c := range map[string]*connection{"run": &j.connection, "cancel": &w.connection} {
		f := pflag.NewFlagSet(name, pflag.ContinueOnError)
		if name == "run" {
			j.addFlags(f)
			j.addRunFlags(f)
		} else {
			w.addFlags(f)
		}
		if _, err := a.fromEnvironment(f); err != nil {
			t.Fatal(err)
		}
		var u usage
		if err := c.check(); !errors.As(err, &u) {
			t.Errorf("%s with MDE_OFFBOARD_SETTLE_WAIT=0s: check = %v; want wrong usage", name, err)
		}
	}
}
