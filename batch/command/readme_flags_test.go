package command

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// placeholder is a word that stands for others: LIST, BATCH, N|P%, [DIR], …; and
// help, which some flags take for a question.
var placeholder = regexp.MustCompile(`^\[?[A-Z]+…?\]?$|^N\|P%$|^…$|^help$`)

func isCommand(name string) bool {
	cmd, _, err := (&app{}).root().Find([]string{name})
	return err == nil && cmd.HasParent()
}

// wrongWith says what is wrong with a command: its name, its flags and their
// values, and how many arguments it has; empty if nothing is. It makes the checks
// that the command makes before it does anything. A flag alone is right if some
// command takes it.
func wrongWith(t *testing.T, i invocation) (why string) {
	t.Helper()
	if len(i.args) == 0 || !strings.HasPrefix(i.args[0], "--") {
		return wrongCommand(t, i)
	}
	for _, cmd := range testApp(t).root().Commands() {
		found := wrongCommand(t, invocation{args: append([]string{cmd.Name(), "…"}, i.args...), bare: i.bare})
		if found == "" {
			return ""
		}
		if why == "" || !strings.Contains(found, "unknown flag") { // of the commands that know it
			why = found
		}
	}
	return why
}

func wrongCommand(t *testing.T, i invocation) string {
	t.Helper()
	a := testApp(t)
	cmd, words, err := a.root().Find(i.args)
	if err != nil {
		return err.Error()
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if err := cmd.ParseFlags(filled(cmd, words, i.bare)); err != nil {
		return err.Error()
	}
	if cmd.Flags().Changed("help") || cmd.Flags().Changed("version") {
		return ""
	}
	if !cmd.Runnable() {
		return "there is no such command"
	}
	if !slices.Contains(words, "…") {
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			return err.Error()
		}
	}
	if _, err := a.global.check(); err != nil {
		return err.Error()
	}
	if check := a.checks[cmd.Name()]; check != nil {
		if err := check(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// filled leaves flags out that have a placeholder for their value, or, where the
// command is bare, none. Those that the command does not have stay.
func filled(cmd *cobra.Command, words []string, bare bool) (left []string) {
	for n := 0; n < len(words); n++ {
		name, value, given := strings.Cut(strings.TrimPrefix(words[n], "--"), "=")
		f := cmd.Flag(name)
		if !strings.HasPrefix(words[n], "--") || f == nil || f.NoOptDefVal != "" {
			left = append(left, words[n])
			continue
		}
		last := n
		if !given && n+1 < len(words) {
			last, given = n+1, true
			value = words[last]
		}
		if !placeholder.MatchString(value) && (given || !bare) {
			left = append(left, words[n:last+1]...)
		}
		n = last
	}
	return left
}

// TestReadmeFlags shows what the checks of a command find and what they let be.
func TestReadmeFlags(t *testing.T) {
	tests := []struct {
		command string
		bare    bool
		ok      bool
	}{
		{"run x.csv --comment y --max-failures 10%", false, true},
		{"run LIST… --max-devices N --max-failures=N|P% --batch NAME", true, true},
		{"run --simulate LIST --limit 5 --minute 1s", false, true},
		{"plan … --retry refused,failed", true, true},
		{"verify DIR --key", true, true},
		{"verify DIR --key", false, false},
		{"status [BATCH]", true, true},
		{"forget BATCH --yes", false, true},
		{"--auth device-code", true, true},
		{"--until-final", true, true},
		{"--faults help", true, true},
		{"--help", true, true},
		{"run x.csv --help", false, true},
		{"fly x.csv", false, false},
		{"--no-such-flag", true, false},
		{"plan … --no-such-flag", true, false},
		{"plan … --no-such-flag=N", true, false},
		{"run --yes", false, false},
		{"forget", false, false},
		{"forget a b", false, false},
		{"plan x.csv --max-devices many", false, false},
		{"plan x.csv --max-devices -1", false, false},
		{"plan x.csv --max-percent 200", false, false},
		{"run x.csv --max-failures 5x", false, false},
		{"run x.csv --retry accepted", false, false},
		{"run x.csv --auth workload-identty", false, false},
		{"--auth workload-identty", true, false},
		{"run x.csv --cloud mars", false, false},
		{"run x.csv --endpoint http://a.example", false, false},
		{"run x.csv --between 22-6", false, false},
		{"run x.csv --timezone Europe/Madird", false, false},
		{"run x.csv --until 25:00", false, false},
		{"run x.csv --for -8h", false, false},
		{"run x.csv --per-minute 200", false, false},
		{"run x.csv --settle-wait 1m", false, false},
		{"run x.csv --notify ftp://a.example", false, false},
		{"run x.csv --notify-format carrier-pigeon", false, false},
		{"run x.csv --retention 90days", false, false},
		{"run x.csv --simulate --faults no-such-fault", false, false},
		{"run x.csv --simulate --auth azure-cli", false, false},
		{"status --log-format yaml", false, false},
		{"status --log-level loud", false, false},
		{"track a --every 0s", false, false},
		{"track a --until six", false, false},
		{"cancel a --settle-wait 1m", false, false},
		{"resolve x.csv --cloud mars", false, false},
		{"simulate --throttle none-at-all", false, false},
	}
	for _, tt := range tests {
		why := wrongWith(t, invocation{args: strings.Fields(tt.command), bare: tt.bare})
		if (why == "") != tt.ok {
			t.Errorf("mde-offboard %s: found %q; want it right: %v", tt.command, why, tt.ok)
		}
	}
}
