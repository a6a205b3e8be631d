package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

func (a *app) runCommand() *cobra.Command {
	j := &job{}
	cmd := &cobra.Command{
		Use:   "run LIST…",
		Short: "Plan, ask, offboard, report; goes on where it was stopped",
		Long: `run offboards the devices of a list: it shows what it would do, asks, calls
Defender at the rate that is allowed, and writes a result CSV. The same command
goes on after any stop. Ctrl-C once: calls in flight are finished; twice: at once.`,
		Example: "  mde-offboard run --simulate testdata/decommission.csv\n  mde-offboard run decommission.csv --comment \"Retired, CHG-1042\"",
		Args:    takes(1, -1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.watched(j, args) },
	}
	j.addFlags(cmd.Flags())
	j.addRunFlags(cmd.Flags())
	j.watchers.addFlags(cmd.Flags())
	a.checks["run"] = func() error { return errors.Join(checkNotify(j.notifyURL, j.notifyFormat), j.checkFlags()) }
	return cmd
}

func (a *app) run(j *job, args []string) error {
	defer j.cleanup()
	s, _, err := a.begin(j, args)
	if none, idle := errors.AsType[*noLists](err); idle {
		a.noLists(j, none)
		return nil
	}
	if err != nil {
		return j.bySent(err)
	}
	defer s.Store.Close()
	for again := true; again && err == nil; {
		again, err = a.stage(j, s)
	}
	if err == nil && j.track && (a.code == batch.CodeDone || a.code == batch.CodeIncomplete) {
		err = a.trackOn(j, s)
	}
	if err == nil && j.fresh {
		a.say("Nothing of this rehearsal is kept but its results: for status and report give it --checkpoint FILE.")
	}
	a.retire(j, s)
	return err
}

// noLists ends a run that has no list, and tells of devices that it would have gone
// on with: whoever has put their list away early would not hear of them.
func (a *app) noLists(j *job, none *noLists) {
	a.say("Nothing to do: %s", none.why)
	j.end.why = "nothing to do: " + none.why
	counts := a.stands(j)
	left := counts[checkpoint.Pending] + counts[checkpoint.InDoubt]
	if j.end.idle = left == 0 || j.end.closed; !j.end.idle {
		missed := fmt.Sprintf("batch %q: %s pending or in doubt, and no list any more: put it back, and the same command goes on",
			j.name, count(left, "device"))
		a.warn(missed)
		j.end.why += "; " + missed
	}
}

// stage plans, asks and works. again says that there is more to ask about: the
// canary came back, or what the plan was judged by may have changed.
func (a *app) stage(j *job, s *connected) (again bool, err error) {
	j.on = false
	open, plan, how, err := a.agreed(j, s)
	if open != nil {
		defer open.Close()
	}
	switch {
	case err != nil:
		return false, j.bySent(err)
	case plan.Nothing():
		return false, a.nothing(j, s, open, plan)
	}
	if old := plan.Outdated(s.Clock.Now()); old != nil {
		return a.planAgain(old), nil
	}
	stop, err := a.work(j, s, open, plan, how)
	switch {
	case stop != nil && errors.Is(stop, batch.ErrNewPlan):
		return !j.spent && a.planAgain(stop), nil // a limit of 0 would be none
	case err != nil || !j.on:
		return false, err
	}
	j.agreed = agreement{} // that was about the canary
	a.say("The first %d are over. This is what is left:", plan.CanaryLeft())
	return true, nil
}

// agreed plans, shows the plan, and has it agreed to, if there is something to do.
func (a *app) agreed(j *job, s *connected) (open *batch.Open, plan *batch.Plan, how string, err error) {
	j.of(s)
	if open, plan, err = a.planned(j, s); err != nil {
		return open, plan, "", err
	}
	a.showPlan(j, s, plan)
	a.logThePlan(j, s, plan)
	if stop := plan.Refused(); stop != nil {
		return open, plan, "", stop
	}
	if !plan.Nothing() {
		how, err = a.agree(j, s, plan)
	}
	return open, plan, how, err
}

// planAgain has the plan made anew, by a fresh inventory and the protect files as
// they are then.
func (a *app) planAgain(old *batch.Stop) (again bool) {
	a.say("The plan is made again: %s.", old.Why)
	return true
}

// canaryBack is why a run of the canary, which is of n devices, ends here: nobody can
// be asked to go on, and the next run will. It is nil where this execution goes on.
func (j *job) canaryBack(n int) *batch.Stop {
	if j.on = !j.agreedAhead() && !j.spent; j.on {
		return nil
	}
	return &batch.Stop{Why: "the " + batch.CanaryOver(n), Code: batch.CodeStopped, Asked: true}
}

