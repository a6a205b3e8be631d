package command

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionText(t *testing.T) {
	built := func(pairs ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{}
		for i := 0; i < len(pairs); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return info
	}
	tests := []struct {
		reason string
		info   *debug.BuildInfo
		want   string
	}{
		{"built from a commit", built("vcs.revision", "abc123", "vcs.time", "2026-11-22T09:00:00Z"), "commit   abc123\nof       2026-11-22T09:00:00Z\n"},
		{"built from more than a commit", built("vcs.revision", "abc123", "vcs.modified", "true"), "commit   abc123, and changes that are in no commit\n"},
		{"built outside of a checkout", built(), "commit   not known\n"},
		{"built in a way that tells nothing", nil, "commit   not known\n"},
	}
	for _, tt := range tests {
		got := versionText(tt.info)
		if !strings.HasPrefix(got, "mde-offboard "+Version+"\n") || !strings.Contains(got, tt.want) || !strings.Contains(got, runtime.Version()) {
			t.Errorf("%s: versionText = %q; want %q in it", tt.reason, got, tt.want)
		}
	}
}
