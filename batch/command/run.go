package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
	"mde-offboard/report"
)

// job are the flags of run and plan: which list, and what to do with it.
type job struct {
	connection
	hours
	watchers
	name     string
	list     input.Options
	req      batch.Request
	retry    []string
	protect  []string
	simulate bool
	faults   string
	results  string
	excel    bool
	yes      bool
	digest   string
	planning bool // the command is plan
	files    []string
	spooled  batch.Spooled
	listName string
	notes    []string    // of the lists, beside those of the plan
	made     *batch.Plan // the last one
	cleanups []func()
	json     bool
	track    bool
	fresh    bool // a rehearsal with books that end with it
	agreed   agreement
	spent    bool // --limit is used up
	begun    bool // a run of this execution has ended
}

func (j *job) addFlags(f *pflag.FlagSet) {
	j.connection.addFlags(f)
	j.hours.addFlags(f)
	j.hours.addEndFlags(f)
	f.IntVar(&j.opt.Limit, "limit", 0, "make at most `N` offboard calls in this run; 0: no limit")
	f.StringVar(&j.name, "batch", "", "`NAME` of the batch (default: the list's file name without extension)")
	f.StringVar(&j.req.Comment, "comment", "", "`TEXT` for lines that have no comment")
	f.StringVar(&j.list.IDColumn, "id-column", "", "`COLUMN` of the device ids (default: found by name and value)")
	f.StringVar(&j.list.CommentColumn, "comment-column", "", "`COLUMN` of the comments (default: found by name)")
	f.StringVar(&j.list.NameColumn, "name-column", "", "`COLUMN` of the device names (default: found by name)")
	f.BoolVar(&j.req.SkipInvalid, "skip-invalid", false, "leave out lines that cannot be used, instead of refusing the list")
	f.BoolVar(&j.req.Again, "again", false, "take up devices that were accepted or whose action succeeded, too")
	f.StringSliceVar(&j.retry, "retry", nil, "take up devices of these `STATUSES` again: refused, failed (also those whose action failed or timed out)")
	f.BoolVar(&j.noInventory, "no-inventory", false, "do without the inventory, and without the permission to read")
	f.IntVar(&j.req.MaxDevices, "max-devices", 1000, "refuse to offboard more than `N` devices; 0: no limit")
	j.req.MaxPercent = 50
	f.Var((*percent)(&j.req.MaxPercent), "max-percent", "refuse to offboard more than `P` percent of the onboarded inventory, where that is more than 5 devices; 100: no limit")
	f.StringArrayVar(&j.protect, "protect", nil, "never offboard the devices in `FILE`: ids, names with *, tag:…, group:…, os:…, one a line; a line that begins with # is a comment; repeatable")
	f.DurationVar(&j.req.RecentlySeen, "recently-seen", 0, "hold back devices that were seen within `D`, such as 72h, or whose record does not say when; one that the inventory lacks has left it long ago and is sent, with a warning (default: off)")
	f.IntVar(&j.req.Canary, "canary", 0, "send the first `N` devices, then ask again; unattended, the next run goes on (default: off)")
	f.BoolVar(&j.simulate, "simulate", false, "rehearse against the embedded simulator; no tenant, no login, nothing is changed")
	f.Var((*faultSpec)(&j.faults), "faults", "faults `SPEC` that the simulator plays, such as lost-after=5%,429-seconds@40; help: lists them")
}

func (j *job) addRunFlags(f *pflag.FlagSet) {
	f.StringVar(&j.results, "results", "", "result CSV `FILE` (default: NAME.results.csv beside the list)")
	f.BoolVar(&j.excel, "excel", false, "write the result CSV for Excel: with a byte order mark")
	f.BoolVar(&j.track, "track", false, "when all is sent, go on into track --until-final")
	f.BoolVar(&j.yes, "yes", false, "agree to the plan without being asked")
	f.StringVar(&j.digest, "plan", "", "run exactly the plan with this `DIGEST`, or refuse")
	j.opt.MaxFailures = batch.Threshold{Percent: 10, From: thresholdFrom}
	f.Var((*threshold)(&j.opt.MaxFailures), "max-failures", "stop when more than `N|P%` of the devices failed, from 20 devices on")
	j.settles = true
	f.IntVar(&j.opt.MaxAttempts, "max-attempts", 5, "attempts for one device, at most `N`")
	f.DurationVar(&j.opt.SettleWait, "settle-wait", 5*time.Minute, "how long `D` an action may stay invisible before a device in doubt is called again; shorter on loopback only")
	f.BoolVar(&j.opt.NoTag, "no-comment-tag", false, "send comments without the tag by which actions are known again")
}

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

