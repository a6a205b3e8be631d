package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/pflag"
	"gopkg.in/natefinch/lumberjack.v2"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// The log has one record for each event, under these names, besides those of
// package batch; with --log-format json each is a line of JSON with time, level
// and msg. Names of events and of their attributes stay; new ones may come. A
// secret is in none of them.
const (
	logPlan    = "plan"    // batch, list, lines, toDo, inDoubt, invalid, simulated
	logProblem = "problem" // of a line: file, line, reason
	logEnd     = "end"     // batch, code, reason, counts, results, chain
	logStop    = "stop"    // where the command was told to: batch, reason, hint
	logError   = "error"   // batch, error, hint; stack, of a fault of the program
	logNote    = "note"    // what is no event of a batch
)

// The log file is begun anew when it has this size, and so many old ones are
// kept beside it.
const (
	logMegabytes = 50
	logOldFiles  = 10
)

// check says what is wrong with the flags of the log, and what its level is.
func (g *globals) check() (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(g.logLevel)); err != nil {
		return level, usage{fmt.Errorf("--log-level %q is none of debug, info, warn, error", g.logLevel)}
	}
	if g.logFormat != "text" && g.logFormat != "json" {
		return level, usage{fmt.Errorf("--log-format %q is neither text nor json", g.logFormat)}
	}
	return level, nil
}

// openLog opens what --log-… name.
func (a *app) openLog() error {
	level, err := a.global.check()
	if err != nil {
		return err
	}
	w, err := a.logWriter(level)
	if err != nil {
		return err
	}
	opt := &slog.HandlerOptions{Level: level}
	a.log = slog.New(slog.NewTextHandler(w, opt))
	if a.global.logFormat == "json" {
		a.log = slog.New(slog.NewJSONHandler(w, opt))
	}
	return nil
}

// openLogAnyway opens the log for an error that came before it was open, as far as
// flags and environment tell where it goes: who reads records reads that error as
// one too. What is wrong with the flags of the log itself is left out.
func (a *app) openLogAnyway(args []string) {
	if a.log != nil {
		return
	}
	a.log = slog.New(slog.DiscardHandler)
	a.global = a.logFlags(args)
	if a.openLog() == nil {
		return
	}
	if a.global = (globals{logFormat: a.global.logFormat, logLevel: "info"}); a.global.logFormat == "json" {
		a.openLog()
	}
}

// logFlags are the flags of the log in a command line of which some others are wrong;
// without a file that is needed for something else.
func (a *app) logFlags(args []string) globals {
	probe := &app{Env: a.Env}
	cmd, args, _ := probe.root().Find(args)
	cmd.InheritedFlags() // has them among its own
	flags := cmd.Flags()
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.ParseAll(args, func(f *pflag.Flag, value string) error {
		flags.Set(f.Name, value)
		return nil
	})
	for _, name := range append([]string{"log-format", "log-level", "log-file", "checkpoint", "results", "batch"}, readBy...) {
		if value := a.Getenv(variable(name)); value != "" && !flags.Changed(name) && !guarded[name] {
			flags.Set(name, value)
		}
	}
	// Behind a flag that is none, nobody knows what is its value and what is a list.
	words := slices.Clone(args)
	if i := slices.Index(words, "--log-file"); i >= 0 && i+1 < len(words) {
		words = slices.Delete(words, i, i+2)
	}
	if probe.needed = probe.read(cmd, words); probe.writes("--log-file", probe.global.logFile) != nil {
		probe.global.logFile = ""
	}
	return probe.global
}

// logWriter is where the log goes: to the file; as JSON to standard error, which
// then has nothing but records; as text to standard error only when it was asked
// for in detail, since what there is to say at info is said in words.
func (a *app) logWriter(level slog.Level) (io.Writer, error) {
	switch {
	case a.global.logFile != "":
		_, there := os.Stat(a.global.logFile)
		f, err := os.OpenFile(a.global.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, usage{hinted{fmt.Errorf("--log-file: %w", err), "name a file in a folder that is there and may be written to"}}
		}
		if there != nil {
			checkpoint.MakePrivate(a.global.logFile)
		}
		file := &lumberjack.Logger{Filename: a.global.logFile, MaxSize: logMegabytes, MaxBackups: logOldFiles}
		a.file = &logFile{Logger: file, missed: func(err error) {
			a.tell(fmt.Sprintf("warning: --log-file %s: %v: records are missing from it", a.global.logFile, err))
		}}
		return a.file, f.Close()
	case a.global.logFormat == "json":
		nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
		records := a.Stderr
		a.Stderr, a.wordless = nowhere, true
		return records, nil
	case level <= slog.LevelDebug:
		return a, nil
	}
	return io.Discard, nil
}

// logThePlan tells the log of a plan and of the lines that cannot be used.
func (a *app) logThePlan(j *job, s *connected, p *batch.Plan) {
	a.log.Info(logPlan, "batch", j.name, "list", p.List, "lines", p.Lines, "toDo", p.ToDo, "inDoubt", p.InDoubt, "invalid", p.Bad,
		"simulated", s.Simulated)
	a.logProblems(p)
}

func (a *app) logProblems(p *batch.Plan) {
	for _, problem := range p.Problems {
		a.log.Warn(logProblem, "file", problem.File, "line", problem.Line, "reason", problem.Text)
	}
}

// logWhy tells the log why a command ends, with the batch where it is known.
func (a *app) logWhy(level slog.Level, msg, name, why, hint string) {
	if !a.logsErrors() {
		return
	}
	var attrs []any
	if a.batch != "" {
		attrs = append(attrs, "batch", a.batch)
	}
	attrs = append(attrs, name, why)
	if hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	a.log.Log(context.Background(), level, msg, attrs...)
}

// logsErrors says whether the log has errors, which standard error has in words.
func (a *app) logsErrors() bool { return a.wordless || a.global.logFile != "" }

// logTheEnd tells the log how a run, a cancel or a track ended.
func (a *app) logTheEnd(e *ended, err error) {
	e.code = a.code
	if err != nil {
		e.code, e.hint = codeOf(err)
		e.why = err.Error()
	}
	attrs := []any{"batch", e.batch, "code", e.code}
	if e.why != "" {
		attrs = append(attrs, "reason", e.why)
	}
	if e.sum.Path != "" {
		attrs = append(attrs, "lines", e.sum.Lines)
		for _, st := range statuses {
			attrs = append(attrs, string(st), e.sum.Counts[st])
		}
		attrs = append(attrs, "results", e.sum.Path, "chain", e.head)
	}
	a.log.Info(logEnd, append(attrs, e.more...)...)
}

// statuses are those that a run can leave behind, in the order in which they
// are told.
var statuses = []checkpoint.Status{checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Skipped, checkpoint.Refused,
	checkpoint.Failed, checkpoint.InDoubt, checkpoint.Pending}
