package command

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mde-offboard/batch"
)

// called runs the program in this process, in a folder of its own, and returns its
// code and what it wrote.
func called(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var files [2]*os.File
	dir := t.TempDir()
	for i := range files {
		f, err := os.Create(filepath.Join(dir, "said"+string(rune('0'+i))))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is at work ends at once
	code = Main(Env{Stdin: strings.NewReader(""), Stdout: files[0], Stderr: files[1], Getenv: variables(append(env, "XDG_STATE_HOME", dir)...),
		LookupEnv: func(name string) (string, bool) { return "", slices.Contains(env, name) }, Home: dir, Context: ctx, Hard: ctx, Last: ctx}, args)
	return code, fileText(t, files[0].Name()), fileText(t, files[1].Name())
}

// TestFaultsHelp: help is a request wherever a specification is taken, and whatever
// else is missing.
func TestFaultsHelp(t *testing.T) {
	for _, args := range []string{"run --faults help", "plan --simulate list.csv --faults=help", "simulate --faults help"} {
		code, stdout, stderr := called(t, nil, strings.Fields(args)...)
		if code != batch.CodeDone || stderr != "" || !strings.Contains(stdout, "\n429-seconds, ") || !strings.Contains(stdout, "\nnoid  ") {
			t.Errorf("%s ended with %d; want 0 and the faults\n%s%s", args, code, stdout, stderr)
		}
	}
	if code, stdout, _ := called(t, []string{"MDE_OFFBOARD_FAULTS", "help"}, "run", "list.csv"); code != batch.CodeDone || stdout == "" {
		t.Errorf("by the environment: code %d, %q; want 0 and the faults", code, stdout)
	}
}

// TestWrongUsage: what is wrong is said on the screen with code 2, also before the
// log is open that there is to be.
func TestWrongUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		reason string
		env    []string
		args   string
		want   string
	}{
		{"a flag that is not there", nil, "run --log-file x.log --bogus fleet.csv", "unknown flag: --bogus"},
		{"a folder for a checkpoint", nil, "status --checkpoint .", "checkpoint . is a folder\nhint: name a file, which may be in it: --checkpoint checkpoint.db"},
		{"a command that is not there", nil, "fly --log-file x.log", `unknown command "fly"`},
		{"a level that is none", nil, "run fleet.csv --log-level loud --log-file x.log", `--log-level "loud" is none of`},
		{"a number that is none", nil, "run fleet.csv --per-minute abc", `--per-minute "abc" is not a whole number`},
		{"one that is too large", nil, "run fleet.csv --per-minute 99999999999999999999", `--per-minute "99999999999999999999" is out of range`},
		{"a switch that is neither on nor off", nil, "run fleet.csv --yes=maybe", `--yes "maybe" is neither true nor false`},
		{"a length of time without a unit", nil, "track fleet --every 5", `--every "5" is not a length of time such as 90s or 8h`},
		{"one that is given in words", nil, "run fleet.csv --retention 90days", `--retention "90days" is not a length of time such as 90d or 36h`},
		{"the same of a guard", nil, "run fleet.csv --recently-seen 3days", `--recently-seen "3days" is not a length of time such as 90d or 36h`},
		{"a share that is none", nil, "run fleet.csv --max-percent 200", `--max-percent "200": it is not a share`},
		{"a flag without its value", nil, "run fleet.csv --batch", "flag needs an argument: --batch"},
		{"a command without its list", nil, "run --yes", "run: LIST… is missing"},
		{"a command without its batch", nil, "track", "track: BATCH is missing"},
		{"an argument too many", nil, "status fleet 7 x", `status: "x" is one argument too many`},
		{"one where none is taken", nil, "version x", `version: "x" is one argument too many`},
		{"another", nil, "simulate extra", `simulate: "extra" is one argument too many`},
		{"a permission that is none", nil, "simulate --roles Machine.Offboard,Foo", `--roles "Foo" is none of Machine.`},
		{"more workers than there is memory for", nil, "run fleet.csv --workers 1000000000000", "--workers must be from 1 to 1500"},
		{"a simulator that takes no call", nil, "simulate --per-minute 0", "--per-minute and --per-hour must be 1 or more"},
		{"a window without a length", nil, "simulate --minute 0s", "--minute, --hour and --token-life must be positive"},
		{"a simulator for all the world", nil, "simulate --listen 0.0.0.0:0", `--listen 0.0.0.0:0: "0.0.0.0" is not a loopback address`},
		{"a managed identity for all the world", nil, "simulate --metadata 0.0.0.0:0", `--metadata 0.0.0.0:0: "0.0.0.0" is not a loopback address`},
		{"a simulator that takes no comment", nil, "simulate --max-comment 0", "--max-comment must be 1 or more"},
		{"a permission of a user's that is none", nil, "simulate --scopes Machine.Offboard,Machine.Reed", `--scopes "Machine.Reed" is none of `},
		{"one at no address", nil, "simulate --listen nonsense", "--listen nonsense: address nonsense: missing port"},
		{"one at no port", nil, "simulate --listen 127.0.0.1:http-ish", "--listen 127.0.0.1:http-ish: "},
		{"books in no folder", nil, "simulate --books nofolder/books.json", "--books nofolder/books.json: there is no folder nofolder"},
		{"books that are a folder", nil, "simulate --books .", "--books . is a folder"},
		{"help of what is not there", nil, "help nosuch", `unknown command "nosuch"`},
		{"a shell that is not there", nil, "completion bash2", `completion: "bash2" is one argument too many`},
		{"a log in no folder", nil, "status --log-file nofolder/x.log", "--log-file: open nofolder/x.log: "},
		{"a log that is a folder", nil, "status --log-file .", "--log-file: open .: "},
		{"a cancel of no devices, not of the whole batch", nil, "cancel fleet --yes --only=", "--only: it is empty"},
		{"one of a list that is not named", nil, "cancel fleet --yes --only keep.csv,", "--only: it is empty"},
		{"the same by a variable", []string{"MDE_OFFBOARD_ONLY", ""}, "cancel fleet --yes", "MDE_OFFBOARD_ONLY: it is empty"},
		{"a variable with lists and no name in it", []string{"MDE_OFFBOARD_ONLY", " , "}, "cancel fleet --yes", "MDE_OFFBOARD_ONLY: it is empty"},
		{"a guard without its file", nil, "run fleet.csv --yes --protect=", "--protect: it is empty"},
		{"a plan without its digest", nil, "run fleet.csv --plan=", "--plan: it is empty"},
		{"an endpoint that would be Defender's", nil, "run fleet.csv --endpoint=", "--endpoint: it is empty"},
		{"a checkpoint that would be the user's", nil, "run fleet.csv --checkpoint=", "--checkpoint: it is empty"},
		{"a check against no key", nil, "verify fleet.report --key=", "--key: it is empty"},
		{"an end that is blank", []string{"MDE_OFFBOARD_UNTIL", " "}, "run fleet.csv", "MDE_OFFBOARD_UNTIL: it is empty"},
		{"a variable that is no number", []string{"MDE_OFFBOARD_PER_MINUTE", "abc", "MDE_OFFBOARD_LOG_FILE", "x.log"}, "run fleet.csv",
			`MDE_OFFBOARD_PER_MINUTE "abc" is not a whole number`},
		{"a variable with a zone that is none", []string{"MDE_OFFBOARD_TIMEZONE", "Mars"}, "run fleet.csv", `MDE_OFFBOARD_TIMEZONE "Mars" is no zone`},
		{"one beside a flag that was given", []string{"MDE_OFFBOARD_WORKERS", "0"}, "run fleet.csv --per-minute 5", "MDE_OFFBOARD_WORKERS must be"},
		{"one that the command line overrules", []string{"MDE_OFFBOARD_UNTIL", "06:00"}, "run fleet.csv --until 25:00", `--until "25:00" is not a time`},
		{"one of the log", []string{"MDE_OFFBOARD_LOG_LEVEL", "loud"}, "status", `MDE_OFFBOARD_LOG_LEVEL "loud" is none of`},
		{"faults that there are not", nil, "run fleet.csv --faults flood", "--faults: fault \"flood\": \"flood\" is not known\nhint: --faults help says"},
		{"the same of a simulator", nil, "simulate --faults flood", "--faults: fault \"flood\": \"flood\" is not known\nhint: --faults help says"},
		{"a rehearsal with a login of its own", nil, "run --simulate fleet.csv --auth environment", "--simulate brings an endpoint and a login of its own"},
	} {
		code, stdout, stderr := called(t, tt.env, strings.Fields(tt.args)...)
		if code != batch.CodeUsage || stdout != "" || !strings.Contains(stderr, "error: "+tt.want) {
			t.Errorf("%s: %s ended with %d; want 2 and %q\n%s%s", tt.reason, tt.args, code, tt.want, stdout, stderr)
		}
	}
}

