package command

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/input"
	"mde-offboard/report"
)

func (a *app) planCommand() *cobra.Command {
	j := &job{planning: true}
	cmd := &cobra.Command{
		Use:   "plan LIST…",
		Short: "Show what run would do and when, without a call that changes anything",
		Long: `plan shows what run would do, and when it would be done, without a call that
changes anything. It signs in and reads the inventory, so that devices are
checked by it. With --no-inventory it needs no login: then the plan is of the
list and the checkpoint alone. Such a plan has a digest only where tenant and
application are known without a login: from --tenant-id and --client-id (or the
variables for them), or from an earlier run of the batch; against a simulator
from an earlier run alone.

The plan goes to standard output; with --json in fields that stay as they are:

` + planFields,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.plan(j, args) },
	}
	j.addFlags(cmd.Flags())
	a.checks["plan"] = j.checkFlags
	cmd.Flags().BoolVar(&j.json, "json", false, "write the plan as JSON")
	return cmd
}

func (a *app) plan(j *job, args []string) error {
	defer j.cleanup()
	if j.json {
		a.global.quiet = true
	}
	s, plan, err := a.begin(j, args)
	if err != nil {
		if plan != nil && j.json { // the list alone is to blame
			return errors.Join(a.writePlan(j, &connected{Session: batch.Session{Simulated: j.simulate}}, plan), err)
		}
		return err
	}
	defer s.Store.Close()
	open, plan, err := a.planned(j, s)
	if open != nil {
		defer open.Close()
	}
	if err != nil {
		return err
	}
	if j.json {
		if err := a.writePlan(j, s, plan); err != nil {
			return err
		}
	} else {
		a.answer(func() { a.printPlan(j, s, plan) })
	}
	if stop := plan.Refused(); stop != nil {
		return stop
	}
	return nil
}

// printPlan is the plan with its digest.
func (a *app) printPlan(j *job, s *connected, plan *batch.Plan) {
	a.showPlan(j, s, plan)
	a.say("Plan        %s", digestOf(s, plan))
	if s.targeted() && plan.Refused() == nil {
		a.say("            to run exactly this, give run --plan %s", digestOf(s, plan))
	}
}

// digestOf is the plan's digest, or why it has none.
func digestOf(s *connected, p *batch.Plan) string {
	if !s.targeted() {
		return "no digest: without a login the target is not known"
	}
	return p.Digest(s.Target())
}

// targeted says whether it is known whose devices the plan is about. Whether
// somebody on loopback is a simulator, which run then takes for another target,
// only a login tells, or an earlier run.
func (s *connected) targeted() bool {
	guessed := s.Client == nil && s.Simulated != s.target.Loopback
	return s.Key.Tenant != "" && s.Key.Application != "" && !guessed
}

// begin reads flags and lists, and signs in, the list first: what is wrong with
// it needs no login to be told. Where the list is to blame the plan tells how.
func (a *app) begin(j *job, args []string) (*connected, *batch.Plan, error) {
	if err := j.prepare(a, args); err != nil {
		return nil, nil, err
	}
	plan, err := j.draft()
	if err != nil {
		return nil, nil, err
	}
	if stop := plan.Unusable(); stop != nil {
		a.sayRehearsal(j.simulate)
		a.showList(j, plan)
		if !j.json {
			a.problems(plan)
		}
		a.logProblems(plan)
		return nil, plan, stop
	}
	if j.simulate {
		if err := a.rehearse(j); err != nil {
			return nil, nil, err
		}
	}
	if err := j.check(); err != nil {
		return nil, nil, err
	}
	if err := j.hours.apply(time.Now(), &j.opt); err != nil {
		return nil, nil, err
	}
	a.zone, j.req.Settings = j.hours.parsed.Zone(), j.settings()
	s, err := a.enter(j)
	return s, nil, err
}

// settings are those that plan shows beside its request's: when calls may go out,
// how many, and how the list is read.
func (j *job) settings() string {
	h := &j.hours
	return fmt.Sprint(j.opt.Windows, j.opt.SharedBudget, j.opt.Limit, h.between, h.timezone, h.wait, h.until, h.length, j.list)
}

// enter opens the checkpoint and signs in, unless the plan can do without.
func (a *app) enter(j *job) (s *connected, err error) {
	store, err := a.openStore()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close()
		}
	}()
	if j.planning && j.noInventory && !j.simulate {
		return a.withoutLogin(j, store)
	}
	client, err := j.client(a)
	if err != nil {
		return nil, err
	}
	return a.connect(a.Context, &j.connection, client, store, true)
}

