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

// TestCommandOfADash has a batch that is called like a flag taken for a batch.
func TestCommandOfADash(t *testing.T) {
	a := testApp(t)
	a.global.checkpoint = "my.db"
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"report", "-x", "--results", "FILE"}, "mde-offboard report --results FILE --checkpoint my.db -- -x"},
		{[]string{"plan", "-x.csv"}, "mde-offboard plan --checkpoint my.db -- -x.csv"},
		{[]string{"status"}, "mde-offboard status --checkpoint my.db"},
	} {
		if got := a.command(tt.words...); got != tt.want {
			t.Errorf("%q: %s; want %s", tt.words, got, tt.want)
		}
	}
}
