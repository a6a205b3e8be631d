package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/term"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

// display shows progress on standard error, as that allows.
func (a *app) display() *report.Display {
	return report.NewDisplay(a.picture(), report.DisplayOptions{Terminal: a.draws(), Zone: a.zone, Unicode: runtime.GOOS == "windows" || report.UTF8(a.Getenv),
		Width: a.width})
}

// width is how many columns the terminal on standard error has.
func (a *app) width() int {
	w, _, err := term.GetSize(int(a.Stderr.Fd()))
	if err != nil || w == 0 {
		return 80
	}
	return w
}

// agree has the plan agreed to, and says how it was.
func (a *app) agree(j *job, s *connected, p *batch.Plan) (how string, err error) {
	digest := p.Digest(s.Target())
	switch {
	case j.digest != "" && j.digest != digest && !a.goesOn(j, s, p):
		return "", &batch.Stop{Why: fmt.Sprintf("the plan is %s, not %s as was agreed", digest, j.digest), Code: batch.CodeUsage,
			Hint: p.Differs(j.digest, s.Target()) + "; look at the plan again"}
	case j.digest != "":
		return agreedPlan + j.digest, nil
	case j.yes:
		return "--yes", nil
	case s.Simulated:
		return "simulated, not asked", nil
	}
	if j.covered(s, p) {
		return j.agreed.how, nil
	}
	if a.hushed() {
		return "", &batch.Stop{Why: "a plan that is not shown cannot be agreed to by typing", Code: batch.CodeUsage,
			Hint: "leave --quiet and --log-format json out, or give --yes or --plan " + digest}
	}
	n, ask := question(s, p)
	answer, err := a.ask(ask)
	switch {
	case errors.Is(err, errNoTerminal):
		return "", &batch.Stop{Why: "there is no terminal to ask on", Code: batch.CodeUsage,
			Hint: "look at the plan (mde-offboard plan), then give --yes or --plan " + digest}
	case err != nil || answer != fmt.Sprint(n):
		return "", &batch.Stop{Why: "not agreed to", Code: batch.CodeUsage, Hint: "the same command asks again", Asked: true}
	}
	j.agreed = agreement{how: fmt.Sprintf("typed %d", n), plan: digest, canary: p.CanaryLeft() > 0}
	return j.agreed.how, nil
}

// agreement is what was typed in this execution: a plan that is made again, by a
// fresh inventory after a night was waited for, needs no other where it is what is
// left of the one that was shown.
type agreement struct {
	how, plan string
	canary    bool // for the first devices alone
}

// covered says whether a plan was agreed to by what was typed. What is left of one
// shows by the checkpoint, which has it once a run of it has begun.
func (j *job) covered(s *connected, p *batch.Plan) bool {
	g := &j.agreed
	if g.how == "" || g.canary != (p.CanaryLeft() > 0) {
		return false
	}
	return p.Digest(s.Target()) == g.plan || j.begun && p.GoesOn(g.plan, s.Target())
}

// agreedPlan begins how a plan was agreed to by its digest.
const agreedPlan = "plan "

// goesOn says whether the plan is what a run has left that was agreed to by the
// same digest.
func (a *app) goesOn(j *job, s *connected, p *batch.Plan) bool {
	if p.Batch.ID == 0 || !p.GoesOn(j.digest, s.Target()) {
		return false
	}
	var runs []checkpoint.Run
	err := s.Store.View(a.Context, func(r checkpoint.Reader) (err error) {
		runs, err = r.Runs(p.Batch.ID)
		return err
	})
	return err == nil && slices.ContainsFunc(runs, func(r checkpoint.Run) bool { return r.Agreed == agreedPlan+j.digest })
}