// checkFlags refuses values of flags that say on their own that they are wrong.
func (j *job) checkFlags() error {
	for _, s := range j.retry {
		if s != string(checkpoint.Refused) && s != string(checkpoint.Failed) {
			return usage{fmt.Errorf("--retry %q: only refused and failed can be taken up again", s)}
		}
	}
	if j.req.MaxDevices < 0 || j.req.Canary < 0 || j.req.RecentlySeen < 0 {
		return usage{errors.New("--max-devices, --canary and --recently-seen must not be negative")}
	}
	if _, err := cleanComment(j.req.Comment); err != nil {
		return err
	}
	if err := checkFaults(j.faults); err != nil {
		return err
	}
	c, h := j.connection, j.hours // what they work out is worked out when it is needed
	if j.simulate {
		if c.config.Endpoint != "" || c.config.AuthorityHost != "" || c.login.Auth != "default" {
			return usage{errors.New("--simulate brings an endpoint and a login of its own; leave out --endpoint, --authority-host and --auth")}
		}
		c.config.Endpoint, c.config.AuthorityHost = "https://127.0.0.1", "https://127.0.0.1"
	}
	if err := c.check(); err != nil {
		return err
	}
	return h.apply(time.Now(), &c.opt)
}

// prepare reads the flags and finds the lists.
func (j *job) prepare(a *app, args []string) (err error) {
	if err := j.checkFlags(); err != nil {
		return err
	}
	for _, s := range j.retry {
		j.req.Retry = append(j.req.Retry, checkpoint.Status(s))
	}
	if j.req.Comment, err = cleanComment(j.req.Comment); err != nil {
		return err
	}
	if err := a.readProtection(j); err != nil {
		return err
	}
	note := ""
	if j.files, note, err = j.lists(args); err != nil {
		return err
	}
	if note != "" {
		j.notes = append(j.notes, note)
	}
	if j.name, j.listName, err = batch.Named(j.files, j.name); err != nil {
		return usage{err}
	}
	j.req.Name, j.opt.Again, a.batch = j.name, j.req.Again, j.name
	if err := checkName(j.name); err != nil {
		return usage{err}
	}
	if err := j.placeResults(); err != nil {
		return usage{err}
	}
	var remove func()
	if j.spooled, remove, err = a.spool(j.files); err == nil {
		j.cleanups = append(j.cleanups, remove)
	}
	return err
}

// areFiles says whether all of these can be read again, as pipes cannot.
func areFiles(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		fi, err := os.Stat(name)
		return err == nil && !fi.Mode().IsRegular()
	})
}

func (a *app) readProtection(j *job) error {
	if len(j.protect) == 0 {
		return nil
	}
	return a.unlessStopped(func() (err error) {
		if j.req.Protect, err = batch.ReadProtection(j.protect); err != nil {
			return usage{fmt.Errorf("--protect: %w", err)}
		}
		return nil
	})
}

// spool keeps the lists that can be read only once.
func (a *app) spool(files []string) (kept batch.Spooled, remove func(), err error) {
	kept, remove, err = batch.Spool(a.Context, files, a.Stdin)
	return kept, remove, asInterrupted(err)
}

// unlessStopped reads from whoever may write nothing: the first signal ends it.
func (a *app) unlessStopped(read func() error) error {
	return asInterrupted(batch.Unless(a.Context, read))
}

func asInterrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return interrupted
	}
	return err
}

// cleanup undoes what prepare and rehearse set up.
func (j *job) cleanup() {
	j.drop()
	for i := len(j.cleanups) - 1; i >= 0; i-- {
		j.cleanups[i]()
	}
}

