package command

import (
	"fmt"
	"strings"

	"mde-offboard/batch/simulator"
)

// sayTotals says what a simulator saw, in some lines whatever the number of devices.
func (a *app) sayTotals(b simulator.Books) {
	a.say("SIMULATED books, with a quota of %d calls in %s and %d in %s", b.PerMinute, short(b.Minute), b.PerHour, short(b.Hour))
	title := "Calls"
	for _, kind := range sortedKeys(b.Calls) {
		k := b.Calls[kind]
		line := fmt.Sprintf("%-11s %s: %d", title, kind, k.Calls)
		if k.DensestHour > 0 { // logins have no quota
			line += fmt.Sprintf(", densest minute %d, densest hour %d", k.DensestMinute, k.DensestHour)
		}
		if len(k.ByStatus) > 0 {
			line += "; answers " + tally(k.ByStatus)
		}
		a.say("%s", line)
		title = ""
	}
	cancelled := 0
	for _, d := range b.Devices {
		cancelled += d.Cancelled
	}
	a.say("Devices     %d called, %s made, %d cancelled", len(b.Devices), count(b.Actions(), "action"), cancelled)
	a.say("Doubled     %s with two actions", count(len(b.Doubled), "device"))
	for i, id := range b.Doubled {
		if i == named {
			a.say("            … and %d more", len(b.Doubled)-named)
			break
		}
		a.say("            %s", id)
	}
	a.say("Faults      %s", tally(b.Faults))
	a.row(b.DuringHold, "called during a hold", "")
	a.row(b.LateEffects, "still to take effect", "")
	a.row(len(b.Foreign), "sent to another host", fmt.Sprintf("%d with a token", b.Leaked))
}

// tally tells how often each was counted.
func tally(counts map[string]int) string {
	var parts []string
	for _, word := range byCount(counts) {
		parts = append(parts, fmt.Sprintf("%s: %d", word, counts[word]))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}
