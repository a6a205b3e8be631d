package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch/input"
	"mde-offboard/batch/simulator"
)

// rehearsal are the flags of the command simulate.
type rehearsal struct {
	opt      simulator.Options
	addr     string
	metadata string
	dir      string
	books    string
	listed   []string
	made     bool // dir is ours, and goes with us
}

func (a *app) simulateCommand() *cobra.Command {
	r := &rehearsal{}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Serve a strict Defender with faults on request, for rehearsals",
		Long: `simulate serves a Defender that is as strict as the real one, with an OAuth
authority of its own, over HTTPS on loopback. It prints the variables with which
a run in another process finds it, and the totals of its books when it ends.`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, args []string) error { return a.simulate(r) },
	}
	a.checks["simulate"] = r.checkFlags
	f := cmd.Flags()
	f.StringVar(&r.addr, "listen", "127.0.0.1:0", "loopback `ADDRESS` to serve on")
	f.StringVar(&r.dir, "dir", "", "write ca.pem and env to `DIR` (default: a new temporary one)")
	f.StringVar(&r.books, "books", "", "write the books to `FILE` at the end, with every device (default: none; their totals go to standard output)")
	f.StringSliceVar(&r.listed, "inventory", nil, "take the devices of these `LISTS` for the inventory (default: every id is a device)")
	f.Int64Var(&r.opt.Seed, "seed", 1, "seed `N` of all that is random")
	f.Var((*faultSpec)(&r.opt.Faults), "faults", "faults `SPEC` to play, such as lost-after=5%,429-seconds@40; help: lists them")
	f.IntVar(&r.opt.PerMinute, "per-minute", 100, "calls a minute, at most `N`")
	f.IntVar(&r.opt.PerHour, "per-hour", 1500, "calls an hour, at most `N`")
	f.DurationVar(&r.opt.Minute, "minute", time.Minute, "length `D` of the minute window")
	f.DurationVar(&r.opt.Hour, "hour", time.Hour, "length `D` of the hour window")
	f.BoolVar(&r.opt.FixedWindows, "fixed-windows", false, "windows that start on the clock's multiples, not sliding ones")
	f.BoolVar(&r.opt.SharedBudget, "shared-budget", false, "count all kinds of call in one budget")
	f.DurationVar(&r.opt.Lag, "lag", time.Second, "a fresh action is invisible for `D`")
	f.DurationVar(&r.opt.LatencyMin, "latency-min", 5*time.Millisecond, "least latency `D`, each way")
	f.DurationVar(&r.opt.LatencyMax, "latency-max", 50*time.Millisecond, "largest latency `D`, each way")
	f.StringVar(&r.opt.Repeat, "repeat", simulator.RepeatRefuse, "`ANSWER` to a second offboard call: refuse, existing or second")
	f.StringVar(&r.opt.Throttle, "throttle", simulator.ThrottleSeconds, "how a 429 names the wait, `WAY`: seconds, date, message, window, none or mixed")
	f.DurationVar(&r.opt.Penalty, "penalty", 0, "what each call during a hold adds to it, `D`")
	f.IntVar(&r.opt.Success, "success", 0, "`STATUS` of an accepted call: 200 or 201 (default: either, by seed)")
	f.StringVar(&r.opt.Echo, "echo", simulator.EchoAlways, "machineId and computerDnsName in an answer, `WHEN`: always, never or mixed")
	f.BoolVar(&r.opt.OddSpellings, "odd-spellings", false, "write Canceled and lastUpdateTimeUtc, as some answers do")
	f.StringVar(&r.opt.Troubleshoot, "troubleshoot", simulator.TroubleshootNull, "`SHAPE` of troubleshootInfo in a failed action: null, text or object")
	f.IntVar(&r.opt.MaxComment, "max-comment", 1000, "characters of a comment, at most `N`")
	f.DurationVar(&r.opt.TokenLife, "token-life", time.Hour, "life `D` of a token")
	f.StringSliceVar(&r.opt.Roles, "roles", []string{"Machine.Offboard", "Machine.Read.All"}, "`PERMISSIONS` of the application")
	f.StringSliceVar(&r.opt.Scopes, "scopes", []string{"Machine.Offboard", "Machine.Read"}, "`PERMISSIONS` that a user has delegated")
	f.IntVar(&r.opt.DevicePolls, "device-polls", 0, "a login with a device code is pending for `N` polls")
	f.StringVar(&r.metadata, "metadata", "", "serve tokens of a managed identity too, over plain HTTP on the loopback `ADDRESS`, such as 127.0.0.1:0")
	f.StringSliceVar(&r.opt.Audiences, "audiences", nil, "take tokens for these `SERVICES` only (default: those of all clouds)")
	f.DurationVar(&r.opt.Pending, "pending", 0, "actions start after `D`; 0: they stay Pending")
	f.DurationVar(&r.opt.Running, "running", 0, "and run for `D`")
	f.IntVar(&r.opt.FailPercent, "fail-percent", 0, "share `P` of the actions that end Failed or TimeOut")
	return cmd
}

