package command

import "testing"

// TestDefaults: what a run does that names no limit is promised to people and scripts.
func TestDefaults(t *testing.T) {
	root := testApp(t).root()
	for _, tt := range []struct{ command, flag, want string }{
		{"run", "per-minute", "100"},
		{"run", "per-hour", "1500"},
		{"run", "minute", "1m0s"},
		{"run", "hour", "1h0m0s"},
		{"run", "workers", "20"},
		{"run", "timeout", "1m0s"},
		{"run", "settle-wait", "5m0s"},
		{"cancel", "settle-wait", "5m0s"},
		{"run", "max-attempts", "5"},
		{"run", "max-outage", "30m0s"},
		{"track", "max-outage", "30m0s"},
		{"run", "max-devices", "1000"},
		{"run", "max-percent", "50"},
		{"run", "max-failures", "10%"},
		{"run", "cloud", "commercial"},
		{"run", "limit", "0"},
		{"run", "yes", "false"},
		{"run", "again", "false"},
		{"run", "shared-budget", "false"},
		{"track", "every", "1m0s"},
	} {
		cmd, _, err := root.Find([]string{tt.command})
		if err != nil {
			t.Fatal(err)
		}
		if f := cmd.Flags().Lookup(tt.flag); f == nil || f.Value.String() != tt.want {
			t.Errorf("%s --%s is %+v without being given; want %s", tt.command, tt.flag, f, tt.want)
		}
	}
}
