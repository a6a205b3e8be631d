package command

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// withdrawal are the flags of the command cancel.
type withdrawal struct {
	connection
	only    []string
	comment string
	yes     bool
	end     ended
}

func (a *app) cancelCommand() *cobra.Command {
	w := &withdrawal{}
	cmd := &cobra.Command{
		Use:   "cancel BATCH",
		Short: "Stop a batch's runner, cancel the actions that are not final, close the batch",
		Long: `cancel takes a batch back as far as that is possible: it stops the runner that is
at work on it, cancels its actions that are not final, looks up what is in doubt
and cancels that too. A device that has carried its action out stays offboarded.
The batch is closed: run sends nothing more of it, unless it is told --again.

With --only LIST it does so for those devices, and the batch goes on without
them: those that are pending are skipped, and only run --again takes them up. The
same command goes on after any stop.`,
		Example: "  mde-offboard cancel decommission --comment \"Wrong list, INC-2077\"\n  mde-offboard cancel decommission --only keep.csv",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.end.batch = args[0]
			err := a.cancel(w, args[0])
			a.logTheEnd(&w.end, err)
			return err
		},
	}
	w.addFlags(cmd.Flags())
	a.checks["cancel"] = w.checkFlags
	return cmd
}

func (w *withdrawal) addFlags(f *pflag.FlagSet) {
	w.connection.addFlags(f)
	f.StringSliceVar(&w.only, "only", nil, "cancel only for the devices in these `LISTS` (default: all of the batch)")
	f.StringVar(&w.comment, "comment", "", "`TEXT` for the cancelled actions (default: that the batch was withdrawn)")
	f.BoolVar(&w.yes, "yes", false, "agree without being asked")
	w.settles = true
	f.DurationVar(&w.opt.SettleWait, "settle-wait", 5*time.Minute, "how long `D` an action may stay invisible before a device in doubt counts as not sent; shorter on loopback only")
}

// checkFlags refuses values of flags that say on their own that they are wrong.
func (w *withdrawal) checkFlags() error {
	if _, err := cleanComment(w.comment); err != nil {
		return err
	}
	return w.check()
}