// checkFlags refuses what no simulator can be made of, and zeros that would mean
// something else to it.
func (r *rehearsal) checkFlags() error {
	if r.opt.PerMinute < 1 || r.opt.PerHour < 1 {
		return usage{errors.New("--per-minute and --per-hour must be 1 or more")}
	}
	if r.opt.Minute <= 0 || r.opt.Hour <= 0 || r.opt.TokenLife <= 0 {
		return usage{errors.New("--minute, --hour and --token-life must be positive")}
	}
	if err := errors.Join(checkPermissions("--roles", r.opt.Roles, false), checkPermissions("--scopes", r.opt.Scopes, true)); err != nil {
		return usage{err}
	}
	if r.opt.MaxComment < 1 {
		return usage{errors.New("--max-comment must be 1 or more")}
	}
	if err := simulator.CheckAddress(r.addr); err != nil {
		return usage{fmt.Errorf("--listen %s: %w", r.addr, err)}
	}
	if r.metadata != "" {
		if err := simulator.CheckAddress(r.metadata); err != nil {
			return usage{fmt.Errorf("--metadata %s: %w", r.metadata, err)}
		}
	}
	if err := checkFaults(r.opt.Faults); err != nil {
		return err
	}
	if _, err := simulator.New(r.opt); err != nil {
		return usage{err}
	}
	return nil
}

// checkPermissions refuses a permission, of the application or of a user, that no
// call asks for.
func checkPermissions(flag string, names []string, user bool) error {
	known := simulator.Permissions(user)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s %q is none of %s", flag, name, strings.Join(known, ", "))
		}
	}
	return nil
}

func (a *app) simulate(r *rehearsal) error {
	if err := r.checkFlags(); err != nil {
		return err
	}
	if r.books != "" {
		if err := tryFile("--books", r.books); err != nil {
			return usage{err}
		}
	}
	files, err := input.Expand(r.listed)
	if err != nil {
		return usage{err}
	}
	j := job{files: files}
	if r.opt.Machines, err = j.inventory(); err != nil {
		return err
	}
	r.opt.AnyDevice = len(files) == 0
	sim, err := simulator.New(r.opt)
	if err != nil {
		return usage{err}
	}
	if err := sim.Listen(r.addr); err != nil {
		return err
	}
	defer sim.Close()
	defer func() {
		if r.made {
			os.RemoveAll(r.dir)
		}
	}()
	if err := r.announce(a, sim); err != nil {
		return err
	}
	<-a.Context.Done()
	books := sim.Books()
	a.answer(func() { a.sayTotals(books) })
	if r.books == "" {
		return nil
	}
	whole, err := json.MarshalIndent(books, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.books, whole, 0o600)
}

// powerShellQuotes are all that PowerShell takes for a single quote.
var powerShellQuotes = regexp.MustCompile("['\u2018-\u201b]")

// announce writes what a run needs and says how to use it.
func (r *rehearsal) announce(a *app, sim *simulator.Server) (err error) {
	if r.dir == "" {
		if r.dir, err = os.MkdirTemp("", "mde-offboard-simulator-*"); err != nil {
			return err
		}
		r.made = true
	} else if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return err
	}
	ca := filepath.Join(r.dir, "ca.pem")
	env := [][2]string{
		{"MDE_OFFBOARD_ENDPOINT", sim.URL()}, {"MDE_OFFBOARD_AUTHORITY_HOST", sim.URL()}, {"MDE_OFFBOARD_CA_FILE", ca},
		{"MDE_OFFBOARD_AUTH", "environment"}, {"AZURE_TENANT_ID", simulator.DefaultTenant},
		{"AZURE_CLIENT_ID", simulator.DefaultApplication}, {"AZURE_CLIENT_SECRET", simulator.DefaultSecret},
	}
	if r.metadata != "" {
		endpoint, err := sim.ListenMetadata(r.metadata)
		if err != nil {
			return err
		}
		env = append(env, [2]string{"IDENTITY_ENDPOINT", endpoint}, [2]string{"IDENTITY_HEADER", simulator.IdentityHeader})
	}
	text, powershell := "", ""
	for _, e := range env {
		text += e[0] + "=" + quoted(e[1], false) + "\n"
		powershell += "$env:" + e[0] + " = '" + powerShellQuotes.ReplaceAllString(e[1], "$0$0") + "'\n"
	}
	if err := os.WriteFile(filepath.Join(r.dir, "env.ps1"), []byte(powershell), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(ca, sim.CertPEM(), 0o600); err != nil {
		return err
	}
	// Under this name last: whoever waits for the file finds it whole.
	if err := writeWhole(filepath.Join(r.dir, "env"), text); err != nil {
		return err
	}
	a.say("SIMULATED Defender at %s; the variables that a run needs are in %s (env.ps1 for PowerShell):", sim.URL(), filepath.Join(r.dir, "env"))
	fmt.Fprint(a.Stdout, text)
	a.say("Its books: %s/simulator/books; here at the end their totals, and all of them with --books FILE. Ctrl-C ends it.", sim.URL())
	return nil
}

func writeWhole(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
