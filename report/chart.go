package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// chart is the schedule as a picture: how full the windows were over time, the
// runs, and what was waited for.
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

// The kinds of wait, by their class in the page.
const (
	waitHeld   = "held"
	waitMinute = "minute"
	waitHour   = "hour"
)

// newChart draws the schedule; nil if nothing was sent.
func newChart(a *audit) *chart {
	b := a.schedule.drawn()
	if len(b.own) == 0 {
		return nil
	}
	x := newAxis(a.busy())
	c := &chart{Ticks: x.ticks(), Breaks: x.breaks()}
	y := 0
	for i := len(b.levels) - 1; i >= 0; i-- { // the longest window on top
		c.panel(&x, b.levels[i], &y)
	}
	c.RunsNameY, c.RunsY = y+14, y+22
	c.TickY, c.DayY, c.Height = c.RunsY+48, c.RunsY+64, c.RunsY+72
	for _, r := range a.callers() {
		c.Runs = append(c.Runs, boxOf(&x, r.Started, endOf(r), ""))
	}
	c.waits(&x, a)
	c.words(a)
	return c
}

// callers are the runs that made calls: one that only watches for days what
// becomes of the actions would leave no room for them.
func (a *audit) callers() (runs []checkpoint.Run) {
	made := runsOf(a.schedule.drawn().own)
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

// busy are the times that the chart shows.
func (a *audit) busy() (all []stretch) {
	for _, r := range a.callers() {
		all = append(all, stretch{from: r.Started, to: endOf(r)})
	}
	for _, c := range a.schedule.drawn().own {
		all = append(all, stretch{from: c.from, to: c.from})
	}
	return all
}

// panel draws one window and moves y below it.
func (c *chart) panel(x *axis, l level, y *int) {
	const height, head, below = 104, 22, 16
	top := float64(max(l.Limit, l.most)) * 1.12
	p := panel{Name: titled(span(l.Per)), Limit: fmt.Sprintf("limit %s, fullest %s", thousands(l.Limit), thousands(l.most)), H: height,
		NameY: *y + 14, Y: *y + head, LimitY: short(height * (1 - float64(l.Limit)/top)), Own: line(x, l.own, height, top)}
	p.Area = area(x, l.steps, height, top)
	c.Own = c.Own || p.Own != ""
	*y += head + height + below
	c.Panels = append(c.Panels, p)
}

// titled names a window at the head of its panel.
func titled(span string) string { return "In the " + span + " before" }

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

// waits finds what was waited for: the holds, which the chain tells, and the
// pauses between two calls of a run in which a window was full.
func (c *chart) waits(x *axis, a *audit) {
	kinds := map[string]bool{}
	add := func(from, to time.Time, class string) {
		kinds[class] = true
		w := boxOf(x, from, to, class)
		c.Waits = append(c.Waits, w)
	}
	for _, p := range a.pauses() {
		add(p.from, p.to, p.class)
	}
	for _, h := range a.holds {
		add(h.at, h.Until, waitHeld)
	}
	for _, k := range []waitKind{{waitHeld, "hold: Defender asked to wait"}, {waitMinute, "waiting for the minute window"}, {waitHour, "waiting for the hour window"}} {
		if kinds[k.Class] {
			if n := len(a.schedule.drawn().levels); k.Class == waitHour && n > 1 {
				k.Name = "waiting for the " + span(a.schedule.drawn().levels[n-1].Per) + " window"
			} else if k.Class == waitMinute && n > 0 {
				k.Name = "waiting for the " + span(a.schedule.drawn().levels[0].Per) + " window"
			}
			c.Kinds = append(c.Kinds, k)
		}
	}
}

// pause is a time in which a run sent nothing because a window was full.
type pause struct {
	from, to time.Time
	class    string
}

// pauses finds them. A pause of less than two seconds is none.
func (a *audit) pauses() (all []pause) {
	s := a.schedule.drawn()
	for i := 1; i < len(s.own); i++ {
		from, to := s.own[i-1].from, s.own[i].from
		if to.Sub(from) < 2*time.Second || s.own[i-1].run != s.own[i].run {
			continue
		}
		for k := len(s.levels) - 1; k >= 0; k-- {
			if s.levels[k].full(from, to) {
				class := waitMinute
				if k > 0 {
					class = waitHour
				}
				all = append(all, pause{from, to, class})
				break
			}
		}
	}
	return all
}

// full says whether a window held as much as it may until shortly before the
// end of a pause: it is what was waited for.
func (l *level) full(from, to time.Time) bool {
	i, _ := slices.BinarySearchFunc(l.steps, to, func(s step, t time.Time) int { return s.at.Compare(t) })
	for i--; i >= 0; i-- {
		if l.steps[i].n >= l.limitAt(from) {
			// It was full until the step after this one.
			until := to
			if i+1 < len(l.steps) {
				until = l.steps[i+1].at
			}
			return until.After(from) && to.Sub(until) <= l.Per/20+2*time.Second
		}
		if !l.steps[i].at.After(from) {
			return false
		}
	}
	return false
}

// limitAt is what a window allowed at a moment.
func (l *level) limitAt(t time.Time) int {
	limit := l.Limit
	for _, own := range l.own {
		if !own.at.After(t) {
			limit = own.n
		}
	}
	return limit
}

// words say what the picture shows, and what of the quota it does not: the budgets
// of the other kinds of call.
func (c *chart) words(a *audit) {
	var kept, broken []string
	calls, others := 0, 0
	for i := range a.schedule.budgets {
		b := &a.schedule.budgets[i]
		calls, others = calls+len(b.own), others+len(b.others)
		for k := range b.levels {
			l := &b.levels[k]
			c.Windows = append(c.Windows, windowRow{titledCalls(b.kind), "Any " + span(l.Per), thousands(l.Limit), thousands(l.most), human(l.mostAt), k == 0})
			if l.most > l.Limit {
				broken = append(broken, fmt.Sprintf("%s in any %s (limit %s)", callsOfKind(l.most, b.kind), span(l.Per), thousands(l.Limit)))
			}
		}
		kept = append(kept, b.words(i == 0))
	}
	c.Kept = broken == nil
	c.Verdict = fmt.Sprintf("The quota was kept: never more than %s.", strings.Join(kept, "; nor than "))
	if !c.Kept {
		c.Verdict = fmt.Sprintf("The quota may have been exceeded: up to %s, by the clock of this machine.", enumerate(broken))
	}
	b := a.schedule.drawn()
	c.Describe = fmt.Sprintf("%s from %s to %s. Up to %s. %s, %s.", callsOfKind(len(b.own), b.kind), human(b.own[0].from), human(b.own[len(b.own)-1].from),
		b.words(true), plural(len(a.callers()), "run"), plural(len(a.holds), "hold"))
	drawn, budgets := "The chart shows the offboard calls; ", "each kind of call has a budget of its own"
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
		text += " in any " + span(l.Per)
		if limits {
			text += " (limit " + thousands(l.Limit) + ")"
		}
		said = append(said, text)
	}
	return enumerate(said)
}

// callsOfKind are so many calls of a budget.
func callsOfKind(n int, kind string) string {
	if kind == allKinds {
		return plural(n, "call") + " of all kinds"
	}
	return plural(n, visible(kind)+" call")
}

// titledCalls are those at the head of a row.
func titledCalls(kind string) string {
	if kind == allKinds {
		return "all kinds"
	}
	return visible(kind)
}
