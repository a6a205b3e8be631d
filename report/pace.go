package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// documented is the quota that Microsoft documents.
var documented = []batch.Window{{Limit: 100, Per: time.Minute}, {Limit: 1500, Per: time.Hour}}

// pace is what a run kept its calls to.
type pace struct {
	at      time.Time // when it began
	windows []batch.Window
	shared  bool // all kinds of call in one budget
}

// paceOf reads from settings what a run kept to: the documented quota if they
// do not tell.
func paceOf(settings string) pace {
	var s struct {
		Windows []string `json:"windows"`
		Shared  bool     `json:"sharedBudget"`
	}
	_ = json.Unmarshal([]byte(settings), &s) // damaged ones tell nothing
	p := pace{shared: s.Shared}
	for _, text := range s.Windows {
		var w batch.Window
		var per string
		if _, err := fmt.Sscanf(text, "%d in %s", &w.Limit, &per); err != nil {
			continue
		}
		if d, err := time.ParseDuration(per); err == nil && d > 0 && w.Limit > 0 {
			w.Per = d
			p.windows = append(p.windows, w)
		}
	}
	if len(p.windows) != len(s.Windows) || len(p.windows) == 0 {
		p.windows = documented
	}
	return p
}

// paces are those of some of the batch's runs.
func (a *audit) paces(runs map[int64]bool) (all []pace) {
	for _, run := range a.runs {
		if runs[run.ID] {
			p := paceOf(a.settings[run.ID])
			p.at = run.Started
			all = append(all, p)
		}
	}
	return all
}

// binding is the quota that calls of several runs are judged by, the shortest
// window first. Runs may keep to less, and each to something else: what Defender
// counts is the documented quota. In a rehearsal nobody knows what its server
// counts, and the largest quota that a run kept to is taken for it.
func binding(b checkpoint.Batch, paced []pace) (windows []batch.Window) {
	if !b.Simulated || len(paced) == 0 {
		windows = slices.Clone(documented)
	}
	for _, p := range paced {
		for _, w := range p.windows {
			if i := slices.IndexFunc(windows, func(have batch.Window) bool { return have.Per == w.Per }); i >= 0 {
				windows[i].Limit = max(windows[i].Limit, w.Limit)
			} else {
				windows = append(windows, w)
			}
		}
	}
	slices.SortFunc(windows, func(x, y batch.Window) int { return cmp.Compare(x.Per, y.Per) })
	return windows
}

// allowed is how many calls the runs allowed themselves in a window, where that
// is less than what binds.
func allowed(w batch.Window, paced []pace) (steps []step) {
	less := false
	for _, p := range paced {
		n := w.Limit
		for _, own := range p.windows {
			if own.Per == w.Per {
				n = own.Limit
			}
		}
		less = less || n < w.Limit
		steps = append(steps, step{p.at, n})
	}
	if !less {
		return nil
	}
	return steps
}
