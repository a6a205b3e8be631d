package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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
	Host      string // of the API
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

// ErrOtherRunner says that another process is at work on the batch.
type ErrOtherRunner struct {
	Name string
	Run  checkpoint.Run
}

func (e *ErrOtherRunner) Error() string {
	who := ""
	if e.Run.PID != 0 {
		who = fmt.Sprintf(": %s on %s, process %d, since %s", e.Run.Who, e.Run.Host, e.Run.PID, e.Run.Started.Format(time.RFC3339))
	}
	return fmt.Sprintf("another runner is at work on batch %q%s", e.Name, who)
}

// Open takes a batch for this process and brings it up to date: what a runner
// that died left open is put in doubt. The lock is the system's, so it ends
// with its process, however that ends.
func (s *Session) Open(ctx context.Context, name string) (*Open, error) {
	o := &Open{s: s, name: name, lock: flock.New(s.lockFile(name))}
	ok, err := o.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock of batch %q: %w", name, err)
	}
	if !ok {
		return nil, s.otherRunner(ctx, name)
	}
	if err := o.load(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// Close lets other processes work on the batch.
func (o *Open) Close() error { return o.lock.Close() }

// lockFile is never deleted: a process that waits for it must not wait for a
// file that has no name any more.
func (s *Session) lockFile(name string) string {
	h := sha256.Sum256([]byte(s.Key.Cloud + "|" + s.Key.Tenant + "|" + name))
	return s.Store.Path() + "-batch-" + hex.EncodeToString(h[:6]) + "-lock"
}

func (s *Session) otherRunner(ctx context.Context, name string) error {
	e := &ErrOtherRunner{Name: name}
	err := s.Store.View(ctx, func(r checkpoint.Reader) error {
		b, err := r.FindBatch(s.Key.Cloud, s.Key.Tenant, name)
		if err != nil {
			return err
		}
		runs, err := r.Runs(b.ID)
		for _, run := range runs {
			if run.Ended.IsZero() {
				e.Run = run
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, checkpoint.ErrNoBatch) {
		return err
	}
	return e
}

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
	if err := o.s.Store.Verify(ctx, o.Batch.ID); err != nil {
		return &Stop{Why: "the checkpoint is not what was written", Err: err, Code: CodeError, Hint: "mde-offboard verify tells more; nothing was sent"}
	}
	if err := o.recover(ctx); err != nil {
		return err
	}
	return o.s.Store.View(ctx, func(r checkpoint.Reader) (err error) {
		if err := find(r); err != nil {
			return err
		}
		o.Tasks, err = r.Tasks(o.Batch.ID)
		return err
	})
}

// recover ends what a dead runner left open. Its calls can take effect until
// its grace after its last sign of life has passed; their tasks are in doubt.
func (o *Open) recover(ctx context.Context) error {
	var dead []checkpoint.Run
	var open []checkpoint.Attempt
	tasks := map[int64]checkpoint.Task{}
	err := o.s.Store.View(ctx, func(r checkpoint.Reader) error {
		runs, err := r.Runs(o.Batch.ID)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if run.Ended.IsZero() {
				dead = append(dead, run)
			}
		}
		if open, err = r.OpenAttempts(o.Batch.ID); err != nil || len(open) == 0 {
			return err
		}
		all, err := r.Tasks(o.Batch.ID)
		for _, t := range all {
			tasks[t.N] = t
		}
		return err
	})
	if err != nil || len(dead)+len(open) == 0 {
		return err
	}
	now := o.s.Clock.Now()
	until := map[int64]time.Time{}
	return o.s.Store.Update(func(tx *checkpoint.Tx) error {
		for _, run := range dead {
			until[run.ID] = run.Alive.Add(run.Grace)
			if _, err := tx.Append(o.Batch.ID, checkpoint.Event{Kind: "died", At: now, Run: run.ID,
				End: &checkpoint.RunEnd{Run: run.ID, At: run.Alive, Why: "stopped without a word", Code: -1}}); err != nil {
				return err
			}
		}
		for _, a := range open {
			over, ok := until[a.Run]
			if !ok {
				over = now.Add(time.Minute) // its run has ended, but for this write
			}
			e := checkpoint.Event{Kind: "recover", At: now, Run: a.Run,
				Outcome: []checkpoint.Outcome{{Attempt: a.ID, Over: over, Outcome: "not known: the runner stopped"}}}
			if t, ok := tasks[a.N]; ok && t.Status == checkpoint.Sending && t.Attempt == a.ID {
				e.Tasks = []checkpoint.TaskChange{{N: a.N, Status: checkpoint.InDoubt, Reason: ptr("the runner stopped before the answer was known"),
					Attempts: ptr(t.Attempts + 1), DoubtSince: ptr(a.Reserved), DoubtUntil: &over}}
			}
			if _, err := tx.Append(o.Batch.ID, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Start writes the plan that was agreed to and begins a run of it. how says how
// it was agreed to.
func (o *Open) Start(ctx context.Context, p *Plan, what, how string, opt Options, show func(Progress)) (*Runner, error) {
	r := &Runner{caller: &caller{store: o.s.Store, client: o.s.Client, clock: o.s.Clock, key: o.s.Key, opt: &opt},
		show: show, name: o.name, sim: o.s.Simulated, counts: map[checkpoint.Status]int{}, rows: map[string]map[string]bool{},
		rng: rand.New(rand.NewPCG(uint64(opt.Seed), 0))}
	now := o.s.Clock.Now()
	settings, err := json.Marshal(opt.described())
	if err != nil {
		return nil, err
	}
	err = o.s.Store.Update(func(tx *checkpoint.Tx) error {
		if r.batch = o.Batch.ID; r.batch == 0 {
			if r.batch, err = tx.NewBatch(checkpoint.NewBatch{Name: o.name, Cloud: o.s.Key.Cloud, Tenant: o.s.Key.Tenant,
				Application: o.s.Key.Application, Host: o.s.Host, Simulated: o.s.Simulated}, now); err != nil {
				return err
			}
		}
		if err := p.write(tx, r.batch, now, string(settings), p.Digest(o.s.Key, o.s.Host)); err != nil {
			return err
		}
		r.run, err = tx.Append(r.batch, checkpoint.Event{Kind: "run", At: now, Start: o.s.start(what, how, &opt)})
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, r.load(ctx)
}

// start describes a run.
func (s *Session) start(what, how string, opt *Options) *checkpoint.RunStart {
	return &checkpoint.RunStart{What: what, Who: s.Who, Host: s.Machine, PID: int64(s.PID), Version: s.Version, Agreed: how,
		Grace: opt.Grace().Microseconds()}
}

// write puts a plan into the batch.
func (p *Plan) write(tx *checkpoint.Tx, batch int64, now time.Time, options, digest string) error {
	e := checkpoint.Event{Kind: "plan", At: now, Plan: &checkpoint.Plan{List: p.List, ListDigest: p.ListDigest, PlanDigest: digest,
		Columns: p.Columns, Options: options}}
	for i := 0; ; i += perEvent {
		end := min(i+perEvent, len(p.changes))
		e.Lines = p.changes[min(i, end):end]
		if end == len(p.changes) {
			e.Tasks = p.resets
		}
		if _, err := tx.Append(batch, e); err != nil || end == len(p.changes) {
			return err
		}
		e = checkpoint.Event{Kind: "lines", At: now}
	}
}

// load takes the batch's tasks into the hands of the runner.
func (r *Runner) load(ctx context.Context) error {
	return r.store.View(ctx, func(rd checkpoint.Reader) error {
		tasks, err := rd.Tasks(r.batch)
		if err != nil {
			return err
		}
		attempts, err := rd.Attempts(r.batch)
		if err != nil {
			return err
		}
		tags, requests := map[int64][]string{}, map[int64]int{}
		for _, a := range attempts {
			if a.N != 0 && a.Kind == CallOffboard {
				requests[a.N]++
				if a.Tag != "" {
					tags[a.N] = append(tags[a.N], a.Tag)
				}
			}
		}
		r.total = len(tasks)
		for _, t := range tasks {
			r.counts[t.Status]++
			w := &work{Task: t, tags: tags[t.N], tagged: len(tags[t.N]) > 0, requests: requests[t.N], counted: t.Status}
			switch {
			case t.Status == checkpoint.Pending && !t.NotBefore.IsZero():
				r.later = append(r.later, w)
			case t.Status == checkpoint.Pending:
				r.ready = append(r.ready, w)
			case t.Status == checkpoint.InDoubt, t.Status == checkpoint.AlreadyActive && t.Reason == reasonLookup:
				r.toDoubt(w)
			}
		}
		return nil
	})
}

// Finish writes how the run ended and returns the code for it.
func (r *Runner) Finish(stop *Stop) (int, error) {
	c := code(stop, r.counts)
	why := "done"
	if stop != nil {
		why = stop.Error()
	}
	now := r.clock.Now()
	err := r.store.Update(func(tx *checkpoint.Tx) error {
		_, err := tx.Append(r.batch, checkpoint.Event{Kind: "end", At: now, Run: r.run,
			End: &checkpoint.RunEnd{Run: r.run, At: now, Why: why, Code: c}})
		return err
	})
	return c, err
}

// BatchID is the id of the batch in the checkpoint.
func (r *Runner) BatchID() int64 { return r.batch }

// Counts are the batch's tasks by status.
func (r *Runner) Counts() map[checkpoint.Status]int { return r.counts }

// described are the settings as the audit shows them.
func (o *Options) described() map[string]any {
	windows := []string{}
	for _, w := range o.Windows {
		windows = append(windows, w.String())
	}
	return map[string]any{"windows": windows, "sharedBudget": o.SharedBudget, "workers": o.Workers, "timeout": o.Timeout.String(),
		"settleWait": o.SettleWait.String(), "maxAttempts": o.MaxAttempts, "maxOutage": o.MaxOutage.String(), "commentTag": !o.NoTag,
		"again": o.Again, "maxFailures": o.MaxFailures.String(), "lookUps": !o.NoReads}
}

// Write puts a plan that sends nothing into the batch: lines that moved, left
// or are held back.
func (o *Open) Write(p *Plan, opt Options) error {
	settings, err := json.Marshal(opt.described())
	if err != nil {
		return err
	}
	return o.s.Store.Update(func(tx *checkpoint.Tx) error {
		return p.write(tx, o.Batch.ID, o.s.Clock.Now(), string(settings), p.Digest(o.s.Key, o.s.Host))
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
