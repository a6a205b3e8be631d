package report

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// allKinds stands for the kinds of call where they share one budget.
const allKinds = "*"

// call is a request as the quota sees it: Defender counted it at some moment
// from its reservation until it was over.
type call struct {
	from, to time.Time
	run      int64
	kind     string
}

// schedule is when the calls went, to be held against the quota.
type schedule struct {
	budgets []budget // that of the offboard calls first
}

// budget is what calls of one kind count against, or all that share one.
type budget struct {
	kind   string
	own    []call // of this batch
	others []call // of other batches of the application, that count against it too
	levels []level
}

// level is how full a window was over time. Its limit is the one that binds.
type level struct {
	batch.Window
	steps  []step
	most   int       // the highest value
	mostAt time.Time // when it was reached first
	own    []step    // what the batch's own runs allowed themselves, from each of them on
}

// step says that from a moment on a window holds so many calls, or may.
type step struct {
	at time.Time
	n  int
}

// newSchedule finds the calls of a batch and those that other batches made at
// the same time against the same budgets, and how full the windows were.
func newSchedule(r checkpoint.Reader, a *audit, attempts []checkpoint.Attempt) (schedule, error) {
	own := callsOf(attempts, a.runs)
	paced := a.paces(runsOf(own))
	all := slices.Clone(paced)
	var others []call
	if len(own) > 0 {
		from, to := own[0].from, own[len(own)-1].from
		for _, w := range binding(a.batch, paced) {
			from = minTime(from, own[0].from.Add(-w.Per))
		}
		var err error
		if others, all, err = foreign(r, a.batch, from, to, all); err != nil {
			return schedule{}, err
		}
	}
	kindOf := func(c call) string { return c.kind }
	first := batch.CallOffboard
	if len(all) > 0 && !slices.ContainsFunc(all, func(p pace) bool { return !p.shared }) {
		kindOf, first = func(call) string { return allKinds }, allKinds
	}
	var s schedule
	mine, theirs := byKind(own, kindOf), byKind(others, kindOf)
	kinds := slices.DeleteFunc(slices.Sorted(maps.Keys(mine)), func(kind string) bool { return kind == first })
	for _, kind := range append([]string{first}, kinds...) {
		b := budget{kind: kind, own: mine[kind], others: theirs[kind]}
		for _, w := range binding(a.batch, all) {
			l := levelOf(w, slices.Concat(b.own, b.others))
			l.own = allowed(w, paced)
			b.levels = append(b.levels, l)
		}
		s.budgets = append(s.budgets, b)
	}
	return s, nil
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func byKind(calls []call, kindOf func(call) string) map[string][]call {
	kinds := map[string][]call{}
	for _, c := range calls {
		kinds[kindOf(c)] = append(kinds[kindOf(c)], c)
	}
	return kinds
}

// drawn is the budget that the chart shows.
func (s *schedule) drawn() *budget { return &s.budgets[0] }

// runsOf are the runs that made some calls.
func runsOf(calls []call) map[int64]bool {
	runs := map[int64]bool{}
	for _, c := range calls {
		runs[c.run] = true
	}
	return runs
}

// callsOf are the attempts that were sent, or may have been, in the order of
// their reservations.
func callsOf(attempts []checkpoint.Attempt, runs []checkpoint.Run) (calls []call) {
	for _, at := range attempts {
		if !at.Sent && !at.Over.IsZero() {
			continue
		}
		c := call{at.Reserved, at.Over, at.Run, at.Kind}
		if c.to.IsZero() {
			// Nobody saw its end: it counts for as long as it could still arrive.
			c.to = c.from
			for _, run := range runs {
				if run.ID == at.Run {
					c.to = run.Alive.Add(run.Grace)
				}
			}
		}
		calls = append(calls, c)
	}
	slices.SortStableFunc(calls, func(x, y call) int { return x.from.Compare(y.from) })
	return calls
}

// foreign finds the calls of other batches of the same application between two
// moments, those that serve none among them, and adds how they were paced.
func foreign(r checkpoint.Reader, own checkpoint.Batch, from, to time.Time, paced []pace) ([]call, []pace, error) {
	all, err := r.Batches()
	if err != nil {
		return nil, nil, err
	}
	none, err := r.FindBatch(own.Key.Cloud, own.Key.Tenant, "")
	if err == nil {
		all = append(all, none)
	} else if !errors.Is(err, checkpoint.ErrNoBatch) {
		return nil, nil, err
	}
	var calls []call
	for _, b := range all {
		if b.ID == own.ID || b.Key != own.Key {
			continue
		}
		more, paces, err := between(r, b, from, to)
		if err != nil {
			return nil, nil, err
		}
		calls, paced = append(calls, more...), append(paced, paces...)
	}
	return calls, paced, nil
}

// between finds the calls of a batch between two moments.
func between(r checkpoint.Reader, b checkpoint.Batch, from, to time.Time) (calls []call, paced []pace, err error) {
	a := &audit{batch: b}
	if a.runs, err = r.Runs(b.ID); err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(a.runs, func(run checkpoint.Run) bool { return !run.Started.After(to) && !run.Alive.Before(from) }) {
		return nil, nil, nil
	}
	attempts, err := r.Attempts(b.ID)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range callsOf(attempts, a.runs) {
		if !c.from.Before(from) && !c.from.After(to) {
			calls = append(calls, c)
		}
	}
	if len(calls) == 0 {
		return nil, nil, nil
	}
	if err := a.readEvents(r, planEvents...); err != nil {
		return nil, nil, err
	}
	return calls, a.paces(runsOf(calls)), nil
}

// levelOf counts for each moment the calls that Defender may have counted in
// the window before it: those that had been reserved and were not over for as
// long as the window. No server window, wherever it begins, can hold more.
func levelOf(w batch.Window, calls []call) level {
	type change struct {
		at time.Time
		by int
	}
	changes := make([]change, 0, 2*len(calls))
	for _, c := range calls {
		changes = append(changes, change{c.from, 1}, change{c.to.Add(w.Per), -1})
	}
	// What leaves a window at a moment leaves before what enters it then.
	slices.SortFunc(changes, func(x, y change) int { return cmp.Or(x.at.Compare(y.at), x.by-y.by) })
	l := level{Window: w}
	n := 0
	for _, c := range changes {
		n += c.by
		if k := len(l.steps); k > 0 && l.steps[k-1].at.Equal(c.at) {
			l.steps[k-1].n = n
		} else {
			l.steps = append(l.steps, step{c.at, n})
		}
		if n > l.most {
			l.most, l.mostAt = n, c.at
		}
	}
	return l
}
