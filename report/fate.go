package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// fate is how a machine action stands, whatever word Defender has for it.
type fate int

// The fates in the order in which a page tells them.
const (
	stillOpen fate = iota
	succeeded
	cameToNothing
	takenBack
	fates int = iota
)

// fateWords are the fates as a page names them, and the status in whose colour
// each is shown.
var fateWords = [fates]struct{ name, class string }{
	{"open", "pending"}, {"succeeded", "accepted"}, {"failed or timed out", "failed"}, {"cancelled", "skipped"},
}

// fateOf is how an action stands.
func fateOf(a checkpoint.Action) fate {
	switch {
	case !a.Final():
		return stillOpen
	case a.Failed():
		return cameToNothing
	case strings.EqualFold(a.Status, "Succeeded"):
		return succeeded
	}
	return takenBack
}

// acted is the fate of a task's action; -1 if it has none.
func acted(t checkpoint.Task) fate {
	if t.Action.ID == "" {
		return -1
	}
	return fateOf(t.Action)
}

// acceptedSince says what became since of actions that were accepted: no device
// will act on one that is over.
func (a *audit) acceptedSince() string {
	var said []string
	for f := succeeded; int(f) < fates; f++ {
		if n := a.accepted[f]; n > 0 {
			said = append(said, thousands(n)+" "+fateWords[f].name)
		}
	}
	return enumerate(said)
}

// meaningOfAccepted is what accepted means in this batch by now.
func (a *audit) meaningOfAccepted() string {
	since := a.acceptedSince()
	switch {
	case since == "":
		return meanings[checkpoint.Accepted]
	case a.accepted[stillOpen] == 0:
		return fmt.Sprintf("Defender recorded a machine action. Of these, %s since: none is open.", since)
	}
	open := "1 is open: its device acts when it next comes online."
	if n := a.accepted[stillOpen]; n > 1 {
		open = thousands(n) + " are open: their devices act when they next come online."
	}
	return fmt.Sprintf("Defender recorded a machine action. Of these, %s since. %s", since, open)
}

// tellActions fills in how the machine actions stand.
func (p *page) tellActions(a *audit) {
	const most = 20 // words: Defender's are few, and those of a proxy may be many
	all := slices.Clone(a.actions)
	slices.SortStableFunc(all, func(x, y tally) int {
		return cmp.Or(cmp.Compare(x.fate(), y.fate()), cmp.Compare(y.n, x.n))
	})
	total, others := 0, 0
	var shares []share
	for i, t := range all {
		total += t.n
		if i >= most {
			others += t.n
			continue
		}
		name, class := cmp.Or(t.name, "without a status"), fateWords[t.fate()].class
		p.Actions = append(p.Actions, actionRow{class, visible(clip(name, 60)), thousands(t.n)})
		shares = append(shares, share{class, t.n})
	}
	if others > 0 {
		p.Actions = append(p.Actions, actionRow{"pending", "under other words", thousands(others)})
		shares = append(shares, share{"pending", others})
	}
	p.ActionCount, p.ActionSegments = thousands(total), segments(shares)
	p.Followed = a.fates[stillOpen] == 0 || slices.ContainsFunc(a.runs, func(r checkpoint.Run) bool { return r.What == "track" || r.What == "cancel" })
	if total == 0 {
		return
	}
	p.FateFilters = []filter{{-2, "", "Any action or none", thousands(a.total())}}
	for f, words := range fateWords {
		if n := a.fates[f]; n > 0 {
			p.FateFilters = append(p.FateFilters, filter{f, words.class, words.name, thousands(n)})
		}
	}
	if n := a.total() - total; n > 0 {
		p.FateFilters = append(p.FateFilters, filter{-1, "", "no action", thousands(n)})
	}
}

// fate is that of actions of a status.
func (t tally) fate() fate { return fateOf(checkpoint.Action{Status: t.name}) }
