package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	pageTemplate = template.Must(template.New("page").Parse(pageHTML))
)

// page is what the template shows before the devices. All text in it that comes
// from a list or an answer went through visible; html/template sees to it that
// none of it is markup.
type page struct {
	Policy string
	Style  template.CSS // our own file, not a word from outside
	Script template.JS  // the same

	Simulated                bool
	Name, Lede               string
	Tenant, Cloud, List, Who string
	From, To                 string
	Segments                 []segment
	Statuses                 []statusRow
	Sum                      string
	Own, Others              actionGroup // actions that the batch asked for, and those that were there without it
	Followed                 bool        // somebody looked since what became of the actions, or none is open
	Chart                    *chart
	Holds                    []holdRow
	Reasons                  []reasonRow
	Runs                     []runRow
	Facts                    []fact
	Filters, FateFilters     []filter
	Large                    bool
	StaticNote               string
}

type (
	segment struct{ Class, X, W string }
	share   struct {
		class string
		n     int
	}
	statusRow struct {
		Class, Name, Count, Share, Means string
		N                                int
	}
	actionRow   struct{ Class, Name, Count string }
	actionGroup struct {
		N        int
		Count    string
		Rows     []actionRow
		Segments []segment
	}
	holdRow   struct{ From, Until, For, Why string }
	reasonRow struct{ Class, Status, Answer, Why, Message, Count, Bar string }
	runRow    struct {
		Started, Lasted, What, Who, Ended, Agreed, Plan, Calls, Version string
		PID                                                             int64
		Settings                                                        []fact // those that are other than before
		AsBefore                                                        bool
	}
	fact struct {
		Name, Value string
		Code        bool
	}
	filter struct {
		Key                int
		Class, Name, Count string
	}
)

// meanings say of each status what it means, and claim no more.
var meanings = map[checkpoint.Status]string{
	checkpoint.Accepted:      "Defender recorded a machine action. The device acts on it when it next comes online.",
	checkpoint.AlreadyActive: "An action for the device was open before. Nothing new was asked for.",
	checkpoint.Refused:       "Defender said no, for good.",
	checkpoint.Failed:        "All attempts were used up without an answer that counts.",
	checkpoint.InDoubt:       "A call was sent and what became of it is not known yet. It is looked up before any other call.",
	checkpoint.Skipped:       "Not called, or not called again, for the reason given.",
	checkpoint.Pending:       "Not called yet, or without an answer that counts so far.",
}

// meaning is what a status means in this batch: on an action that is over no
// device acts any more, and of a batch that is closed nothing more is called,
// unless a cancel of some devices holds it only for a while.
func (a *audit) meaning(s checkpoint.Status) string {
	switch {
	case s == checkpoint.Accepted:
		return a.meaningOfAccepted()
	case s == checkpoint.Pending && a.batch.Closed != "" && !batch.Held(a.batch.Closed):
		return "Not called, or without an answer that counts. The batch is closed."
	}
	return meanings[s]
}

// newPage puts an audit into words.
func newPage(a *audit) *page {
	b := a.batch
	p := &page{
		Policy: policy, Style: template.CSS(pageCSS), Script: template.JS(pageJS),
		Simulated: b.Simulated, Name: visible(b.Name), Tenant: visible(b.Key.Tenant), Cloud: visible(b.Key.Cloud), List: visible(b.List),
		Who: strings.Join(a.who(), ", "), Large: a.large(),
	}
	p.From, p.To = a.span()
	p.count(a)
	p.Chart = newChart(a)
	for _, h := range a.heldTimes() {
		p.Holds = append(p.Holds, holdRow{human(h.at), human(h.Until), lasting(h.Until.Sub(h.at)), visible(spoken(h.Why))})
	}
	p.Reasons = reasonRows(a.reasons)
	for i := range a.runs {
		p.Runs = append(p.Runs, a.runRow(i))
	}
	p.Facts = a.facts()
	if p.Large {
		p.StaticNote = fmt.Sprintf("The batch has %s devices. Printed, or without JavaScript, this page shows those that were not accepted, up to %s of them; all of them, with every column, are in results.csv in the same folder.",
			thousands(a.total()), thousands(inDocument))
	}
	return p
}

