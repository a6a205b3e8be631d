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

// tally is how many machine actions have a status, of devices of one status.
type tally struct {
	name string
	of   checkpoint.Status
	n    int
}

// fate is that of actions of a status.
func (t tally) fate() fate { return fateOf(checkpoint.Action{Status: t.name}) }

// class is the colour of actions in the page. On those that are in progress their
// devices are at work already.
func (t tally) class() string {
	if strings.EqualFold(t.name, "InProgress") {
		return "in-progress"
	}
	return fateWords[t.fate()].class
}

// own says that the batch asked for the actions. Others were there before it called,
// or were asked for by another batch.
func (t tally) own() bool { return t.of == checkpoint.Accepted }

func (t tally) others() bool { return !t.own() }

// tracked says that the command track looks at the actions.
func (t tally) tracked() bool { return t.own() || t.of == checkpoint.AlreadyActive }

func (t tally) any() bool { return true }

// standing counts actions by how they stand.
func standing(all []tally, which func(tally) bool) (n [fates]int) {
	for _, t := range all {
		if which(t) {
			n[t.fate()] += t.n
		}
	}
	return n
}

// acceptedSince says what became since of actions that were accepted: no device
// will act on one that is over.
func (a *audit) acceptedSince() string {
	var said []string
	for f, n := range standing(a.actions, tally.own) {
		if f > int(stillOpen) && n > 0 {
			said = append(said, thousands(n)+" "+fateWords[f].name)
		}
	}
	return enumerate(said)
}

// meaningOfAccepted is what accepted means in this batch by now.
func (a *audit) meaningOfAccepted() string {
	since, n := a.acceptedSince(), standing(a.actions, tally.own)[stillOpen]
	switch {
	case since == "":
		return meanings[checkpoint.Accepted]
	case n == 0:
		return fmt.Sprintf("Defender recorded a machine action. Of these, %s since: none is open.", since)
	}
	open := "1 is open: its device acts when it next comes online."
	if n > 1 {
		open = thousands(n) + " are open: their devices act when they next come online."
	}
	return fmt.Sprintf("Defender recorded a machine action. Of these, %s since. %s", since, open)
}

// toldOf are some of the actions by how they stand and then the most frequent first.
// Defender's words are few, and those of a proxy may be many: beyond some they are
// told together.
func toldOf(all []tally, which func(tally) bool) (total int, rows []tally) {
	const most = 20
	for _, t := range all { // in the order of their statuses
		if !which(t) {
			continue
		}
		total += t.n
		if k := len(rows) - 1; k >= 0 && rows[k].name == t.name {
			rows[k].n += t.n
		} else {
			rows = append(rows, tally{name: t.name, n: t.n})
		}
	}
	slices.SortStableFunc(rows, func(x, y tally) int {
		return cmp.Or(cmp.Compare(x.fate(), y.fate()), cmp.Compare(y.n, x.n))
	})
	for i := range rows {
		rows[i].name = cmp.Or(rows[i].name, "without a status")
	}
	if len(rows) > most {
		rest := tally{name: "under other words"}
		for _, t := range rows[most:] {
			rest.n += t.n
		}
		rows = append(rows[:most], rest)
	}
	return total, rows
}

// actionsOf are some of the actions as the page tells of them.
func actionsOf(all []tally, which func(tally) bool) actionGroup {
	total, rows := toldOf(all, which)
	g := actionGroup{N: total, Count: thousands(total)}
	var shares []share
	for _, t := range rows {
		class := t.class()
		g.Rows = append(g.Rows, actionRow{class, visible(clip(t.name, 60)), thousands(t.n)})
		shares = append(shares, share{class, t.n})
	}
	g.Segments = segments(shares)
	return g
}

// tellActions fills in how the machine actions stand.
func (p *page) tellActions(a *audit) {
	p.Own, p.Others = actionsOf(a.actions, tally.own), actionsOf(a.actions, tally.others)
	p.Followed = standing(a.actions, tally.tracked)[stillOpen] == 0 ||
		slices.ContainsFunc(a.runs, func(r checkpoint.Run) bool { return r.What == "track" || r.What == "cancel" })
	total := p.Own.N + p.Others.N
	if total == 0 {
		return
	}
	p.FateFilters = []filter{{-2, "", "Any action or none", thousands(a.total())}}
	for f, n := range standing(a.actions, tally.any) {
		if n > 0 {
			p.FateFilters = append(p.FateFilters, filter{f, fateWords[f].class, fateWords[f].name, thousands(n)})
		}
	}
	if n := a.total() - total; n > 0 {
		p.FateFilters = append(p.FateFilters, filter{-1, "", "no action", thousands(n)})
	}
}
