package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// reasonRows show the most frequent reasons and say how many are left out.
func reasonRows(reasons []reason) (rows []reasonRow) {
	const most = 50
	largest := 1
	for _, r := range reasons {
		largest = max(largest, r.devices)
	}
	rest, kinds := 0, 0
	for i, r := range reasons {
		if i >= most {
			rest, kinds = rest+r.devices, kinds+1
			continue
		}
		answer := strings.TrimSpace(r.code)
		if r.http != 0 {
			answer = strings.TrimSpace(fmt.Sprintf("%d %s", r.http, r.code))
		}
		message := visible(clip(r.message, 300))
		if r.why == r.message {
			message = ""
		}
		rows = append(rows, reasonRow{string(r.status), word(r.status), visible(answer), visible(clip(r.why, 300)), message,
			thousands(r.devices), short(max(1, 120*float64(r.devices)/float64(largest)))})
	}
	if kinds > 0 {
		rows = append(rows, reasonRow{Class: "skipped", Status: "others", Why: plural(kinds, "other reason"), Count: thousands(rest), Bar: "1"})
	}
	return rows
}

// runRow tells of a run: who began it, how it was agreed to and how it ended.
func (a *audit) runRow(i int) runRow {
	r := a.runs[i]
	row := runRow{Started: human(r.Started), What: visible(r.What), Who: visible(r.Who + " on " + r.Host), Agreed: visible(r.Agreed),
		Plan: a.planOf(r), Version: visible(r.Version), PID: r.PID, Calls: a.callsOf(r)}
	row.Settings, row.AsBefore = a.settingsOf(i)
	if r.Ended.IsZero() {
		row.Lasted = "last sign of life after " + lasting(r.Alive.Sub(r.Started))
		row.Ended = "No end was written: it is still at work, or it was killed."
		return row
	}
	row.Lasted = lasting(r.Ended.Sub(r.Started))
	row.Ended = fmt.Sprintf("Ended %s: %s (exit code %d)", human(r.Ended), visible(spoken(r.Why)), r.Code)
	if r.Code < 0 {
		row.Ended = fmt.Sprintf("Last seen %s: %s", human(r.Ended), visible(spoken(r.Why)))
	}
	return row
}

// callsOf says how many calls a run made, kind by kind.
func (a *audit) callsOf(r checkpoint.Run) string {
	kinds, unanswered := map[string]int{}, 0
	count := func(attempts []checkpoint.Attempt) {
		for _, at := range attempts {
			if at.Run != r.ID || !at.Sent && !at.Over.IsZero() {
				continue
			}
			if kinds[at.Kind]++; at.Status == 0 {
				unanswered++
			}
		}
	}
	for _, attempts := range a.attempts {
		count(attempts)
	}
	for _, attempts := range a.about {
		count(attempts)
	}
	if len(kinds) == 0 {
		return "No calls"
	}
	var said []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		said = append(said, callsOfKind(kinds[kind], kind))
	}
	text := enumerate(said)
	if unanswered > 0 {
		text += fmt.Sprintf(", %s of them without an answer", thousands(unanswered))
	}
	return text
}

// planOf is the digest of the plan that a run was started with: the last one
// that was written before it.
func (a *audit) planOf(r checkpoint.Run) (digest string) {
	if r.What != "run" {
		return ""
	}
	for _, p := range a.plans {
		if !p.at.After(r.Started) {
			digest = p.PlanDigest
		}
	}
	return visible(digest)
}

// facts are where and what the batch is.
func (a *audit) facts() []fact {
	b := a.batch
	facts := []fact{
		{"Tenant", b.Key.Tenant, true}, {"Application", b.Key.Application, true},
		{"Cloud", b.Key.Cloud, false}, {"Host of the calls", b.Host, true},
		{"List", b.List, false}, {"SHA-256 of the list", b.ListDigest, true},
		{"Digest of the last plan", b.PlanDigest, true}, {"Batch made", human(b.Created), false},
		{"Events in its chain", thousands(int(b.Events)), false}, {"Head of the chain", b.Head, true},
	}
	if b.Closed != "" {
		facts = append(facts, fact{"Closed", spoken(b.Closed), false})
	}
	for i, f := range facts {
		if facts[i].Value = visible(f.Value); f.Value == "" {
			facts[i].Value, facts[i].Code = "not known", false
		}
	}
	return facts
}
