package report

import (
	"slices"
	"testing"

	"mde-offboard/batch/checkpoint"
)

// The settings of a plan stand under words that people read, the guards first.
func TestSettingRows(t *testing.T) {
	for _, tt := range []struct {
		why, settings string
		want          []fact
	}{
		{"none of anything", `{"canary":0,"hours":"","limit":0,"maxDevices":0,"maxPercent":100,"protect":[],"recentlySeen":"0s","retry":null}`,
			[]fact{{"Devices, at most", "none", false}, {"Percent of the inventory, at most", "none", false}, {"Protected", "none", false}, {"Canary", "none", false},
				{"Held back if seen within", "none", false}, {"Taken up again", "none", false}, {"Allowed hours", "none", false}, {"Calls of the run, at most", "none", false}}},
		{"all of it", `{"maxDevices":1000000,"maxPercent":12.5,"protect":[{"file":"a.txt","patterns":1,"sha256":"ab"},{"file":"b\u202e","patterns":2,"sha256":"cd"}],"retry":["refused","failed"],"again":true}`,
			[]fact{{"Devices, at most", "1,000,000", false}, {"Percent of the inventory, at most", "12.5", false},
				{"Protected", "a.txt (1 pattern, SHA-256 ab), b[U+202E] (2 patterns, SHA-256 cd)", false}, {"Taken up again", "refused, failed", false}, {"Accepted devices again", "yes", false}}},
		{"times", `{"windows":["100 in 1m0s","1500 in 1h0m0s"],"timeout":"1m30s","settleWait":"500ms","maxOutage":"1h0m30s","hours":"22:00-06:00 Europe/Berlin"}`,
			[]fact{{"Calls, at most", "100 in 1\u00a0min, 1,500 in 1\u00a0h", false}, {"Allowed hours", "22:00-06:00 Europe/Berlin", false},
				{"Time-out of a call", "1\u00a0min 30\u00a0s", false}, {"An action may stay invisible for", "500ms", false}, {"Stopped by an outage of", "1h0m30s", false}}},
		{"of a later program", `{"zeal":{"odd":1},"workers":20}`, []fact{{"Calls in flight, at most", "20", false}, {"zeal", "map[odd:1]", false}}},
		{"damaged", `{`, nil},
	} {
		if got := settingRows(tt.settings); !slices.Equal(got, tt.want) {
			t.Errorf("settings with %s: %+v; want %+v", tt.why, got, tt.want)
		}
	}
}

// A run has the settings of its own plan: all of them, or what differs.
func TestSettingsOfRuns(t *testing.T) {
	w := newWorld(t)
	w.began("b", false, `{"maxDevices":1000,"workers":20}`)
	w.append(checkpoint.Event{Kind: "run", Start: &checkpoint.RunStart{What: "track", Settings: pacedBy(50, false)}})
	w.plan(checkpoint.Plan{Options: `{"maxDevices":2000,"workers":20}`})
	w.start("run", "--yes")
	w.start("run", "--yes")
	a := auditOf(t, w)
	for i, want := range [][]fact{
		{{"Devices, at most", "1,000", false}, {"Calls in flight, at most", "20", false}},
		nil, // it has no plan
		{{"Devices, at most", "2,000", false}},
		{},
	} {
		if got, asBefore := a.settingsOf(i); !slices.Equal(got, want) || asBefore != (i > 1) {
			t.Errorf("settings of run %d: %+v, as before: %v; want %+v", i+1, got, asBefore, want)
		}
	}
}
