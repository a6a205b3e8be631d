// Package command is what a person or a script sees of mde-offboard: the
// commands, their flags, what they print and the code with which they end.
//
// It is a package, and not main.go alone, so that each command has a file of
// its own; nothing in it decides about a device.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/report"
)

// Version is the program's, for the User-Agent, the audit and the command
// version.
const Version = "0.1.0"

// Env is all that a command touches of its process.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr *os.File
	Getenv func(string) string
	// LookupEnv tells a variable that is empty from one that is not set; nil: an
	// empty one is not set.
	LookupEnv func(string) (string, bool)
	Home      string
	// Context ends with the first signal, Hard with the second, Last with the
	// third or soon after Hard.
	Context, Hard, Last context.Context
}

// app is one execution of the program.
type app struct {
	Env
	global globals
	log    *slog.Logger
	file   *logFile // that the log goes to; nil: to none
	code   int
	batch  string // that the command is about, once it is known
	// wordless: standard error is for records of the log alone, and Stderr
	// leads nowhere.
	wordless bool
	asked    bool // what is said now is what was asked for
	above    above
	given    map[string]string // the variables that have set flags, by the flags' names
	needed   []needed          // the files that nothing else may be written to
	zone     *time.Location    // of the times that people read; nil: the local one
	// checks are what each command checks of its flags before it does anything
	// else, by its name. The test of the README makes them too.
	checks map[string]func() error
	// answers has a question answered in place of somebody at the terminal; nil: not.
	answers func(question string) (string, error)
}

// globals are the flags of every command.
type globals struct {
	checkpoint string
	logFormat  string
	logLevel   string
	logFile    string
	quiet      bool
}