// question is what is asked, and the number that is the only yes.
func question(s *connected, p *batch.Plan) (n int, ask string) {
	first := p.First()
	if first == 0 { // all that a run takes up is in doubt
		return p.InDoubt, fmt.Sprintf("Type %d to look %s up that are in doubt, anything else to leave: ", p.InDoubt, count(p.InDoubt, "device"))
	}
	n, what := p.ToDo, count(p.ToDo, "device")
	if first < p.ToDo {
		n, what = first, fmt.Sprintf("the first %d of %s", first, what)
	}
	return n, fmt.Sprintf("Type %d to offboard %s of tenant %s, anything else to leave: ", n, what, s.Key.Tenant)
}

var errNoTerminal = errors.New("there is no terminal")

// ask asks on the terminal itself, since standard input may be the list. The
// first signal is an answer too.
func (a *app) ask(question string) (answer string, err error) {
	if a.answers != nil {
		return a.answers(question)
	}
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
	a.sayRehearsed(s.Simulated)
	var parts []string
	for _, st := range []checkpoint.Status{checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Skipped, checkpoint.Refused,
		checkpoint.Failed, checkpoint.InDoubt, checkpoint.Pending} {
		if n := sum.Counts[st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, st))
		}
	}
	lines := count(sum.Lines, "line")
	if sum.Gone > 0 { // they are among what was counted
		lines += fmt.Sprintf(", and %d no longer in the list", sum.Gone)
	}
	a.say("%s: %s", lines, strings.Join(parts, ", "))
	if err := a.sayRefused(s, b.ID, sum); err != nil {
		a.log.Warn("the devices that were refused could not be read", "error", err)
	}
	if sum.Open > 0 {
		a.say("Accepted means recorded: a device leaves when it next comes online.")
	}
	if sum.Open > 0 && !j.track && !j.opt.NoReads && !j.simulate { // whose Defender ends with the run
		a.say("To follow it: %s", a.command("track", j.name))
	}
	if (code == batch.CodeStopped || code == batch.CodeGuard) && b.Closed == "" && !j.fresh && !j.on {
		a.say("The same command goes on.")
	}
	a.sayResults(j.results, sum)
	a.say("Chain       %s", b.Head)
}

// sayResults says where the results are, and why not where they were wanted.
func (a *app) sayResults(wanted string, sum report.Summary) {
	a.say("Results     %s", sum.Path)
	if sum.Beside != "" {
		a.say("            beside %s, %s", wanted, sum.Beside)
	}
}

// sayRefresh says how the results come to say what has become of the actions since:
// where a run has left them, nothing remembers.
func (a *app) sayRefresh(name string) {
	a.say("Results     %s writes them as they stand now", a.command("report", name, "--results", "FILE"))
}

// named is how many devices that did not make it are named on the screen.
const named = 5

// sayRefused names the first devices that did not make it, and why.
func (a *app) sayRefused(s *connected, id int64, sum report.Summary) error {
	left := sum.Counts[checkpoint.Refused] + sum.Counts[checkpoint.Failed]
	if left == 0 {
		return nil
	}
	shown := 0
	err := s.Store.View(context.WithoutCancel(a.Context), func(r checkpoint.Reader) error {
		lists, err := r.Lists(id)
		if err != nil {
			return err
		}
		return r.EachResult(id, func(t checkpoint.Task, last checkpoint.Attempt) error {
			if t.Status != checkpoint.Refused && t.Status != checkpoint.Failed {
				return nil
			}
			if shown == named {
				return errEnough
			}
			shown++
			who := t.Device
			if t.Name != "" {
				who = t.Name
			}
			a.say("            %s %s %s: %s", placeOf(&t, lists), who, t.Status, firstOf(t.Reason, last.Message))
			return nil
		})
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if left > shown {
		a.say("            and %d more: the columns Status, Reason and Error of the results tell", left-shown)
	}
	return nil
}

// placeOf says where a task stands: of several lists a line alone names none.
func placeOf(t *checkpoint.Task, lists int) string {
	if lists > 1 {
		return fmt.Sprintf("%s:%d", t.File, t.Line)
	}
	return fmt.Sprintf("line %d", t.Line)
}

var errEnough = errors.New("enough")

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return "no reason given"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
