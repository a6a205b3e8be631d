package batch

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/input"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// world is a strict Defender in process, in virtual time, and the checkpoint of
// somebody who works against it.
type world struct {
	t     *testing.T
	sim   *simulator.Server
	wire  *wire
	path  string
	clock *Clock
	opt   Options
	req   Request
	stop  func() // interrupts the run, if it was made stoppable
}

var both = []quota.Window{{Limit: 100, Per: time.Minute}, {Limit: 1500, Per: time.Hour}}

// newWorld is called within a bubble of virtual time.
func newWorld(t *testing.T, o simulator.Options) *world {
	o.AnyDevice = true
	o.Hosts = []string{"127.0.0.1"}
	sim, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sim: sim, path: filepath.Join(t.TempDir(), "checkpoint.db"), clock: &Clock{},
		opt: Options{Windows: both, Workers: 20, Timeout: time.Minute, SettleWait: 5 * time.Minute, MaxAttempts: 5,
			MaxOutage: 30 * time.Minute, MaxFailures: Threshold{Percent: 10, From: 20}, Seed: 1},
		req: Request{Name: "list"}}
	w.wire = &wire{world: w}
	return w
}

// device makes an id of a name.
func device(name string) string {
	h := sha1.Sum([]byte(name))
	return hex.EncodeToString(h[:])
}

// devices makes n ids.
func devices(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = device(fmt.Sprint("device ", i))
	}
	return ids
}

func listOf(ids []string) string {
	return "MachineId,Comment\n" + strings.Join(ids, ",retired\n") + ",retired\n"
}

// outcome is what a run left.
type runEnd struct {
	stop   *Stop
	code   int
	counts map[checkpoint.Status]int
	plan   *Plan
	tasks  []checkpoint.Task
	runs   []checkpoint.Run
}

