package command

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

// display shows progress on standard error, as that allows.
func (a *app) display() *report.Display {
	var w io.Writer = a.Stderr
	if a.global.quiet || a.global.logFormat == "json" && a.global.logFile == "" {
		w = io.Discard
	}
	return report.NewDisplay(w, report.DisplayOptions{Terminal: report.ANSI(a.Stderr), Unicode: runtime.GOOS == "windows" || report.UTF8(a.Getenv),
		Width: func() int {
			w, _, err := term.GetSize(int(a.Stderr.Fd()))
			if err != nil {
				return 80
			}
			return w
		}})
}

// showPlan says what would be done.
func (a *app) showPlan(j *job, s *connected, p *batch.Plan, open *batch.Open) {
	if s.Simulated {
		a.say("SIMULATED: a rehearsal, no device is touched")
	}
	a.say("Batch       %s%s", j.name, resumed(p))
	a.say("List        %s: %s", p.List, count(p.Lines, "line"))
	for _, n := range p.Notes {
		a.say("            %s", n)
	}
	a.say("Target      tenant %s, application %s, %s", s.Key.Tenant, s.Key.Application, s.Host)
	a.problems(p)
	a.say("To do       %s", count(p.ToDo, "device"))
	a.row(p.InDoubt, "in doubt", "looked up before anything else")
	a.row(p.Duplicates, "duplicate", "skipped")
	if p.Request.SkipInvalid {
		a.row(p.Invalid, "invalid", "skipped")
	}
	for _, kind := range sortedKeys(p.Held) {
		a.row(p.Held[kind], kind, "held back")
	}
	for _, st := range sortedKeys(p.Done) {
		a.row(p.Done[st], string(st), "from before")
	}
	a.row(p.Added, "new in the list", "")
	a.row(p.Withdrawn, "no longer in the list", "not sent, withdrawn")
	a.row(p.Gone, "no longer in the list", "sent before, stays in the result")
	a.row(p.Recomment, "another comment", "")
	a.forecast(j, s, p)
}

func (a *app) row(n int, what, remark string) {
	if n > 0 {
		line := fmt.Sprintf("            %d %s", n, what)
		if remark != "" {
			line += ": " + remark
		}
		a.say("%s", line)
	}
}

func resumed(p *batch.Plan) string {
	if p.Batch.ID == 0 {
		return " (new)"
	}
	return ", begun " + p.Batch.Created.Local().Format("2006-01-02 15:04")
}

// forecast says how many calls there will be and when the last one goes.
func (a *app) forecast(j *job, s *connected, p *batch.Plan) {
	if p.ToDo == 0 {
		return
	}
	b := checkpoint.Budget{Key: s.Key, Kind: batch.CallOffboard, Shared: j.opt.SharedBudget, Windows: j.opt.Windows}
	now := s.Clock.Now()
	last, why, err := s.Store.Forecast(b, s.Clock.Now, p.ToDo, 0, j.opt.Allowed)
	if err != nil {
		return
	}
	when := "at once"
	if d := last.Sub(now); d > time.Second {
		when = fmt.Sprintf("by %s, in %s (%s)", clockTime(last), short(d), why)
	}
	a.say("Calls       %d, the last one %s", p.ToDo, when)
}

func clockTime(t time.Time) string {
	t = t.Local()
	if y, m, d := time.Now().Date(); t.Year() == y && t.Month() == m && t.Day() == d {
		return t.Format("15:04:05")
	}
	return t.Format("Mon 2006-01-02 15:04")
}

func short(d time.Duration) string {
	d = d.Round(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.String()
}

// problems names the lines that cannot be used.
func (a *app) problems(p *batch.Plan) {
	var hint string
	for _, problem := range p.Problems {
		fmt.Fprintln(a.Stderr, problem.Error())
		if problem.Hint != "" && problem.Hint != hint {
			hint = problem.Hint
			fmt.Fprintln(a.Stderr, "  hint: "+hint)
		}
	}
	if rest := p.Bad - len(p.Problems); rest > 0 {
		fmt.Fprintf(a.Stderr, "… and %d more\n", rest)
	}
}

// agree has the plan agreed to, and says how it was.
func (a *app) agree(j *job, s *connected, p *batch.Plan) (how string, err error) {
	digest := p.Digest(s.Key, s.Host)
	switch {
	case j.digest != "" && j.digest != digest:
		return "", &batch.Stop{Why: fmt.Sprintf("the plan is %s, not %s as was agreed", digest, j.digest), Code: batch.CodeUsage,
			Hint: "the list, the settings or what was done since has changed; look at the plan again. Nothing was sent"}
	case j.digest != "":
		return "plan " + digest, nil
	case j.yes:
		return "--yes", nil
	case s.Simulated:
		return "simulated, not asked", nil
	}
	in, out, closeTTY, err := terminal()
	if err != nil {
		return "", &batch.Stop{Why: "there is no terminal to ask on", Code: batch.CodeUsage,
			Hint: "look at the plan (mde-offboard plan), then give --yes or --plan " + digest + ". Nothing was sent"}
	}
	defer closeTTY()
	n := p.ToDo
	ask := fmt.Sprintf("Type %d to offboard %s of tenant %s, anything else to leave: ", n, count(n, "device"), s.Key.Tenant)
	if n == 0 {
		n = p.InDoubt
		ask = fmt.Sprintf("Type %d to look %s up that are in doubt, anything else to leave: ", n, count(n, "device"))
	}
	fmt.Fprint(out, ask)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if strings.TrimSpace(answer) != fmt.Sprint(n) {
		return "", &batch.Stop{Why: "not agreed to, nothing was sent", Code: batch.CodeUsage}
	}
	return fmt.Sprintf("typed %d", n), nil
}

// terminal is the terminal itself, also where standard input is a list.
func terminal() (in io.Reader, out io.Writer, closeTTY func(), err error) {
	inName, outName := "/dev/tty", "/dev/tty"
	if runtime.GOOS == "windows" {
		inName, outName = "CONIN$", "CONOUT$"
	}
	i, err := os.OpenFile(inName, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	o, err := os.OpenFile(outName, os.O_RDWR, 0)
	if err != nil {
		i.Close()
		return nil, nil, nil, err
	}
	return i, o, func() { i.Close(); o.Close() }, nil
}

// summary is the last thing that a run says.
func (a *app) summary(j *job, s *connected, sum report.Summary, head string, code int) {
	if s.Simulated {
		a.say("SIMULATED: nothing of this happened to a device")
	}
	var parts []string
	for _, st := range []checkpoint.Status{checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Skipped, checkpoint.Refused,
		checkpoint.Failed, checkpoint.InDoubt, checkpoint.Pending} {
		if n := sum.Counts[st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, st))
		}
	}
	a.say("%s: %s", count(sum.Lines, "line"), strings.Join(parts, ", "))
	if sum.Counts[checkpoint.Accepted] > 0 {
		a.say("Accepted means recorded: a device leaves when it next comes online. To follow it: mde-offboard track %s", j.name)
	}
	if code == batch.CodeStopped || code == batch.CodeGuard {
		a.say("The same command goes on.")
	}
	a.say("Results     %s", sum.Path)
	a.say("Chain       %s", head)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func sortedKeys[K ~string](m map[K]int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