// policy lets nothing into the page but its own style and script.
var policy = fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; img-src data:; base-uri 'none'; form-action 'none'",
	sourceHash(pageCSS), sourceHash(pageJS))

// sourceHash is how a content security policy names an inline text.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// total is the number of devices, those that are no longer in the list included.
func (a *audit) total() int { return a.sum.Lines + a.sum.Gone }

// count fills in all that is about numbers of devices.
func (p *page) count(a *audit) {
	total := a.total()
	var said, sum []string
	var shares []share
	p.Filters = []filter{{-1, "", "All", thousands(total)}}
	for i, s := range statuses {
		n := a.sum.Counts[s]
		p.Statuses = append(p.Statuses, statusRow{string(s), word(s), thousands(n), percent(n, total), a.meaning(s), n})
		if n == 0 {
			continue
		}
		text := thousands(n) + " " + word(s)
		if since := a.acceptedSince(); s == checkpoint.Accepted && since != "" {
			text += " (" + since + " since)"
		}
		said, shares = append(said, text), append(shares, share{string(s), n})
		sum = append(sum, thousands(n))
		p.Filters = append(p.Filters, filter{i, string(s), word(s), thousands(n)})
	}
	p.Lede = "The list has no devices."
	if total > 0 {
		p.Lede = fmt.Sprintf("Of %s, %s.", plural(total, "device"), enumerate(said))
		if len(sum) > 1 {
			p.Sum = fmt.Sprintf("%s = %s: ", strings.Join(sum, " + "), thousands(total))
		}
		p.Sum += plural(a.sum.Lines, "line") + " of the list"
		if a.sum.Gone > 0 {
			p.Sum += fmt.Sprintf(", and %s no longer in it", plural(a.sum.Gone, "device"))
		}
		p.Sum += "."
	}
	switch closed := visible(spoken(a.batch.Closed)); {
	case batch.Held(closed):
		p.Lede += " The batch is held: " + closed + "."
	case closed != "":
		p.Lede = "This batch is closed, " + closed + ". " + p.Lede
	}
	p.Segments = segments(shares)
	p.tellActions(a)
}

// segments are shares as a bar of 1,000 units. None is so small that it cannot be
// seen.
func segments(shares []share) (all []segment) {
	const least = 5
	total, widths, sum := 0, make([]float64, len(shares)), 0.0
	for _, s := range shares {
		total += s.n
	}
	for i, s := range shares {
		widths[i] = max(least, 1000*float64(s.n)/float64(total))
		sum += widths[i]
	}
	x := 0.0
	for i, s := range shares {
		w := widths[i] * 1000 / sum
		all = append(all, segment{s.class, short(x), short(w)})
		x += w
	}
	return all
}

// who is everybody who ran the batch, and where.
func (a *audit) who() (all []string) {
	for _, r := range a.runs {
		if w := visible(r.Who + " on " + r.Host); !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	if all == nil {
		all = []string{"nobody yet"}
	}
	return all
}

// span is from when to when the batch was worked on.
func (a *audit) span() (from, to string) {
	if len(a.runs) == 0 {
		return human(a.batch.Created), "not run yet"
	}
	last := a.runs[len(a.runs)-1]
	if last.Ended.IsZero() {
		return human(a.runs[0].Started), human(last.Alive) + " (no end was written)"
	}
	return human(a.runs[0].Started), human(last.Ended)
}

// word is a status as a sentence has it.
func word(s checkpoint.Status) string { return strings.ReplaceAll(string(s), "-", " ") }

// human is a time as people write it.
func human(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006, 15:04:05 UTC")
}