func (g *globals) addFlags(f *pflag.FlagSet) {
	f.StringVar(&g.checkpoint, "checkpoint", "", "checkpoint `FILE` (default: in the user's state directory)")
	f.StringVar(&g.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
	f.StringVar(&g.logLevel, "log-level", "info", "log `LEVEL`: debug, info, warn or error")
	f.StringVar(&g.logFile, "log-file", "", "append the log to `FILE`, which is begun anew at 50 MB; ten old ones are kept (default: none)")
	f.BoolVar(&g.quiet, "quiet", false, "say nothing but errors")
}

// usage marks an error as wrong usage.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// hinted is an error with what its reader can do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Main runs the program and returns the code to end with.
func Main(env Env, args []string) (code int) {
	env.Stdout = output{env.Stdout}
	a := &app{Env: env}
	defer func() {
		if a.file != nil {
			a.file.Close()
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			code = a.fault(p, debug.Stack(), args)
		}
	}()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(env.Context)
	if asked, ok := errors.AsType[request](err); ok {
		fmt.Fprint(a.Stdout, asked.text)
		return batch.CodeDone
	}
	if err != nil {
		a.openLogAnyway(args)
		return a.complain(a.byVariable(err))
	}
	return a.code
}

// fault tells of a panic. What draws on standard error may have been what broke.
func (a *app) fault(p any, stack []byte, args []string) int {
	a.openLogAnyway(args)
	text, hint := "a fault of the program itself: "+defender.Redact(fmt.Sprint(p)), "nothing that was answered is lost; the same command goes on. Please report this"
	if a.logsErrors() {
		a.log.Error(logError, "error", text, "hint", hint, "stack", string(stack))
	}
	if !a.wordless {
		fmt.Fprintf(a.Stderr, "error: %s\nhint: %s:\n%s\n", text, hint, stack)
	}
	return batch.CodeError
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mde-offboard",
		Short: "Take lists of devices out of Microsoft Defender for Endpoint",
		Long: `mde-offboard takes lists of devices out of Microsoft Defender for Endpoint, at
exactly the rate that Defender allows, and tells what became of each. It can be
stopped, killed or unplugged at any moment: the same command goes on.

Try it first, without a tenant:   mde-offboard run --simulate LIST.csv
Then look, without changing:      mde-offboard plan LIST.csv
Then do it:                       mde-offboard run LIST.csv`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       Version,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			ignored, err := a.fromEnvironment(cmd.Flags())
			if err != nil {
				return err
			}
			if err := a.apart(cmd, args); err != nil {
				return err
			}
			if err := a.openLog(); err != nil {
				return err
			}
			for _, text := range ignored {
				a.warn(text)
			}
			return nil
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if asked, ok := errors.AsType[request](err); ok {
			return asked
		}
		return usage{hinted{badValue(err, ""), cmd.CommandPath() + " --help lists the flags"}}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	a.global.addFlags(root.PersistentFlags())
	a.checks = map[string]func() error{}
	root.AddCommand(a.runCommand(), a.planCommand(), a.resolveCommand(), a.statusCommand(), a.trackCommand(), a.cancelCommand(), a.reportCommand(), a.simulateCommand(), a.verifyCommand(), a.forgetCommand(), a.versionCommand())
	strict(root)
	return root
}

// guarded are the flags of consent and the guards: a forgotten variable in the
// environment must not disarm them.
var guarded = map[string]bool{
	"yes": true, "plan": true, "skip-invalid": true, "again": true, "no-inventory": true, "retry": true, "max-devices": true,
	"max-percent": true, "protect": true, "max-failures": true, "canary": true, "recently-seen": true, "help": true, "version": true,
}

// bounds are the flags that say when a command calls, how much and for which
// devices. A variable for one of them that is set and empty is a mistake, as an
// empty flag is: to heed it as none would be to call at any hour.
var bounds = map[string]bool{"between": true, "timezone": true, "until": true, "for": true, "limit": true, "only": true}

// brought are the flags of what a rehearsal brings along. The variables that the
// command simulate prints set them for runs against that, in a terminal in which
// somebody may rehearse with --simulate too.
var brought = map[string]bool{"endpoint": true, "authority-host": true, "ca-file": true, "auth": true}

// fromEnvironment sets the flags that were not given from MDE_OFFBOARD_…, and
// says which of these it does not heed. One that was given, here or there, must
// not be empty.
func (a *app) fromEnvironment(flags *pflag.FlagSet) (ignored []string, err error) {
	a.given = map[string]string{}
	rehearses, spare := a.rehearses(flags), []string(nil)
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value := a.Getenv(name)
		switch {
		case err != nil:
		case f.Changed && isEmpty(f):
			err = usage{fmt.Errorf("--%s: %w", f.Name, errEmpty)}
		case f.Changed:
		case value == "" && bounds[f.Name] && a.isSet(name):
			err = usage{fmt.Errorf("%s: %w", name, errEmpty)}
		case value == "":
		case guarded[f.Name]:
			ignored = append(ignored, fmt.Sprintf("%s is not heeded: --%s is given on the command line or not at all", name, f.Name))
		case rehearses && brought[f.Name]:
			spare = append(spare, name)
		default:
			a.given[f.Name] = name
			if e := flags.Set(f.Name, value); e != nil {
				err = usage{badValue(e, name)}
			} else if isEmpty(f) {
				err = usage{fmt.Errorf("%s: %w", name, errEmpty)}
			}
		}
	})
	if spare != nil {
		ignored = append(ignored, strings.Join(spare, ", ")+": not heeded, --simulate brings an endpoint and a login of its own")
	}
	return ignored, err
}

// rehearses says whether --simulate is given, here or by its variable.
func (a *app) rehearses(flags *pflag.FlagSet) bool {
	f := flags.Lookup("simulate")
	if f == nil {
		return false
	}
	value := f.Value.String()
	if !f.Changed {
		value = a.Getenv(variable(f.Name))
	}
	is, _ := strconv.ParseBool(value) // what is neither is told where it is set
	return is
}

var flagName = regexp.MustCompile(`--[a-z]+(-[a-z]+)*`)

// byVariable has an error of usage blame the variables that set flags, where its
// checks, which see values alone, name the flags.
func (a *app) byVariable(err error) error {
	if _, ok := errors.AsType[usage](err); !ok {
		return err
	}
	return usage{reworded{err, flagName.ReplaceAllStringFunc(err.Error(), func(flag string) string {
		return either(a.given[flag[len("--"):]], flag)
	})}}
}

