package command

import (
	"strings"
	"testing"
)

// TestQuoted: what is to be typed next is typed as it is shown.
func TestQuoted(t *testing.T) {
	for _, tt := range []struct {
		word, posix, windows string
	}{
		{"decommission-2025_07.a", "decommission-2025_07.a", "decommission-2025_07.a"},
		{"Zürich", "Zürich", "Zürich"},
		{"/var/lib/x.db", "/var/lib/x.db", "/var/lib/x.db"},
		{`C:\Program Files\x.db`, `'C:\Program Files\x.db'`, `"C:\Program Files\x.db"`},
		{`C:\x.db`, `'C:\x.db'`, `C:\x.db`},
		{"it's $HOME", `'it'\''s $HOME'`, `"it's $HOME"`},
		{"a(1)", "'a(1)'", `"a(1)"`},
		{"#1", "'#1'", `"#1"`},
		{"", "''", `""`},
	} {
		if posix, windows := quoted(tt.word, false), quoted(tt.word, true); posix != tt.posix || windows != tt.windows {
			t.Errorf("quoted(%q) = %s and on Windows %s; want %s and %s", tt.word, posix, windows, tt.posix, tt.windows)
		}
	}
}

// TestCommand names the checkpoint where the next command would not find it alone.
func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		reason, args, env, want string
	}{
		{"the usual one", "", "", "mde-offboard track list"},
		{"named by a flag", "--checkpoint=my.db", "", "mde-offboard track list --checkpoint my.db"},
		{"named by the environment, which stays", "", "x.db", "mde-offboard track list"},
		{"named by both", "--checkpoint=y.db", "x.db", "mde-offboard track list --checkpoint y.db"},
	} {
		a := testApp(t)
		a.Getenv = variables("MDE_OFFBOARD_CHECKPOINT", tt.env)
		flags := a.root().PersistentFlags()
		if err := flags.Parse(strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.fromEnvironment(flags); err != nil {
			t.Fatal(err)
		}
		if got := a.command("track", "list"); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.reason, got, tt.want)
		}
	}
}