// withoutLogin takes for the target what the flags, the environment and the
// batch's earlier runs say of it, which may be nothing.
func (a *app) withoutLogin(j *job, store *checkpoint.Store) (*connected, error) {
	target, err := defender.Resolve(j.config.Cloud, j.config.Endpoint, j.config.Scope, j.config.AuthorityHost)
	if err != nil {
		return nil, usage{err}
	}
	s := &connected{target: target, Session: batch.Session{Store: store, Clock: &batch.Clock{}, Host: target.Host, HostNamed: j.config.Endpoint != "", Version: Version,
		Key: checkpoint.Key{Cloud: target.Key, Tenant: strings.ToLower(either(j.login.TenantID, a.Getenv("AZURE_TENANT_ID"))),
			Application: strings.ToLower(either(j.login.ClientID, a.Getenv("AZURE_CLIENT_ID")))}}}
	err = store.View(a.Context, func(r checkpoint.Reader) error {
		b, err := find(r, j.name, s.Key.Tenant)
		if errors.Is(err, checkpoint.ErrNoBatch) {
			return nil
		}
		s.Key.Tenant, s.Key.Application = either(s.Key.Tenant, b.Key.Tenant), either(s.Key.Application, b.Key.Application)
		if s.Simulated = b.Simulated; s.Simulated && target.Loopback {
			s.Key.Cloud = b.Key.Cloud
		}
		return err
	})
	return s, err
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// planned opens the batch, reads the inventory and makes the plan.
func (a *app) planned(j *job, s *connected) (open *batch.Open, plan *batch.Plan, err error) {
	if open, err = s.Open(a.Context, j.name); err != nil {
		return nil, nil, err
	}
	if stop := open.Closed(j.req.Again); stop != nil {
		return open, nil, stop
	}
	req := j.req
	if req.Unseen = j.opt.NoReads; !req.Unseen && s.Client != nil && (req.Again || len(req.Retry) > 0) {
		opt, err := a.readingHours(j, s, open)
		if err == nil {
			err = open.Refresh(a.Context, opt, a.note)
		}
		if err != nil {
			return open, nil, err
		}
	}
	if open.Batch.ID != 0 {
		if plan, err = j.makePlan(open, req); err != nil || plan.Nothing() {
			return open, plan, err // without a call
		}
	}
	opt, err := a.readingHours(j, s, open)
	if err != nil {
		return open, nil, err
	}
	if !j.noInventory {
		if req.Inventory, err = s.Inventory(a.Context, j.what(), opt, a.note); err != nil {
			return open, nil, err
		}
	}
	if err := j.readProtection(); err != nil { // a night may have been waited for
		return open, nil, err
	}
	req.Protect = j.req.Protect
	err = s.Store.View(a.Context, func(r checkpoint.Reader) (err error) {
		req.Elsewhere, err = r.Elsewhere(s.Key.Cloud, s.Key.Tenant, open.Batch.ID)
		return err
	})
	if err != nil {
		return open, nil, err
	}
	plan, err = j.makePlan(open, req)
	return open, plan, err
}

// what is what the run of calls is called in the checkpoint.
func (j *job) what() string {
	if j.planning {
		return "plan"
	}
	return "plan of a run"
}

// lean has the collector come twice as often until it is undone: a list of a
// million lines is then planned within 200 MiB, and no slower.
func lean() (undo func()) {
	percent := debug.SetGCPercent(50)
	return func() { debug.SetGCPercent(percent) }
}

// draft plans the lists alone.
func (j *job) draft() (plan *batch.Plan, err error) {
	defer lean()()
	lists, err := batch.OpenSpooled(j.files, j.spooled, j.list)
	if err != nil {
		return nil, listError(err)
	}
	defer lists.Close()
	if plan, err = batch.Draft(lists, j.listName, j.req); err == nil {
		j.note(plan)
		j.req.Called = plan.Request.Called
	}
	return plan, listError(err)
}

// drop closes the last plan, of which a run has used what it needs.
func (j *job) drop() {
	if j.made != nil {
		j.made.Close() // what it kept on a disk was for itself
		j.made = nil
	}
}

// makePlan plans the lists as what is left of a batch. They and the protect files
// may have changed since they were drafted, as a night may lie in between: the names
// by which devices are known are found anew then.
func (j *job) makePlan(open *batch.Open, req batch.Request) (*batch.Plan, error) {
	plan, err := j.tryPlan(open, req)
	if !errors.Is(err, batch.ErrOtherNames) {
		return plan, listError(err)
	}
	if _, err := j.draft(); err != nil {
		return nil, err
	}
	plan, err = j.tryPlan(open, req)
	return plan, listError(err)
}

// tryPlan is makePlan by the names that are known.
func (j *job) tryPlan(open *batch.Open, req batch.Request) (*batch.Plan, error) {
	j.drop()
	req.Called = j.req.Called
	defer lean()()
	lists, err := batch.OpenSpooled(j.files, j.spooled, j.list)
	if err != nil {
		return nil, err
	}
	defer lists.Close()
	plan, err := batch.MakePlan(lists, j.listName, open.Batch, open.Tasks, req)
	if err != nil {
		return nil, err
	}
	j.note(plan)
	j.made = plan
	return plan, nil
}

// note adds what there is to say of the lists beside what their reader has said.
func (j *job) note(plan *batch.Plan) {
	plan.Notes = append(plan.Notes, j.notes...)
	for i, name := range report.ListColumns(plan.Columns) {
		if own := plan.Columns[i]; name != own {
			plan.Notes = append(plan.Notes, fmt.Sprintf("column %q is called %q in the results, as its name is there already", own, name))
		}
	}
}

// listError makes what is wrong with a list wrong usage.
func listError(err error) error {
	var p *input.Problem
	if errors.As(err, &p) {
		return &batch.Stop{Why: p.Error(), Hint: p.Hint, Code: batch.CodeUsage}
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
		return usage{err}
	}
	return err
}