// run plans a list and runs it, as one process would.
func (w *world) run(ids []string) runEnd {
	w.t.Helper()
	end, err := w.tryRun(w.t.Context(), ids)
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

func (w *world) tryRun(ctx context.Context, ids []string) (end runEnd, err error) {
	store, err := checkpoint.Open(w.path)
	if err != nil {
		return end, err
	}
	defer store.Close()
	return w.runOn(ctx, store, ids)
}

// session signs in.
func (w *world) session(ctx context.Context, store *checkpoint.Store) (*Session, error) {
	client, err := defender.New(defender.Config{Endpoint: "https://127.0.0.1", AuthorityHost: "https://127.0.0.1",
		Transport: w.wire, Timeout: w.opt.Timeout}, defender.SecretSource(simulator.DefaultTenant, simulator.DefaultApplication, simulator.DefaultSecret))
	if err != nil {
		return nil, err
	}
	id, err := client.Identity(ctx)
	if err != nil {
		return nil, err
	}
	return &Session{Store: store, Client: client, Clock: w.clock, Simulated: id.Simulated, Host: client.Target().Host,
		Key: checkpoint.Key{Cloud: client.Target().Key, Tenant: id.Tenant, Application: id.Application}, Who: "test"}, nil
}

// begin opens the batch and starts a run of a list, which is not run yet.
func (w *world) begin(ctx context.Context, store *checkpoint.Store, text string) (r *Runner, p *Plan, done func() error, err error) {
	s, err := w.session(ctx, store)
	if err != nil {
		return nil, nil, nil, err
	}
	o, err := s.Open(ctx, w.req.Name)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	if stop := o.Closed(w.req.Again); stop != nil {
		return nil, nil, nil, stop
	}
	req := w.req
	if req.Unseen = w.opt.NoReads; !req.Unseen && (req.Again || len(req.Retry) > 0) {
		if err := o.Refresh(ctx, w.opt, nil); err != nil {
			return nil, nil, nil, err
		}
	}
	list, err := input.NewList("list.csv", strings.NewReader(text), input.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	if p, err = MakePlan(list, "list.csv", o.Batch, o.Tasks, req); err != nil {
		return nil, nil, nil, err
	}
	r, err = o.Start(ctx, p, "run", "test", w.opt, nil)
	return r, p, o.Close, err
}

func (w *world) runOn(ctx context.Context, store *checkpoint.Store, ids []string) (end runEnd, err error) {
	return w.runText(ctx, store, listOf(ids))
}

// runText runs a list as its owner wrote it.
func (w *world) runText(ctx context.Context, store *checkpoint.Store, text string) (end runEnd, err error) {
	r, plan, done, err := w.begin(ctx, store, text)
	end.plan = plan
	if err != nil {
		return end, err
	}
	defer done()
	end.stop = r.Run(ctx, context.Background())
	if end.code, err = r.Finish(end.stop); err != nil {
		return end, err
	}
	end.counts = r.Counts()
	err = store.View(context.Background(), func(rd checkpoint.Reader) error {
		if end.tasks, err = rd.Tasks(r.BatchID()); err != nil {
			return err
		}
		end.runs, err = rd.Runs(r.BatchID())
		return err
	})
	if err != nil {
		return end, err
	}
	return end, store.Verify(context.Background(), r.BatchID())
}

// judge checks what must hold whatever happened: the quota as the simulator saw
// it, no device with two actions, none called while a call of it was in flight,
// and no accepted device without the id of an action that exists.
func (w *world) judge(end runEnd, doubled bool) simulator.Books {
	w.t.Helper()
	b := w.sim.Books()
	for kind, k := range b.Calls {
		if kind == "all" {
			continue
		}
		if k.DensestMinute > b.PerMinute || k.DensestHour > b.PerHour {
			w.t.Errorf("%s: densest minute %d, hour %d; the quota is %d and %d", kind, k.DensestMinute, k.DensestHour, b.PerMinute, b.PerHour)
		}
	}
	if !doubled && len(b.Doubled) > 0 {
		w.t.Errorf("devices with two actions: %v", b.Doubled)
	}
	if len(b.Foreign) > 0 {
		w.t.Errorf("calls to another host: %v, %d with a token", b.Foreign, b.Leaked)
	}
	if n := w.wire.knocked(); n > 0 {
		w.t.Errorf("%d calls left during a hold that was known", n)
	}
	sum := 0
	for _, n := range end.counts {
		sum += n
	}
	if sum != len(end.tasks) {
		w.t.Errorf("counts add up to %d of %d tasks: %v", sum, len(end.tasks), end.counts)
	}
	for _, t := range end.tasks {
		d := b.Devices[t.Device]
		if d != nil && d.MaxInFlight > 1 {
			w.t.Errorf("device %s: %d calls in flight at once", t.Device, d.MaxInFlight)
		}
		if t.Status == checkpoint.Accepted && (d == nil || !contains(d.Actions, t.Action.ID)) {
			w.t.Errorf("device %s is accepted with action %q, the simulator has %+v", t.Device, t.Action.ID, d)
		}
		if d != nil && len(d.Actions) > 0 && t.Action.ID == "" && t.Status != checkpoint.InDoubt {
			w.t.Errorf("device %s has actions %v and the result none (%s)", t.Device, d.Actions, t.Status)
		}
	}
	return b
}

func contains(all []string, s string) bool {
	for _, v := range all {
		if v == s {
			return true
		}
	}
	return false
}

// slow leaves a test out of short runs: those under the race detector, where the
// database takes ten times as long.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes minutes under the race detector")
	}
}

// watching begins a run of a watcher, as the command that what names does.
func (w *world) watching(store *checkpoint.Store, what string) (*Session, checkpoint.Batch, *watcher) {
	w.t.Helper()
	s, err := w.session(w.t.Context(), store)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := s.known(w.t.Context(), w.req.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	began := s.watcher(b, &w.opt)
	if err := began.begin(s, what, "test"); err != nil {
		w.t.Fatal(err)
	}
	return s, b, began
}