func (a *app) run(j *job, args []string) error {
	defer j.cleanup()
	s, _, err := a.begin(j, args)
	if none, idle := errors.AsType[*noLists](err); idle {
		a.say("Nothing to do: %s", none.why)
		j.end.idle = true
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Store.Close()
	for again := true; again && err == nil; {
		if again, err = a.stage(j, s); err != nil && j.begun {
			err = restLeft(err)
		}
	}
	if err == nil && j.track && (a.code == batch.CodeDone || a.code == batch.CodeIncomplete) {
		err = a.trackOn(j, s)
	}
	a.retire(j, s)
	return err
}

// restLeft is how a command ends that has sent something and does not go on with
// the rest: what keeps a plan from being begun is no wrong usage any more, and
// something was sent.
func restLeft(err error) error {
	code, _ := codeOf(err)
	if code == batch.CodeUsage {
		code = batch.CodeStopped
	}
	why, ok := errors.AsType[*batch.Stop](err)
	return &batch.Stop{Why: "the rest was not sent", Err: err, Code: code, Asked: ok && why.Asked,
		Hint: "what was sent is in the results; the same command goes on with the rest"}
}

// stage plans, asks and works. again says that there is more to ask about: the
// canary came back, or the inventory grew old while somebody thought.
func (a *app) stage(j *job, s *connected) (again bool, err error) {
	j.of(s)
	if j.begun && areFiles(j.protect) { // they may have grown while a night was waited for
		if err := a.readProtection(j); err != nil {
			return false, err
		}
	}
	open, plan, err := a.planned(j, s)
	if open != nil {
		defer open.Close()
	}
	if err != nil {
		return false, err
	}
	a.showPlan(j, s, plan)
	a.logThePlan(j, s, plan)
	if stop := plan.Refused(); stop != nil {
		return false, stop
	}
	if plan.Nothing() {
		return false, a.nothing(j, s, open, plan)
	}
	how, err := a.agree(j, s, plan)
	if err != nil {
		return false, err
	}
	j.opt.Inventory = time.Time{}
	if inv := plan.Request.Inventory; inv != nil {
		j.opt.Inventory = inv.At
		if s.Clock.Now().Sub(inv.At) > batch.InventoryLife {
			return a.readAgain(), nil
		}
	}
	j.opt.Canary = plan.CanaryLeft()
	stop, err := a.work(j, s, open, plan, how)
	switch {
	case stop != nil && errors.Is(stop, batch.ErrOldInventory):
		return a.readAgain(), nil
	case err != nil || stop != nil || j.opt.Canary == 0 || a.code != batch.CodeStopped:
		return false, err
	}
	j.agreed = agreement{} // that was about the canary
	return !j.spent && a.canaryBack(j), nil
}

// readAgain has the plan made anew by a fresh inventory.
func (a *app) readAgain() (again bool) {
	a.say("The inventory is older than %v by now: it is read again.", batch.InventoryLife)
	return true
}

// canaryBack says whether somebody can be asked to go on; else the next run will.
func (a *app) canaryBack(j *job) bool {
	if j.yes || j.digest != "" {
		a.tellStop(&j.end, &batch.Stop{Why: "the " + batch.CanaryOver(j.opt.Canary), Code: batch.CodeStopped, Asked: true})
		return false
	}
	a.say("The first %d are over. This is what is left:", j.opt.Canary)
	return true
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
		return nil, err
	}
	j.drop() // the checkpoint has it
	if !s.Simulated {
		defer stayAwake()()
	}
	stop = runner.Run(a.Context, a.Hard)
	j.service.rest()
	if j.opt.Limit > 0 { // it is one for all that the command sends
		j.opt.Limit -= runner.Sent()
		j.spent = j.opt.Limit <= 0
	}
	display.Close()
	code, err := runner.Finish(stop)
	if err != nil {
		stop, code = &batch.Stop{Why: "the end of the run could not be written", Err: err, Code: batch.CodeError,
			Hint: "nothing that was answered is lost; make space and run the same command again"}, batch.CodeError
	}
	a.code, j.begun = code, true
	if stop != nil && errors.Is(stop, batch.ErrOldInventory) { // the command goes on with another run
		_, err := a.writeResults(j, s, runner.BatchID())
		return stop, err
	}
	if stop != nil {
		a.tellStop(&j.end, stop)
	}
	return stop, a.tellResults(j, s, runner.BatchID(), code)
}

// nothing ends a run that has nothing to do, without a call.
func (a *app) nothing(j *job, s *connected, open *batch.Open, plan *batch.Plan) error {
	if open.Batch.ID == 0 {
		return &batch.Stop{Why: "there is nothing to do: no line of the list is a device to offboard", Code: batch.CodeUsage}
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
	j.end.idle = true
	a.say("Nothing is left to do.")
	return a.tellResults(j, s, open.Batch.ID, code)
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