// reworded is an error in other words.
type reworded struct {
	error
	text string
}

func (r reworded) Error() string { return r.text }
func (r reworded) Unwrap() error { return r.error }

// variable is the one in the environment that stands for a flag.
func variable(flag string) string {
	return "MDE_OFFBOARD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// isSet says whether a variable is there, empty or not.
func (a *app) isSet(name string) (is bool) {
	if a.LookupEnv != nil {
		_, is = a.LookupEnv(name)
	}
	return is
}

// complain prints an error, from the outside in, with its hint, and returns the
// code for it. A stop that was asked for is no error, and most nights end so.
func (a *app) complain(err error) int {
	code, hint := codeOf(err)
	lines := err.Error()
	if hint != "" {
		lines += "\nhint: " + hint
	}
	if stop, ok := errors.AsType[*batch.Stop](err); ok && stop.Asked {
		a.say("stopped: %s", lines)
		a.logWhy(slog.LevelInfo, logStop, "reason", err.Error(), hint)
		return code
	}
	a.tell("error: " + lines)
	a.logWhy(slog.LevelError, logError, "error", err.Error(), hint)
	return code
}

// codeOf is the code for an error, and the hint that goes with it.
func codeOf(err error) (code int, hint string) {
	text := err.Error()
	code = batch.CodeError
	var stop *batch.Stop
	var other *batch.ErrOtherRunner
	var u usage
	switch {
	case errors.As(err, &stop):
		hint, code = stop.Hint, stop.Code
	case errors.As(err, &other):
		hint, code = "wait for it, or stop it; two runners on one batch would only wait for each other", batch.CodeOtherRunner
		if other.Silent {
			hint = "if it hangs, end its process: the same command then goes on, and looks up what it left in doubt"
		}
	case errors.As(err, &u):
		code = batch.CodeUsage
	case strings.HasPrefix(text, "unknown command"):
		code, hint = batch.CodeUsage, "mde-offboard --help lists the commands"
	case errors.Is(err, context.Canceled):
		code, hint = batch.CodeStopped, "the same command goes on"
	case errors.Is(err, checkpoint.ErrDamaged):
		hint = "if this checkpoint cannot be restored, start with another one (--checkpoint FILE): actions that exist are looked up first"
	case errors.Is(err, checkpoint.ErrDisk):
		hint = batch.HintOfDisk(err)
	}
	if hint == "" {
		hint = hintOf(err)
	}
	if h, ok := errors.AsType[hinted](err); ok && hint == "" {
		hint = h.hint
	}
	return code, hint
}

// say prints a line for people, unless --quiet; what was asked for itself in any case.
func (a *app) say(format string, args ...any) {
	if !a.global.quiet || a.asked {
		a.tell(fmt.Sprintf(format, args...))
	}
}

// note says what a read waits for.
func (a *app) note(text string) { a.say("%s", text) }

// tell prints lines for people. What lists and answers put into them is harmless
// on a terminal.
func (a *app) tell(text string) {
	var w io.Writer = a
	if a.asked {
		w = a.Stdout
	}
	fmt.Fprintln(w, printable(text))
}

// answer has what show says go to standard output: it is what the command is for.
func (a *app) answer(show func()) {
	a.asked = true
	show()
	a.asked = false
}

func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = report.Plain(lines[i])
	}
	return strings.Join(lines, "\n")
}

// openStore opens the checkpoint that the flags name.
func (a *app) openStore() (*checkpoint.Store, error) {
	path := a.checkpointPath()
	if path == "" {
		return nil, usage{hinted{errors.New("this user has no home folder, in which the checkpoint would lie"), "name it: --checkpoint FILE, the same one each time"}}
	}
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return nil, usage{hinted{fmt.Errorf("checkpoint %s is a folder", path), "name a file, which may be in it: --checkpoint " + quoted(filepath.Join(path, "checkpoint.db"), runtime.GOOS == "windows")}}
	}
	return checkpoint.Open(path)
}

func (a *app) checkpointPath() string {
	if a.global.checkpoint != "" {
		return a.global.checkpoint
	}
	return checkpoint.DefaultPath(a.Getenv, a.Home)
}
