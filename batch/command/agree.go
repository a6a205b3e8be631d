package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

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
	return report.NewDisplay(w, report.DisplayOptions{Terminal: report.ANSI(a.Stderr), Zone: a.zone, Unicode: runtime.GOOS == "windows" || report.UTF8(a.Getenv),
		Width: func() int {
			w, _, err := term.GetSize(int(a.Stderr.Fd()))
			if err != nil {
				return 80
			}
			return w
		}})
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
	n, ask := question(s, p)
	answer, err := a.ask(ask)
	switch {
	case errors.Is(err, errNoTerminal):
		return "", &batch.Stop{Why: "there is no terminal to ask on", Code: batch.CodeUsage,
			Hint: "look at the plan (mde-offboard plan), then give --yes or --plan " + digest + ". Nothing was sent"}
	case err != nil || answer != fmt.Sprint(n):
		return "", &batch.Stop{Why: "not agreed to, nothing was sent", Code: batch.CodeUsage}
	}
	return fmt.Sprintf("typed %d", n), nil
}

// question is what is asked, and the number that is the only yes.
func question(s *connected, p *batch.Plan) (n int, ask string) {
	if p.ToDo == 0 {
		return p.InDoubt, fmt.Sprintf("Type %d to look %s up that are in doubt, anything else to leave: ", p.InDoubt, count(p.InDoubt, "device"))
	}
	n, what := p.ToDo, count(p.ToDo, "device")
	if first := p.CanaryLeft(); first > 0 {
		n, what = first, fmt.Sprintf("the first %d of %s", first, what)
	}
	return n, fmt.Sprintf("Type %d to offboard %s of tenant %s, anything else to leave: ", n, what, s.Key.Tenant)
}

var errNoTerminal = errors.New("there is no terminal")

// ask asks on the terminal itself, since standard input may be the list. The
// first signal is an answer too.
func (a *app) ask(question string) (answer string, err error) {
	in, out, closeTTY, err := terminal()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoTerminal, err)
	}
	defer closeTTY()
	fmt.Fprint(out, question)
	answers := make(chan string, 1) // nobody may wait for it any more
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answers <- strings.TrimSpace(line)
	}()
	select {
	case answer = <-answers:
		return answer, nil
	case <-a.Context.Done():
		fmt.Fprintln(out)
		return "", a.Context.Err()
	}
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
func (a *app) summary(j *job, s *connected, sum report.Summary, b checkpoint.Batch, code int) {
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
		a.say("Accepted means recorded: a device leaves when it next comes online.")
		a.say("To follow it: mde-offboard track %s", j.name)
	}
	if (code == batch.CodeStopped || code == batch.CodeGuard) && b.Closed == "" {
		a.say("The same command goes on.")
	}
	a.say("Results     %s", sum.Path)
	if sum.Path != j.results {
		a.say("            beside %s, which another program holds open", j.results)
	}
	a.say("Chain       %s", b.Head)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
