package report

import (
	"slices"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// waited is a time in which a run sent nothing.
type waited struct {
	run       int64
	from, to  time.Time // to is zero while nobody wrote that it was over
	kind, why string
}

// readWait takes a wait from the chain, or the end of the run's last one.
func (a *audit) readWait(e *checkpoint.Event) {
	for i := len(a.waits) - 1; i >= 0; i-- {
		if w := &a.waits[i]; w.run == e.Run {
			if w.to.IsZero() {
				w.to = e.At
			}
			break
		}
	}
	if w := e.Wait; w.Kind != "" {
		a.waits = append(a.waits, waited{run: e.Run, from: w.Since, kind: w.Kind, why: w.Why})
	}
}

// endedWaits are the waits; those that nobody wrote the end of end with their
// runs.
func (a *audit) endedWaits() []waited {
	all := slices.Clone(a.waits)
	for i := range all {
		w := &all[i]
		if !w.to.IsZero() {
			continue
		}
		w.to = w.from
		for _, r := range a.runs {
			if end := endOf(r); r.ID == w.run && end.After(w.from) {
				w.to = end
			}
		}
	}
	return all
}

// waitKinds are the kinds of wait in the order in which the legend has them, by
// their class in the page.
var waitKinds = []waitKind{
	{"held", "hold: Defender asked to wait"}, {"minute", ""}, {"hour", ""}, {"shut", "outside the allowed hours"}, {"outage", "no answer of Defender’s"},
	{"answers", "waiting for answers"}, {"looked", "looking actions up"}, {"later", "waiting to try again"}, {"other", "another wait"},
}

// class is that of a wait in the page.
func (b *budget) class(w waited) string {
	switch w.kind {
	case batch.WaitedForWindow:
		if longest := b.levels[len(b.levels)-1].Per; len(b.levels) > 1 && (w.why == span(longest)+" window" || w.why == "window of "+span(longest)) {
			return "hour"
		}
		return "minute"
	case batch.WaitedForHold:
		return "held"
	case batch.WaitedForHours:
		return "shut"
	case batch.WaitedForDefender:
		return "outage"
	case batch.WaitedForAnswers:
		return "answers"
	case batch.WaitedForLook, batch.WaitedForSettling:
		return "looked"
	case batch.WaitedForRetry:
		return "later"
	}
	return "other"
}

// heldTimes are the holds as people count them: calls that were in flight together
// were each asked to wait, to the same second.
func (a *audit) heldTimes() (all []held) {
	for _, h := range a.holds {
		if !slices.ContainsFunc(all, func(o held) bool { return o.Until.Truncate(time.Second).Equal(h.Until.Truncate(time.Second)) }) {
			all = append(all, h)
		}
	}
	return all
}

// waits draws what was waited for. Of holds the chain tells too.
func (c *chart) waits(x *axis, a *audit) {
	b, used := a.schedule.drawn(), map[string]bool{}
	add := func(from, to time.Time, class string) {
		used[class] = true
		c.Waits = append(c.Waits, boxOf(x, from, to, class))
	}
	for _, w := range a.endedWaits() {
		add(w.from, w.to, b.class(w))
	}
	for _, h := range a.heldTimes() {
		add(h.at, h.Until, "held")
	}
	c.Kinds = slices.DeleteFunc(slices.Clone(waitKinds), func(k waitKind) bool { return !used[k.Class] })
	for i := range c.Kinds {
		switch k := &c.Kinds[i]; k.Class {
		case "minute":
			k.Name = "waiting for the " + length(b.levels[0].Per) + " window"
		case "hour":
			k.Name = "waiting for the " + length(b.levels[len(b.levels)-1].Per) + " window"
		}
	}
}