// TestRehearsalBesideSimulator: in a terminal that has the variables of the command
// simulate, --simulate rehearses all the same, and says what it does not heed.
func TestRehearsalBesideSimulator(t *testing.T) {
	t.Chdir(t.TempDir())
	env := []string{"MDE_OFFBOARD_ENDPOINT", "https://127.0.0.1:1", "MDE_OFFBOARD_AUTHORITY_HOST", "https://127.0.0.1:1", "MDE_OFFBOARD_CA_FILE", "ca.pem", "MDE_OFFBOARD_AUTH", "environment"}
	const note = "warning: MDE_OFFBOARD_AUTH, MDE_OFFBOARD_AUTHORITY_HOST, MDE_OFFBOARD_CA_FILE, MDE_OFFBOARD_ENDPOINT: not heeded, --simulate brings"
	for _, tt := range []struct {
		env  []string
		args string
	}{{env, "plan --simulate fleet.csv"}, {append(env, "MDE_OFFBOARD_SIMULATE", "true"), "plan fleet.csv"}} {
		_, _, stderr := called(t, tt.env, strings.Fields(tt.args)...)
		if !strings.HasPrefix(stderr, note) || !strings.Contains(stderr, "error: open fleet.csv: ") {
			t.Errorf("%s said\n%s; want that the variables are not heeded, and then of the list", tt.args, stderr)
		}
	}
}

// TestNoHome: what a run has to remember does not lie wherever it was started.
func TestNoHome(t *testing.T) {
	t.Chdir(t.TempDir())
	a := testApp(t)
	a.Getenv, a.Home, a.global.checkpoint = variables(), "", ""
	_, err := a.openStore()
	if code, hint := codeOf(err); code != batch.CodeUsage || !strings.Contains(hint, "--checkpoint FILE") {
		t.Errorf("openStore() = %v, code %d, hint %q; want 2 and how to name one", err, code, hint)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("the current folder has %v, %v; want nothing", left, err)
	}
}

// TestHintAtARunner: a runner that hangs is not one to wait for.
func TestHintAtARunner(t *testing.T) {
	for silent, want := range map[bool]string{false: "wait for it, or stop it", true: "if it hangs, end its process"} {
		if code, hint := codeOf(&batch.ErrOtherRunner{Name: "list", Silent: silent}); code != batch.CodeOtherRunner || !strings.HasPrefix(hint, want) {
			t.Errorf("a runner that is silent: %v: code %d, hint %q; want 6 and %q", silent, code, hint, want)
		}
	}
}
