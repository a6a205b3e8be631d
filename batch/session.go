package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// Session is this execution of the program on one tenant: what all its batches
// and calls have in common.
type Session struct {
	Store     *checkpoint.Store
	Client    *defender.Client
	Clock     *Clock
	Key       checkpoint.Key
	Host      string // of the API; that of a batch, once one is at hand
	HostNamed bool   // by the user: a batch that has another one is refused
	Simulated bool
	Who       string // the user of the operating system, or the one who signed in
	Machine   string // the name of this machine
	PID       int
	Version   string
}

// Open is a batch that this process alone may work on.
type Open struct {
	s     *Session
	name  string
	lock  *flock.Flock
	Batch checkpoint.Batch // ID 0: there is none yet
	Tasks []checkpoint.Task
}

// Open takes a batch for this process and brings it up to date: what a runner
// that died left open is put in doubt. The lock is the system's, so it ends
// with its process, however that ends.
func (s *Session) Open(ctx context.Context, name string) (*Open, error) {
	lock, err := s.lock(ctx, "batch", name)
	if err != nil {
		return nil, err
	}
	o := &Open{s: s, name: name, lock: lock}
	if err := o.load(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// Close lets other processes work on the batch.
func (o *Open) Close() error { return o.lock.Close() }

// load reads the batch, checks it, and settles the accounts of a dead runner.
func (o *Open) load(ctx context.Context) error {
	find := func(r checkpoint.Reader) (err error) {
		o.Batch, err = r.FindBatch(o.s.Key.Cloud, o.s.Key.Tenant, o.name)
		return err
	}
	err := o.s.Store.View(ctx, find)
	if errors.Is(err, checkpoint.ErrNoBatch) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.Batch.Key.Application != o.s.Key.Application {
		return &Stop{Why: fmt.Sprintf("batch %q was begun by application %s, and this is %s", o.name, o.Batch.Key.Application, o.s.Key.Application),
			Code: CodeUsage, Hint: "sign in as that application, or give another --batch name"}
	}
	if err := o.s.at(o.Batch); err != nil {
		return err
	}
	if err := o.s.Store.Verify(ctx, o.Batch.ID); errors.Is(err, context.Canceled) {
		return err
	} else if err != nil {
		return &Stop{Why: "the checkpoint is not what was written", Err: err, Code: CodeError, Hint: "mde-offboard verify tells more"}
	}
	if err := o.recover(ctx); err != nil {
		return err
	}
	return o.read(ctx)
}

// at has the calls go to the host at which a batch was begun: another one of the
// same cloud may not know its fresh actions. Of simulators each rehearsal has one
// with another port, and all are the same.
func (s *Session) at(b checkpoint.Batch) error {
	if s.Host == b.Host || s.Simulated {
		return nil
	}
	if s.HostNamed {
		return &Stop{Why: fmt.Sprintf("batch %q was begun at %s, and this is %s", b.Name, b.Host, s.Host), Code: CodeUsage,
			Hint: "leave --endpoint and MDE_OFFBOARD_ENDPOINT out: a batch stays at its host"}
	}
	s.Host = b.Host
	if s.Client == nil {
		return nil
	}
	return s.Client.At(b.Host)
}

// read reads the batch as it stands now.
func (o *Open) read(ctx context.Context) error {
	return o.s.Store.View(ctx, func(r checkpoint.Reader) (err error) {
		if o.Batch, err = r.FindBatch(o.s.Key.Cloud, o.s.Key.Tenant, o.name); err != nil {
			return err
		}
		o.Tasks, err = r.Tasks(o.Batch.ID)
		return err
	})
}

// Refresh asks Defender, once, how the open actions of the batch went, which is
// to be known before devices are taken up again.
func (o *Open) Refresh(ctx context.Context, opt Options, note func(string)) error {
	if o.Batch.ID == 0 {
		return nil
	}
	stop, err := o.s.refresh(ctx, o.name, opt, note)
	switch {
	case err != nil:
		return err
	case stop != nil:
		return stop
	}
	return o.read(ctx)
}

// Start writes the plan that was agreed to and begins a run of it. how says how
// it was agreed to.
func (o *Open) Start(ctx context.Context, p *Plan, what, how string, opt Options, show func(Progress)) (*Runner, error) {
	opt.Canary = p.CanaryLeft()
	r := &Runner{caller: o.s.caller(&opt), show: show, name: o.name, sim: o.s.Simulated, keep: p.keep, judged: p.judgedBy(), takes: p.First(), from: p.round.From,
		counts: map[checkpoint.Status]int{}, turned: map[int64]bool{}, rows: map[row]map[string]bool{},
		rng: rand.New(rand.NewPCG(uint64(opt.Seed), 0))}
	now := o.s.Clock.Now()
	settings, err := json.Marshal(p.described(&opt))
	if err != nil {
		return nil, err
	}
	err = o.s.Store.Update(func(tx *checkpoint.Tx) error {
		e := checkpoint.Event{Kind: "run", At: now, Start: o.s.start(what, how, &opt)}
		e.Start.Settings = "" // the plan says more
		if e.Closed, err = o.reopens(tx, &opt); err != nil {
			return err
		}
		if r.batch = o.Batch.ID; r.batch == 0 {
			if r.batch, err = tx.NewBatch(checkpoint.NewBatch{Name: o.name, Cloud: o.s.Key.Cloud, Tenant: o.s.Key.Tenant,
				Application: o.s.Key.Application, Host: o.s.Host, Simulated: o.s.Simulated}, now); err != nil {
				return err
			}
		}
		if err := p.write(tx, r.batch, now, string(settings), p.Digest(o.s.Target())); err != nil {
			return err
		}
		r.run, err = tx.Append(r.batch, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	o.s.logStart(&opt, o.name, what, how)
	// A signal that comes in between must not leave a run without an end.
	return r, r.load(context.WithoutCancel(ctx))
}

// start describes a run.
func (s *Session) start(what, how string, opt *Options) *checkpoint.RunStart {
	settings, _ := json.Marshal(opt.pace()) // which cannot fail
	return &checkpoint.RunStart{What: what, Who: s.Who, Host: s.Machine, PID: int64(s.PID), Version: s.Version, Agreed: how,
		Grace: opt.Grace().Microseconds(), Settings: string(settings)}
}

// write puts a plan into the batch.
func (p *Plan) write(tx *checkpoint.Tx, batch int64, now time.Time, options, digest string) error {
	e := checkpoint.Event{Kind: "plan", At: now, Plan: &checkpoint.Plan{List: p.List, ListDigest: p.ListDigest, PlanDigest: digest,
		Columns: p.Columns, Options: p.round.among(options)}}
	put := func() error {
		_, err := tx.Append(batch, e)
		e = checkpoint.Event{Kind: "lines", At: now}
		return err
	}
	if err := p.changes.parts(perEvent, func(part []checkpoint.Line) error {
		e.Lines = part
		return put()
	}); err != nil {
		return err
	}
	for part := range slices.Chunk(p.tasks, perEvent) {
		e.Tasks = part
		if err := put(); err != nil {
			return err
		}
	}
	if e.Plan == nil {
		return nil
	}
	return put()
}

// load takes the batch's tasks into the hands of the runner.
func (r *Runner) load(ctx context.Context) error {
	return r.store.View(ctx, func(rd checkpoint.Reader) error {
		tasks, err := rd.Tasks(r.batch)
		if err != nil {
			return err
		}
		if r.lists, err = rd.Lists(r.batch); err != nil {
			return err
		}
		before, err := readFormer(rd, r.batch, tasks)
		if err != nil {
			return err
		}
		r.total = len(tasks)
		now := r.clock.moment()
		r.jumps = now.jumps
		var pending []*work
		for _, t := range tasks {
			r.counts[t.Status]++
			if outcome, ok := before.outcomes[t.Attempt]; ok {
				r.tally(t.Status, outcome)
			}
			if t.Status == checkpoint.Accepted && t.Action.Requestor != "" {
				r.requestor = t.Action.Requestor
			}
			if t.NotBefore.After(now.Add(longestWait)) { // by a clock that was set since
				t.NotBefore = now.Time
			}
			w := &work{Task: t, tags: before.tags[t.N], requests: before.requests[t.N], counted: t.Status, jumps: now.jumps, offset: before.offsets[t.N]}
			w.placed = r.hasPlace(w)
			switch {
			case t.Status == checkpoint.Pending:
				pending = append(pending, w)
			case t.Status == checkpoint.InDoubt, isLookedUp(&t):
				r.toDoubt(w)
			}
		}
		if !r.settling {
			r.queue(pending)
		}
		return nil
	})
}

// former is what the calls of former runs leave to be known, by task but for the
// outcomes, which are by attempt.
type former struct {
	tags     map[int64][]string // of the attempts since it was last taken up
	requests map[int64]int
	offsets  map[int64]*offset
	outcomes map[int64]string // since a guard last stopped a run
}

func readFormer(rd checkpoint.Reader, batch int64, tasks []checkpoint.Task) (*former, error) {
	attempts, err := rd.Attempts(batch)
	if err != nil {
		return nil, err
	}
	runs, err := rd.Runs(batch)
	if err != nil {
		return nil, err
	}
	taken := map[int64]int64{}
	for i := range tasks {
		if tasks[i].Taken > 0 { // few are
			taken[tasks[i].N] = tasks[i].Taken
		}
	}
	acknowledged := lastGuard(runs)
	f := &former{tags: map[int64][]string{}, requests: map[int64]int{}, offsets: offsetsAt(attempts, taken), outcomes: map[int64]string{}}
	for _, a := range attempts {
		if a.N == 0 || a.Kind != CallOffboard {
			continue
		}
		f.requests[a.N]++
		if a.ID > taken[a.N] {
			f.tags[a.N] = append(f.tags[a.N], a.Tag)
		}
		if a.Run > acknowledged {
			f.outcomes[a.ID] = a.Outcome
		}
	}
	return f, nil
}

// Finish writes how the run ended and returns the code for it.
func (r *Runner) Finish(stop *Stop) (int, error) {
	c := code(stop, r.counts)
	why := "done"
	switch {
	case stop != nil:
		why = stop.Error()
	case c == CodeStopped && r.opt.Canary > 0:
		why = "the " + CanaryOver(r.opt.Canary)
	}
	return c, r.end(why, c)
}

// end writes how the run ended.
func (c *caller) end(why string, code int) error {
	now := c.clock.Now()
	return c.store.Update(func(tx *checkpoint.Tx) error {
		_, err := tx.Append(c.batch, checkpoint.Event{Kind: "end", At: now, Run: c.run,
			End: &checkpoint.RunEnd{Run: c.run, At: now, Why: why, Code: code}})
		return err
	})
}

// BatchID is the id of the batch in the checkpoint.
func (r *Runner) BatchID() int64 { return r.batch }

// Sent is how many offboard calls of this run left.
func (r *Runner) Sent() int { return r.sentCalls }

// Counts are the batch's tasks by status.
func (r *Runner) Counts() map[checkpoint.Status]int { return r.counts }

// pace are the settings that say how fast a run may call, as the audit shows them.
func (o *Options) pace() map[string]any {
	windows := []string{}
	for _, w := range o.Windows {
		windows = append(windows, w.String())
	}
	return map[string]any{"windows": windows, "sharedBudget": o.SharedBudget}
}

// described are the settings and the guards of a plan as the audit shows them.
func (p *Plan) described(o *Options) map[string]any {
	req, all := &p.Request, o.pace()
	maps.Copy(all, map[string]any{"workers": o.Workers, "timeout": o.Timeout.String(),
		"settleWait": o.SettleWait.String(), "maxAttempts": o.MaxAttempts, "maxOutage": o.MaxOutage.String(), "commentTag": !o.NoTag,
		"hours": o.Hours, "limit": o.Limit, "lookUps": !o.NoReads,
		"again": req.Again, "retry": append([]checkpoint.Status{}, req.Retry...), "skipInvalid": req.SkipInvalid, "maxDevices": req.MaxDevices, "maxPercent": req.MaxPercent,
		"maxFailures": o.MaxFailures.String(), "canary": req.Canary, "recentlySeen": req.RecentlySeen.String(),
		"protect": req.Protect.described(), "inventory": req.Inventory != nil})
	return all
}

// Write puts a plan that sends nothing into the batch: lines that moved, left
// or are held back.
func (o *Open) Write(p *Plan, opt Options) error {
	settings, err := json.Marshal(p.described(&opt))
	if err != nil {
		return err
	}
	return o.s.Store.Update(func(tx *checkpoint.Tx) error {
		return p.write(tx, o.Batch.ID, o.s.Clock.Now(), string(settings), p.Digest(o.s.Target()))
	})
}

// Code is with what a run ends that finds nothing to do.
func (o *Open) Code(ctx context.Context) (c int, err error) {
	err = o.s.Store.View(ctx, func(r checkpoint.Reader) error {
		counts, err := r.Counts(o.Batch.ID)
		c = code(nil, counts)
		return err
	})
	return c, err
}
