package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// chart is the schedule as a picture: how full the windows were over time, the
// runs, and what was waited for. Without runs that did any of this, it is words
// alone.
type chart struct {
	Kept                    bool
	Own                     bool // a run kept to less than the limit
	Verdict, Describe, Note string
	Height                  int
	Panels                  []panel
	Ticks                   []tick
	Breaks                  []box
	Runs                    []box
	Waits                   []box
	Kinds                   []waitKind
	Windows                 []windowRow
	RunsNameY, RunsY        int
	TickY, DayY             int
}

type (
	panel struct {
		Name, Limit, Area, LimitY, Own string
		Y, H, NameY                    int
	}
	box       struct{ X, W, Class string }
	waitKind  struct{ Class, Name string }
	windowRow struct {
		Calls, Name, Limit, Most, At string
		First                        bool // of its budget
	}
)

// newChart draws the schedule; nil if nothing was sent and nothing waited for.
func newChart(a *audit) *chart {
	c, b := &chart{}, a.schedule.drawn()
	runs := a.callers()
	if len(runs) == 0 && !slices.ContainsFunc(a.schedule.budgets, func(b budget) bool { return len(b.own) > 0 }) {
		return nil
	}
	c.words(a)
	if len(runs) == 0 {
		return c
	}
	x := newAxis(a.busy())
	c.Ticks, c.Breaks = x.ticks(), x.breaks()
	y := 0
	for i := len(b.levels) - 1; i >= 0 && len(b.own) > 0; i-- { // the longest window on top
		c.panel(&x, b.levels[i], &y)
	}
	c.RunsNameY, c.RunsY = y+14, y+22
	c.TickY, c.DayY, c.Height = c.RunsY+48, c.RunsY+64, c.RunsY+72
	for _, r := range runs {
		c.Runs = append(c.Runs, boxOf(&x, r.Started, endOf(r), ""))
	}
	c.waits(&x, a)
	return c
}

// callers are the runs that made calls or waited to: one that only watches for
// days what becomes of the actions would leave no room for them.
func (a *audit) callers() (runs []checkpoint.Run) {
	made := runsOf(a.schedule.drawn().own)
	for _, w := range a.waits {
		made[w.run] = true
	}
	for _, r := range a.runs {
		if made[r.ID] {
			runs = append(runs, r)
		}
	}
	return runs
}

// endOf is when a run was last seen.
func endOf(r checkpoint.Run) time.Time {
	if r.Ended.IsZero() {
		return r.Alive
	}
	return r.Ended
}

// busy are the times that the chart shows: when calls were made, and when runs,
// holds and waits began and ended. What lasts for long in between may be cut.
func (a *audit) busy() (all []stretch) {
	add := func(times ...time.Time) {
		for _, t := range times {
			all = append(all, stretch{from: t, to: t})
		}
	}
	for _, r := range a.callers() {
		add(r.Started, endOf(r))
	}
	for _, c := range a.schedule.drawn().own {
		add(c.from)
	}
	for _, h := range a.holds {
		add(h.at, h.Until)
	}
	for _, w := range a.endedWaits() {
		ends := min(time.Minute, w.to.Sub(w.from)/2) // so much of it is seen on both sides of a cut
		all = append(all, stretch{from: w.from, to: w.from.Add(ends)}, stretch{from: w.to.Add(-ends), to: w.to})
	}
	return all
}

// panel draws one window and moves y below it.
func (c *chart) panel(x *axis, l level, y *int) {
	const height, head, below = 104, 22, 16
	top := float64(max(l.Limit, l.most)) * 1.12
	p := panel{Name: titled(length(l.Per)), Limit: fmt.Sprintf("limit %s, fullest %s", thousands(l.Limit), thousands(l.most)), H: height,
		NameY: *y + 14, Y: *y + head, LimitY: short(height * (1 - float64(l.Limit)/top)), Own: line(x, l.own, height, top)}
	p.Area = area(x, l.steps, height, top)
	c.Own = c.Own || p.Own != ""
	*y += head + height + below
	c.Panels = append(c.Panels, p)
}

// titled names a window at the head of its panel.
func titled(length string) string { return "In the " + length + " before" }

// columns is how finely an area is drawn: each column has the highest value that
// falls into it, so that no peak is lost.
const columns = 1000

