package checkpoint

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mde-offboard/batch/quota"
)

// model does what runners do, in any order, from two stores on one file, and
// keeps its own account of the calls as a server would see them.
type model struct {
	path   string
	stores [2]*Store
	now    time.Time
	runs   []modelRun
	open   []modelCall
	calls  []modelCall
	names  int
}

type modelRun struct {
	batch, run int64
	store      int
}

type modelCall struct {
	modelRun
	attempt, n int64
	from, to   time.Time // it arrives between these two; to is zero while it is open
}

var modelBudget = Budget{Key: key, Kind: "offboard", Windows: []quota.Window{{Limit: 3, Per: time.Minute}, {Limit: 7, Per: 10 * time.Minute}}}

// modelDevices are few, so that batches meet.
var modelDevices = []string{"d1", "d2", "d3", "d4"}

func TestModel(t *testing.T) {
	t.Parallel()
	if checks := flag.Lookup("rapid.checks").Value; checks.String() == "100" {
		checks.Set("20") // unless more are asked for: each makes a checkpoint
	}
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := &model{path: filepath.Join(dir, fmt.Sprint(n), "c.db"), now: t0}
		defer func() {
			for _, s := range m.stores {
				s.Close()
			}
			os.RemoveAll(filepath.Dir(m.path))
		}()
		for i := range m.stores {
			m.reopen(t, i)
		}
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"pass":    m.pass,
			"start":   m.start,
			"reserve": m.reserve,
			"over":    m.over,
			"end":     m.end,
			"reopen":  func(t *rapid.T) { m.reopen(t, rapid.IntRange(0, 1).Draw(t, "store")) },
			"fail":    m.fail,
			"change":  m.change,
			"forget":  m.forget,
		})
		m.verify(t)
	})
}

// pass lets time pass, after which the runs with calls in flight give a sign of
// life, as they do every few seconds.
func (m *model) pass(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 90000).Draw(t, "ms")) * time.Millisecond)
	m.alive(t)
}

