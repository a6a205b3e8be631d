package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// documented is the quota that Microsoft documents, for batches whose settings
// do not tell.
var documented = []batch.Window{{Limit: 100, Per: time.Minute}, {Limit: 1500, Per: time.Hour}}

// call is a request as the quota sees it: Defender counted it at some moment
// from its reservation until it was over.
type call struct {
	from, to time.Time
	run      int64
}

// schedule is when the calls went, to be held against the quota.
type schedule struct {
	windows []batch.Window
	shared  bool
	own     []call // offboard calls of this batch
	others  []call // calls of other batches that count against the same budget
	levels  []level
}

// level is how full a window was over time.
type level struct {
	batch.Window
	steps  []step
	most   int       // the highest value
	mostAt time.Time // when it was reached first
}

// step says that from a moment on a window holds so many calls.
type step struct {
	at time.Time
	n  int
}

// settingsOf reads from the settings of a plan what the quota was.
func settingsOf(options string) (windows []batch.Window, shared bool) {
	var s struct {
		Windows      []string `json:"windows"`
		SharedBudget bool     `json:"sharedBudget"`
	}
	if json.Unmarshal([]byte(options), &s) != nil {
		return documented, false
	}
	for _, text := range s.Windows {
		var w batch.Window
		var per string
		if _, err := fmt.Sscanf(text, "%d in %s", &w.Limit, &per); err != nil {
			return documented, s.SharedBudget
		}
		d, err := time.ParseDuration(per)
		if err != nil || d <= 0 || w.Limit <= 0 {
			return documented, s.SharedBudget
		}
		w.Per = d
		windows = append(windows, w)
	}
	if len(windows) == 0 {
		return documented, s.SharedBudget
	}
	return windows, s.SharedBudget
}

// newSchedule finds the calls that count against the batch's budget, its own
// and those that other batches made at the same time, and how full the windows
// were.
func newSchedule(r checkpoint.Reader, a *audit, attempts []checkpoint.Attempt) (schedule, error) {
	var s schedule
	s.windows, s.shared = settingsOf(a.batch.Options)
	s.own = s.calls(attempts, a.runs)
	if len(s.own) == 0 {
		return s, nil
	}
	longest := time.Duration(0)
	for _, w := range s.windows {
		longest = max(longest, w.Per)
	}
	from, to := s.own[0].from.Add(-longest), s.own[len(s.own)-1].from
	var err error
	if s.others, err = s.foreign(r, a.batch, from, to); err != nil {
		return s, err
	}
	for _, w := range s.windows {
		s.levels = append(s.levels, levelOf(w, slices.Concat(s.own, s.others)))
	}
	return s, nil
}

// calls are the attempts that were sent and count against the budget, in the
// order of their reservations.
func (s *schedule) calls(attempts []checkpoint.Attempt, runs []checkpoint.Run) (calls []call) {
	for _, at := range attempts {
		if !s.counts(at) {
			continue
		}
		c := call{at.Reserved, at.Over, at.Run}
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

// has says whether a run made one of the batch's own calls.
func (s *schedule) has(r checkpoint.Run) bool {
	return slices.ContainsFunc(s.own, func(c call) bool { return c.run == r.ID })
}

// counts says whether an attempt is one of those that the chart is about.
func (s *schedule) counts(at checkpoint.Attempt) bool {
	return (at.Sent || at.Over.IsZero()) && (s.shared || at.Kind == batch.CallOffboard)
}

// foreign finds the calls of other batches of the same application between two
// moments.
func (s *schedule) foreign(r checkpoint.Reader, own checkpoint.Batch, from, to time.Time) (calls []call, err error) {
	all, err := r.Batches()
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		if b.ID == own.ID || b.Key != own.Key {
			continue
		}
		runs, err := r.Runs(b.ID)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(runs, func(run checkpoint.Run) bool { return !run.Started.After(to) && !run.Alive.Before(from) }) {
			continue
		}
		attempts, err := r.Attempts(b.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range s.calls(attempts, runs) {
			if !c.from.Before(from) && !c.from.After(to) {
				calls = append(calls, c)
			}
		}
	}
	return calls, nil
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
	slices.SortFunc(changes, func(x, y change) int {
		if d := x.at.Compare(y.at); d != 0 {
			return d
		}
		return x.by - y.by
	})
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