// tellStop says why a run ended, and keeps it for those who are not there.
func (a *app) tellStop(e *ended, stop *batch.Stop) {
	a.complain(stop)
	e.why, e.hint = stop.Error(), stop.Hint
}

// work runs the plan, shows it, and reports.
func (a *app) work(j *job, s *connected, open *batch.Open, plan *batch.Plan, how string) (stop *batch.Stop, err error) {
	j.opt.Seed, j.opt.Log = time.Now().UnixNano(), a.log
	display := a.display()
	if a.draws() {
		defer a.above.through(display)()
	}
	runner, err := open.Start(a.Context, plan, "run", how, j.opt, func(p batch.Progress) {
		display.Show(p)
		j.metrics.show(p)
		j.service.show(p)
	})
	if err != nil {
		return nil, j.bySent(err)
	}
	j.drop() // the checkpoint has it
	if !s.Simulated {
		defer stayAwake()()
	}
	stop = runner.Run(a.Context, a.Hard)
	j.service.rest()
	j.sent += runner.Sent()
	if j.opt.Limit > 0 { // it is one for all that the command sends
		j.opt.Limit -= runner.Sent()
		j.spent = j.opt.Limit <= 0
	}
	display.Close()
	code, err := runner.Finish(stop)
	if err != nil {
		stop, code = &batch.Stop{Why: "the end of the run could not be written", Err: err, Code: batch.CodeError,
			Hint: batch.HintOfDisk(err)}, batch.CodeError
	}
	a.code, j.begun = code, true
	if stop != nil && errors.Is(stop, batch.ErrNewPlan) { // the command goes on with another run
		_, err := a.writeResults(j, s, runner.BatchID())
		return stop, err
	}
	if n := plan.CanaryLeft(); stop == nil && code == batch.CodeStopped && n > 0 {
		stop = j.canaryBack(n)
	}
	if stop != nil {
		a.tellStop(&j.end, stop)
	}
	return stop, a.tellResults(j, s, runner.BatchID(), code)
}

// nothing ends a run that has nothing to do, without a call. A new batch is begun all
// the same, so that each line of its list is in the results.
func (a *app) nothing(j *job, s *connected, open *batch.Open, plan *batch.Plan) error {
	switch {
	case open.Batch.ID != 0:
	case plan.Invalid == plan.Lines:
		return j.bySent(&batch.Stop{Why: "no line of the list is a device to offboard", Code: batch.CodeUsage})
	default:
		return a.allSkipped(j, s, open, plan)
	}
	if plan.Changed() {
		if err := open.Write(plan, j.opt); err != nil {
			return err
		}
	}
	code, err := open.Code(a.Context)
	if err != nil {
		return err
	}
	a.code = code
	j.end.idle = j.sent == 0
	a.say("Nothing is left to do.")
	return a.tellResults(j, s, open.Batch.ID, code)
}

// allSkipped begins a new batch that has nothing to send, and ends it. Nobody is asked,
// but where one plan was agreed to and no other it has to be this one.
func (a *app) allSkipped(j *job, s *connected, open *batch.Open, plan *batch.Plan) (err error) {
	how := "nothing to send, not asked"
	if j.digest != "" {
		if how, err = a.agree(j, s, plan); err != nil {
			return j.bySent(err)
		}
	}
	a.say("Nothing is to be sent: all lines of the list are skipped.")
	_, err = a.work(j, s, open, plan, how)
	return err
}

// tellResults writes the result CSV and says where it is and what is in it.
func (a *app) tellResults(j *job, s *connected, id int64, code int) error {
	b, err := a.writeResults(j, s, id)
	if err == nil {
		a.summary(j, s, j.end.sum, b, code)
	}
	return err
}

// writeResults writes the result CSV. Where it was left beside its place it stays:
// one execution leaves one.
func (a *app) writeResults(j *job, s *connected, id int64) (b checkpoint.Batch, err error) {
	to := either(j.end.sum.Path, j.results)
	sum, err := report.WriteResults(context.WithoutCancel(a.Context), s.Store, id, to, report.ResultOptions{Excel: j.excel})
	if err != nil {
		a.code = batch.CodeError
		hint := "nothing is lost; " + a.command("report", j.name) + " writes it from the checkpoint"
		if j.fresh {
			hint = "name another place: --results FILE. The rehearsal's checkpoint ends with it"
		}
		return b, &batch.Stop{Why: "the result CSV could not be written", Err: err, Code: batch.CodeError, Hint: hint}
	}
	err = s.Store.View(context.WithoutCancel(a.Context), func(r checkpoint.Reader) (err error) {
		b, err = r.Batch(id)
		return err
	})
	if err == nil {
		sum.Beside = either(sum.Beside, j.end.sum.Beside)
		j.end.sum, j.end.head = sum, b.Head
	}
	return b, err
}
