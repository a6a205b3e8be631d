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
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// Version is the program's, for the User-Agent, the audit and the command
// version.
const Version = "0.1.0"

// Env is all that a command touches of its process.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr *os.File
	Getenv         func(string) string
	Home           string
	// Context ends with the first signal, Hard with the second.
	Context, Hard context.Context
}

// app is one execution of the program.
type app struct {
	Env
	global globals
	log    *slog.Logger
	code   int
	zone   *time.Location // of the times that people read; nil: the local one
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
	f.StringVar(&g.logFile, "log-file", "", "append the log to `FILE` (default: none)")
	f.BoolVar(&g.quiet, "quiet", false, "say nothing but errors")
}

// usage marks an error as wrong usage.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// Main runs the program and returns the code to end with.
func Main(env Env, args []string) (code int) {
	a := &app{Env: env}
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(env.Stderr, "error: a fault of the program itself: %v\nhint: nothing that was answered is lost; the same command goes on. Please report this:\n%s\n", p, debug.Stack())
			code = batch.CodeError
		}
	}()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	if err := root.ExecuteContext(env.Context); err != nil {
		return a.complain(err)
	}
	return a.code
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
			if err := a.fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			return a.openLog()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w\nhint: %s --help lists the flags", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	a.global.addFlags(root.PersistentFlags())
	root.AddCommand(a.runCommand(), a.planCommand(), a.resolveCommand(), a.statusCommand(), a.reportCommand(), a.simulateCommand(), a.verifyCommand())
	return root
}

// guarded are the flags of consent and the guards: a forgotten variable in the
// environment must not disarm them.
var guarded = map[string]bool{
	"yes": true, "plan": true, "skip-invalid": true, "again": true, "no-inventory": true, "retry": true, "max-devices": true,
	"max-percent": true, "protect": true, "max-failures": true, "canary": true, "recently-seen": true, "help": true, "version": true,
}

// fromEnvironment sets the flags that were not given from MDE_OFFBOARD_….
func (a *app) fromEnvironment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "MDE_OFFBOARD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := a.Getenv(name)
		switch {
		case value == "" || f.Changed || err != nil:
		case guarded[f.Name]:
			fmt.Fprintf(a.Stderr, "warning: %s is not heeded: --%s is given on the command line or not at all\n", name, f.Name)
		default:
			if e := flags.Set(f.Name, value); e != nil {
				err = usage{fmt.Errorf("%s: %w", name, e)}
			}
		}
	})
	return err
}

// complain prints an error, from the outside in, with its hint, and returns the
// code for it.
func (a *app) complain(err error) int {
	text, hint := err.Error(), ""
	code := batch.CodeError
	var stop *batch.Stop
	var other *batch.ErrOtherRunner
	var u usage
	switch {
	case errors.As(err, &stop):
		hint, code = stop.Hint, stop.Code
	case errors.As(err, &other):
		hint, code = "wait for it, or stop it; two runners on one batch would only wait for each other", batch.CodeOtherRunner
	case errors.As(err, &u):
		code = batch.CodeUsage
	case strings.HasPrefix(text, "unknown command"), strings.Contains(text, "arg(s)"):
		code, hint = batch.CodeUsage, "mde-offboard --help lists the commands"
	case errors.Is(err, checkpoint.ErrDamaged):
		hint = "nothing was sent. If this checkpoint cannot be restored, start with another one (--checkpoint FILE): actions that exist are looked up first"
	}
	if hint == "" {
		hint = hintOf(err)
	}
	a.sayError(text, hint)
	return code
}

func (a *app) sayError(text, hint string) {
	fmt.Fprintln(a.Stderr, "error: "+text)
	if hint != "" {
		fmt.Fprintln(a.Stderr, "hint: "+hint)
	}
}

// say prints a line for people, unless --quiet.
func (a *app) say(format string, args ...any) {
	if !a.global.quiet {
		fmt.Fprintf(a.Stderr, format+"\n", args...)
	}
}

// openLog opens what --log-… name.
func (a *app) openLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.global.logLevel)); err != nil {
		return usage{fmt.Errorf("--log-level %q is none of debug, info, warn, error", a.global.logLevel)}
	}
	var w io.Writer
	switch {
	case a.global.logFile != "":
		f, err := os.OpenFile(a.global.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		w = f // until the process ends
	case level <= slog.LevelDebug || a.global.logFormat == "json":
		w = a.Stderr
	default:
		w = io.Discard // what there is to say at info is said in words
	}
	opt := &slog.HandlerOptions{Level: level}
	switch a.global.logFormat {
	case "text":
		a.log = slog.New(slog.NewTextHandler(w, opt))
	case "json":
		a.log = slog.New(slog.NewJSONHandler(w, opt))
	default:
		return usage{fmt.Errorf("--log-format %q is neither text nor json", a.global.logFormat)}
	}
	return nil
}

// openStore opens the checkpoint that the flags name.
func (a *app) openStore() (*checkpoint.Store, error) {
	return checkpoint.Open(a.checkpointPath())
}

func (a *app) checkpointPath() string {
	if a.global.checkpoint != "" {
		return a.global.checkpoint
	}
	return checkpoint.DefaultPath(a.Getenv, a.Home)
}
