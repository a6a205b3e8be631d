package command

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch"
)

// showPlan says what would be done.
func (a *app) showPlan(j *job, s *connected, p *batch.Plan) {
	a.sayRehearsal(s.Simulated)
	a.showList(j, p)
	if s.targeted() {
		a.say("Target      %s", s.Host)
		a.say("            tenant %s", s.Key.Tenant)
		a.say("            application %s", s.Key.Application)
	} else {
		a.say("Target      %s; its tenant and application are not known without a login", s.Host)
	}
	a.showInventory(s, p)
	lookedUp := "looked up before anything else"
	if j.opt.NoReads {
		a.say("Look-ups    none, without the permission to read: an action that is open already is not seen, and what falls in doubt stays so")
		lookedUp = "not looked up, not called again"
	}
	a.problems(p)
	a.say("To do       %s", count(p.ToDo, "device"))
	a.row(p.InDoubt, "in doubt", lookedUp)
	a.row(p.Duplicates, "duplicate", "skipped")
	if p.Request.SkipInvalid {
		a.row(p.Invalid, "invalid", "skipped")
	}
	a.tallies(p.Held, "held back")
	a.tallies(p.Warned, "a warning, sent all the same")
	for _, st := range sortedKeys(p.Done) {
		a.row(p.Done[st], string(st), "from before")
	}
	a.row(p.Added, "new in the list", "")
	a.row(p.Withdrawn, "no longer in the list", "not sent, withdrawn")
	a.row(p.Gone, "no longer in the list", "sent before, stays in the result")
	a.row(p.Recomment, "another comment", "")
	if n := p.CanaryLeft(); n > 0 {
		a.say("Canary      the first %d%s", n, j.afterCanary(s.Simulated))
	}
	a.forecast(j, s, p)
}

// afterCanary is what comes when the first devices are over.
func (j *job) afterCanary(simulated bool) string {
	switch {
	case j.agreedAhead():
		return "; the next run goes on with the rest"
	case simulated:
		return "; a rehearsal goes on without asking"
	}
	return ", then it is asked again"
}

// sayRehearsal says before all else that what comes is a rehearsal, if it is one.
func (a *app) sayRehearsal(is bool) {
	if is {
		a.say("SIMULATED: a rehearsal, no device is touched")
	}
}

// sayRehearsed says the same of what is over.
func (a *app) sayRehearsed(is bool) {
	if is {
		a.say("SIMULATED: nothing of this happened to a device")
	}
}

// showList says which list it is and how it was read.
func (a *app) showList(j *job, p *batch.Plan) {
	a.say("Batch       %s%s", j.name, resumed(p))
	a.showLines(p.List, p.Lines, p.Notes)
}

// showLines says how lists were read.
func (a *app) showLines(list string, lines int, notes []string) {
	a.say("List        %s: %s", list, count(lines, "line"))
	for _, n := range notes {
		a.say("            %s", n)
	}
}

// showInventory says against what the devices were checked.
func (a *app) showInventory(s *connected, p *batch.Plan) {
	inv := p.Request.Inventory
	switch {
	case inv == nil && p.ToDo == 0:
		return
	case inv == nil:
		if p.Nothing() {
			return
		}
		a.say("Inventory   not read: no device is checked, and --max-percent is not judged")
		return
	}
	of := ""
	if s.Simulated { // --max-percent and --protect are judged by it all the same
		of = ", made up for the rehearsal"
	}
	a.say("Inventory   %s, %d onboarded, read %s%s", count(inv.Len(), "device"), inv.Onboarded, clockTime(inv.At), of)
}

// tallies shows lines of some kinds, the first of each by name.
func (a *app) tallies(kinds map[string]*batch.Tally, remark string) {
	for _, kind := range sortedKeys(kinds) {
		t := kinds[kind]
		a.row(t.Count, kind, remark)
		for _, line := range t.First {
			a.say("              %s", line)
		}
		if rest := t.Count - len(t.First); rest > 0 {
			a.say("              … and %d more", rest)
		}
	}
}

func (a *app) row(n int, what, remark string) {
	if n > 0 {
		line := fmt.Sprintf("            %d %s", n, what)
		if remark != "" {
			line += ": " + remark
		}
		a.say("%s", line)
	}
}

// resumed says whether the batch is a new one, where that is known.
func resumed(p *batch.Plan) string {
	switch {
	case p.Drafted():
		return ""
	case p.Batch.ID == 0:
		return " (new)"
	}
	return ", begun " + p.Batch.Created.Local().Format("2006-01-02 15:04")
}

func clockTime(t time.Time) string { return clockIn(t, time.Local) }

// clockIn shows a moment on the clock of a zone, the local one if it is nil, with
// the day if that is not today.
func clockIn(t time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.Local
	}
	t = t.In(zone)
	if y, m, d := time.Now().In(zone).Date(); t.Year() == y && t.Month() == m && t.Day() == d {
		return t.Format("15:04:05")
	}
	return t.Format("Mon 2006-01-02 15:04")
}

func short(d time.Duration) string {
	d = d.Round(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.String()
}

// problems names the lines that cannot be used.
func (a *app) problems(p *batch.Plan) {
	var hint string
	for _, problem := range p.Problems {
		a.tell(problem.Error())
		if problem.Hint != "" && problem.Hint != hint {
			hint = problem.Hint
			a.tell("  hint: " + hint)
		}
	}
	if rest := p.Bad - p.Told - len(p.Problems); rest > 0 {
		a.tell(fmt.Sprintf("… and %d more", rest))
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