func (a *app) cancel(w *withdrawal, name string) error {
	if err := w.checkFlags(); err != nil {
		return err
	}
	var req batch.CancelRequest
	err := a.unlessStopped(func() (err error) {
		req, err = w.request(name)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.known(name); err != nil {
		return err
	}
	s, err := a.signedIn(&w.connection, true)
	if err != nil {
		return err
	}
	defer s.Store.Close()
	req.Note = a.note
	p, err := s.PlanCancel(a.Context, req, w.opt)
	if err != nil {
		return err
	}
	a.showCancel(w, s, p)
	if stop := p.Refused(); stop != nil {
		return stop
	}
	if p.Nothing() {
		a.say("There is nothing to cancel.")
		return nil
	}
	how, err := a.agreeCancel(w, s, p)
	if err != nil {
		return err
	}
	return a.withdraw(w, s, p, how)
}

// request reads the flags and the lists.
func (w *withdrawal) request(name string) (req batch.CancelRequest, err error) {
	req.Name = name
	if req.Comment, err = cleanComment(w.comment); err != nil {
		return req, err
	}
	if req.Comment == "" {
		if req.Comment, err = cleanComment("Withdrawn: batch " + name); err != nil {
			return req, err
		}
	}
	if len(w.only) == 0 {
		return req, nil
	}
	files, err := input.Expand(w.only)
	if err != nil {
		return req, usage{err}
	}
	req.Only, err = devicesOf(files)
	return req, err
}

// devicesOf reads the devices of lists; every row must be one.
func devicesOf(files []string) (map[string]bool, error) {
	lists, err := batch.OpenLists(files, input.Options{})
	if err != nil {
		return nil, listError(err)
	}
	defer lists.Close()
	devices := map[string]bool{}
	for {
		row, err := lists.Next()
		switch {
		case err == io.EOF && len(devices) == 0:
			return nil, usage{errors.New("--only: the list has no devices")}
		case err == io.EOF:
			return devices, nil
		case err != nil:
			return nil, listError(err)
		case row.ID != "":
			devices[row.ID] = true
		case row.Problem != nil:
			return nil, listError(row.Problem)
		}
	}
}

// showCancel says what would be done.
func (a *app) showCancel(w *withdrawal, s *connected, p *batch.CancelPlan) {
	a.sayRehearsal(s.Simulated)
	a.say("Batch       %s, begun %s", p.Batch.Name, p.Batch.Created.Local().Format("2006-01-02 15:04"))
	if p.Batch.Closed != "" {
		a.say("            closed: %s", p.Batch.Closed)
	}
	a.say("Target      tenant %s, application %s, %s", s.Key.Tenant, s.Key.Application, s.Host)
	if r := p.Runner; r != nil {
		a.say("Runner      at work, is stopped first: %s on %s, process %d, since %s", r.Who, r.Host, r.PID, clockTime(r.Started))
	}
	if p.Stale != nil {
		a.say("Not read    %v: this is what the checkpoint knows. The batch is closed at once,", p.Stale)
		a.say("            and the actions are read again before they are cancelled")
	}
	if p.Open > 0 {
		a.say("To cancel   %s not final", isAre(p.Open, "action"))
	} else {
		a.say("To cancel   no action is open")
	}
	a.row(p.InDoubt, "in doubt", "looked up, and cancelled if there is an action")
	for _, word := range byCount(p.Final) {
		a.row(p.Final[word], word, "final, left as they are")
	}
	a.row(p.Others, "asked for by others", "left alone")
	unsent := "nothing more is sent"
	if p.Request.Only != nil {
		unsent = "skipped, and not sent unless run is told --again"
	}
	a.row(p.Unsent, "pending", unsent)
	if p.Open == 0 {
		return
	}
	b := checkpoint.Budget{Key: s.Key, Kind: batch.CallCancel, Shared: w.opt.SharedBudget, Windows: w.opt.Windows}
	if f, err := s.Store.Forecast(b, s.Clock.Now, p.Open, time.Time{}, nil); err == nil {
		a.say("Calls       %d, %s", p.Open, a.lastGoes(p.Open, f, s.Clock.Now()))
	}
}

// agreeCancel has the plan agreed to, and says how it was.
func (a *app) agreeCancel(w *withdrawal, s *connected, p *batch.CancelPlan) (how string, err error) {
	switch {
	case w.yes:
		return "--yes", nil
	case s.Simulated:
		return "simulated, not asked", nil
	}
	n, what := asked(p)
	answer, err := a.ask(fmt.Sprintf("Type %d %s of tenant %s, anything else to leave: ", n, what, s.Key.Tenant))
	switch {
	case errors.Is(err, errNoTerminal):
		return "", &batch.Stop{Why: "there is no terminal to ask on", Code: batch.CodeUsage, Hint: "give --yes. Nothing was cancelled"}
	case err != nil || answer != fmt.Sprint(n):
		return "", &batch.Stop{Why: "not agreed to, nothing was cancelled", Code: batch.CodeUsage}
	}
	return fmt.Sprintf("typed %d", n), nil
}

// asked is what is to be typed to agree to a plan, and what that does.
func asked(p *batch.CancelPlan) (n int, what string) {
	n = p.InDoubt + p.Unsent
	switch {
	case p.Open > 0:
		return p.Open, "to cancel " + count(p.Open, "action")
	case p.Request.Only == nil:
		return n, "to close the batch, with " + count(n, "device") + " in doubt or pending,"
	case n == 0:
		return n, "to open the batch again, of which nothing is left to cancel,"
	}
	return n, "to take " + count(n, "device") + " in doubt or pending out of the batch"
}

// withdraw carries the plan out and says what it has come to.
func (a *app) withdraw(w *withdrawal, s *connected, p *batch.CancelPlan, how string) error {
	w.opt.Log = a.log
	live := a.live(30 * time.Second)
	end, stop, err := s.Cancel(a.Context, a.Hard, p, how, w.opt, func(c batch.Cancelling) {
		line := cancelLine(c)
		live.show([]string{line}, line)
	})
	live.close()
	if err != nil {
		return err
	}
	if end != nil {
		a.code = end.Code()
		a.tellCancelled(p, end)
		w.end.more = []any{"cancelled", end.Cancelled, "cancelledBefore", end.Before, "late", len(end.Late), "left", len(end.Left), "open", end.Still,
			"in-doubt", end.InDoubt, "pending", end.Unsent, "withdrawn", end.Withdrawn, "chain", end.Head}
	}
	if stop != nil {
		a.code = stop.Code
		a.tellStop(&w.end, stop)
		a.say("The same command goes on.")
	}
	return nil
}

func cancelLine(c batch.Cancelling) string {
	var parts []string
	if c.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s settled", c.Done, count(c.Total, "action")))
	}
	if c.Wait != "" {
		wait := "waiting: " + c.Wait
		if !c.Until.IsZero() {
			wait += ", until " + clockTime(c.Until)
		}
		parts = append(parts, wait)
	}
	return strings.Join(parts, "; ")
}

func (a *app) tellCancelled(p *batch.CancelPlan, end *batch.Cancelled) {
	a.sayRehearsed(p.Batch.Simulated)
	if p.Open+p.InDoubt+end.Cancelled == 0 {
		a.say("Cancelled   no action: there was none to cancel%s", withBefore(end))
	} else {
		a.say("Cancelled   %s%s", count(end.Cancelled, "action"), withBefore(end))
	}
	a.fates("Too late", end.Late, func(t checkpoint.Task) string { return t.Action.Status })
	a.fates("Left", end.Left, func(t checkpoint.Task) string { return t.Action.Status + "; " + t.Reason })
	if end.Still > 0 {
		a.say("            %s still open: not cancelled yet", count(end.Still, "action"))
	}
	a.row(end.InDoubt, "in doubt", "not known yet whether there is an action")
	a.row(end.Unsent, "pending", "")
	a.row(end.Withdrawn, "withdrawn", "not sent, and skipped from now on")
	switch {
	case !end.Open && p.Request.Only == nil:
		a.say("The batch is closed: run sends nothing more of it, unless it is told --again.")
	case end.Open:
		a.say("The batch is open: run goes on with the other devices.")
	}
	a.sayRefresh(p.Batch.Name)
	a.say("Chain       %s", end.Head)
}

// withBefore adds to what a cancel has cancelled what was before: reports count both.
func withBefore(end *batch.Cancelled) string {
	if end.Before == 0 {
		return ""
	}
	were := "were"
	if end.Before == 1 {
		were = "was"
	}
	return fmt.Sprintf("; %d %s before", end.Before, were)
}

// fates names the devices whose actions were not cancelled.
func (a *app) fates(title string, tasks []checkpoint.Task, fate func(checkpoint.Task) string) {
	const most = 20
	if len(tasks) == 0 {
		return
	}
	a.say("%-11s %s", title, count(len(tasks), "action"))
	for i, t := range tasks {
		if i == most {
			a.say("            … and %d more; the report has them all", len(tasks)-most)
			break
		}
		a.say("            %s %s: %s", t.Device, t.Name, fate(t))
	}
}