func (m *model) alive(t *rapid.T) {
	for _, r := range m.runs {
		if slices.ContainsFunc(m.open, func(c modelCall) bool { return c.modelRun == r }) {
			if err := m.stores[r.store].Alive(r.batch, r.run, m.now); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// reopen replaces a store: its runs die with it.
func (m *model) reopen(t *rapid.T, i int) {
	if m.stores[i] != nil {
		m.alive(t)
		if err := m.stores[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(m.path)
	if err != nil {
		t.Fatal(err)
	}
	m.stores[i] = s
	m.runs = slices.DeleteFunc(m.runs, func(r modelRun) bool { return r.store == i })
	m.giveUp(func(c modelCall) bool { return c.store == i })
}

// giveUp leaves open calls behind: they were sent, and may arrive as late as the
// grace of their run allows.
func (m *model) giveUp(which func(modelCall) bool) {
	m.open = slices.DeleteFunc(m.open, func(c modelCall) bool {
		if !which(c) {
			return false
		}
		c.to = m.now.Add(grace)
		m.calls = append(m.calls, c)
		return true
	})
}

func (m *model) start(t *rapid.T) {
	i := rapid.IntRange(0, 1).Draw(t, "store")
	m.names++
	r := modelRun{store: i}
	m.update(t, i, func(tx *Tx) (err error) {
		if r.batch, err = tx.NewBatch(NewBatch{Name: fmt.Sprint("list ", m.names), Cloud: key.Cloud, Tenant: key.Tenant}, m.now); err != nil {
			return err
		}
		var lines []Line
		for n, d := range modelDevices {
			lines = append(lines, Line{N: int64(n + 1), Position: int64(n + 1), Device: d, Comment: rapid.String().Draw(t, "comment")})
		}
		e := startOfRun()
		e.At, e.Lines = m.now, lines
		r.run, err = tx.Append(r.batch, e)
		return err
	})
	m.runs = append(m.runs, r)
}

func (m *model) reserve(t *rapid.T) {
	r := m.run(t)
	n := rapid.Int64Range(0, int64(len(modelDevices))).Draw(t, "task")
	in := Intent{Run: r.run, N: n, Again: rapid.Bool().Draw(t, "again")}
	if n > 0 {
		in.Device = modelDevices[n-1]
	}
	got, err := m.stores[r.store].Reserve(r.batch, in, modelBudget, func() time.Time { return m.now })
	var no *NoSlot
	var busy *Busy
	switch {
	case err == nil:
		m.open = append(m.open, modelCall{modelRun: r, attempt: got.Attempt, n: n, from: m.now})
	case !errors.As(err, &no) && !errors.As(err, &busy):
		t.Fatal(err)
	}
}

func (m *model) over(t *rapid.T) {
	if len(m.open) == 0 {
		t.Skip("no call is open")
	}
	i := rapid.IntRange(0, len(m.open)-1).Draw(t, "call")
	c := m.open[i]
	m.open = slices.Delete(m.open, i, i+1)
	o := Outcome{Attempt: c.attempt, Over: m.now, Unsent: rapid.IntRange(0, 4).Draw(t, "unsent") == 0, Message: rapid.String().Draw(t, "message")}
	e := Event{Kind: "outcome", At: m.now, Outcome: []Outcome{o}}
	if c.n > 0 {
		e.Tasks = []TaskChange{{N: c.n, Status: rapid.SampledFrom([]Status{Accepted, Refused, InDoubt, Pending}).Draw(t, "status")}}
	}
	m.update(t, c.store, func(tx *Tx) error { _, err := tx.Append(c.batch, e); return err })
	if !o.Unsent {
		c.to = m.now
		m.calls = append(m.calls, c)
	}
}

func (m *model) end(t *rapid.T) {
	r := m.run(t)
	m.update(t, r.store, func(tx *Tx) error {
		_, err := tx.Append(r.batch, Event{Kind: "end", At: m.now, End: &RunEnd{Run: r.run, Why: "done"}})
		return err
	})
	m.runs = slices.DeleteFunc(m.runs, func(o modelRun) bool { return o == r })
	m.giveUp(func(c modelCall) bool { return c.modelRun == r })
}

// fail does things and then undoes them all.
func (m *model) fail(t *rapid.T) {
	r := m.run(t)
	no := errors.New("no")
	if err := m.stores[r.store].Update(func(tx *Tx) error {
		if _, _, err := tx.Reserve(r.batch, Intent{Run: r.run}, modelBudget, m.now); err != nil {
			return err
		}
		if _, _, err := startIn(tx, "undone"); err != nil {
			return err
		}
		return no
	}); err != no {
		t.Fatal(err)
	}
}

func (m *model) change(t *rapid.T) {
	r := m.run(t)
	text := rapid.String().Draw(t, "text")
	m.update(t, r.store, func(tx *Tx) error {
		_, err := tx.Append(r.batch, Event{Kind: "change", At: m.now, Note: text, Plan: &Plan{List: text, Columns: []string{text}},
			Lines: []Line{{N: 9, Device: text, Extra: []string{text}, Status: Skipped}},
			Tasks: []TaskChange{{N: 9, Reason: &text, Health: &text, NotBefore: &m.now, Action: &Action{ID: text}}}})
		return err
	})
}

func (m *model) forget(t *rapid.T) {
	r := m.run(t)
	err := m.stores[r.store].Forget(r.batch, m.now)
	var needed *ErrNeeded
	if err != nil && !errors.As(err, &needed) {
		t.Fatal(err)
	}
	if err == nil {
		m.runs = slices.DeleteFunc(m.runs, func(o modelRun) bool { return o.batch == r.batch })
	}
}

func (m *model) run(t *rapid.T) modelRun {
	if len(m.runs) == 0 {
		t.Skip("no run is at work")
	}
	return rapid.SampledFrom(m.runs).Draw(t, "run")
}

func (m *model) update(t *rapid.T, i int, fn func(*Tx) error) {
	if err := m.stores[i].Update(fn); err != nil {
		t.Fatal(err)
	}
}

func (m *model) verify(t *rapid.T) {
	if err := m.stores[0].VerifyAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// check looks whether any window could have held too many calls: whether more
// than its limit can have arrived within it.
func (m *model) check(t *rapid.T) {
	all := slices.Concat(m.calls, m.open)
	slices.SortFunc(all, func(a, b modelCall) int { return cmp.Compare(a.from.UnixNano(), b.from.UnixNano()) })
	for _, w := range modelBudget.Windows {
		for i, c := range all {
			// Those before it that can arrive less than a window before it.
			held := 0
			for _, before := range all[:i] {
				if before.to.IsZero() || c.from.Sub(before.to) < w.Per {
					held++
				}
			}
			if held >= w.Limit {
				t.Fatalf("a call was let go at %v with %d in the window of %v", c.from, held, w)
			}
		}
	}
}