// area draws steps as a filled path.
func area(x *axis, steps []step, height, top float64) string {
	var highest [columns + 1]int
	n := 0
	last := 0
	fill := func(to, n int) {
		for ; last <= min(to, columns); last++ {
			highest[last] = max(highest[last], n)
		}
		last = max(0, min(to, columns)) // the next step begins in this column
	}
	for _, s := range steps {
		at := x.at(s.at)
		fill(int(at), n)
		n = s.n
		highest[min(int(at), columns)] = max(highest[min(int(at), columns)], n)
	}
	fill(columns, n)
	var b strings.Builder
	fmt.Fprintf(&b, "M0 %s", short(height))
	before := -1
	for i, n := range highest[:columns] {
		if n != before {
			fmt.Fprintf(&b, "H%dV%.1f", i, height*(1-float64(n)/top))
			before = n
		}
	}
	fmt.Fprintf(&b, "H%dV%sZ", columns, short(height))
	return b.String()
}

// line draws steps as a path, each from its moment to the next one's.
func line(x *axis, steps []step, height, top float64) string {
	var b strings.Builder
	for i, s := range steps {
		to := axisWidth
		if i+1 < len(steps) {
			to = x.at(steps[i+1].at)
		}
		move := "V"
		if i == 0 {
			move = fmt.Sprintf("M%.1f ", x.at(s.at))
		}
		fmt.Fprintf(&b, "%s%.1fH%.1f", move, height*(1-float64(s.n)/top), to)
	}
	return b.String()
}

// boxOf is a box from one moment to another, never too narrow to be seen.
func boxOf(x *axis, from, to time.Time, class string) box {
	a, b := x.at(from), x.at(to)
	a = min(a, axisWidth-1.5)
	return box{X: short(a), W: short(max(1.5, b-a)), Class: class}
}

// words say what the picture shows, and what of the quota it does not: the budgets
// of the other kinds of call.
func (c *chart) words(a *audit) {
	var kept, broken []string
	calls, others := 0, 0
	for i := range a.schedule.budgets {
		b := &a.schedule.budgets[i]
		if len(b.own) == 0 {
			continue
		}
		calls, others = calls+len(b.own), others+len(b.others)
		for k := range b.levels {
			l := &b.levels[k]
			c.Windows = append(c.Windows, windowRow{titledCalls(b.kind), "Any " + length(l.Per), thousands(l.Limit), thousands(l.most), human(l.mostAt), k == 0})
			if l.most > l.Limit {
				broken = append(broken, fmt.Sprintf("%s in any %s (limit %s)", callsOfKind(l.most, b.kind), length(l.Per), thousands(l.Limit)))
			}
		}
		kept = append(kept, b.words(kept == nil))
	}
	c.Kept = broken == nil
	b := a.schedule.drawn()
	if calls == 0 {
		c.Verdict = "No call was sent. This is what the runs waited for."
		return
	}
	c.Verdict = fmt.Sprintf("The quota was kept: never more than %s.", strings.Join(kept, "; nor than "))
	if !c.Kept {
		c.Verdict = fmt.Sprintf("The quota may have been exceeded: up to %s, by the clock of this machine.", enumerate(broken))
	}
	if n := len(b.own); n > 0 {
		c.Describe = fmt.Sprintf("%s from %s to %s. Up to %s. ", callsOfKind(n, b.kind), human(b.own[0].from), human(b.own[n-1].from), b.words(true))
	}
	c.Describe += fmt.Sprintf("%s, %s, %s.", plural(len(a.callers()), "run"), plural(len(a.heldTimes()), "hold"), plural(len(a.waits), "wait"))
	drawn, budgets := "The chart shows the offboard calls; ", "each kind of call has a budget of its own, and that of reading the inventory, which belongs to no batch, is not shown"
	if b.kind == allKinds {
		drawn, budgets = "", "all kinds of call are counted together, as --shared-budget says"
	}
	c.Note = drawn + budgets + ". A call counts from the moment its slot was reserved until one window after it was over, because Defender counted it somewhere in between: no window of Defender's can hold more. " +
		plural(calls, "call") + " by this batch"
	if others > 0 {
		c.Note += fmt.Sprintf(", and %s that the same application made meanwhile for another or for none", thousands(others))
	}
	c.Note = strings.ToUpper(c.Note[:1]) + c.Note[1:] + "."
}

// words say how full the windows of a budget were.
func (b *budget) words(limits bool) string {
	var said []string
	for i, l := range b.levels {
		text := thousands(l.most)
		if i == 0 {
			text = callsOfKind(l.most, b.kind)
		}
		text += " in any " + length(l.Per)
		if limits {
			text += " (limit " + thousands(l.Limit) + ")"
		}
		said = append(said, text)
	}
	return enumerate(said)
}
