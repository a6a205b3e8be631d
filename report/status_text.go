package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// WriteStatus writes a table of batches for people, with times as the clocks of
// a zone show them, and below it what there is to do. A count that is zero is not
// told.
func WriteStatus(w io.Writer, all []BatchStatus, zone *time.Location) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "The checkpoint has no batches.")
		return err
	}
	widest := len("BATCH")
	for _, b := range all {
		if n := cells(b.name()); n <= widestName {
			widest = max(widest, n)
		}
	}
	out := &lines{w: w}
	row := func(name, last, done string) {
		if cells(name) > widest {
			out.add(2, name)
			name = ""
		}
		out.add(0, padded(name, widest+2)+padded(last, cells(clockFormat)+2)+done)
	}
	row("BATCH", "LAST RUN", "DONE")
	for _, b := range all {
		total := b.Counts.Lines + b.Counts.NoLongerThere
		row(b.name(), b.lastRun(zone), thousands(total-b.Counts.Pending-b.Counts.InDoubt)+"/"+thousands(total))
		if said := b.Counts.said(); said != "" {
			out.add(2, "  "+said)
		}
	}
	out.add(0, "")
	out.add(0, "To do next:")
	idle := true
	for _, b := range all {
		if b.Next != nothing {
			out.add(4, "  "+b.name()+": "+clocked(b.next, zone))
			idle = false
		}
	}
	if idle {
		out.add(0, "  nothing")
	}
	return out.err
}

// widestName is the longest name of a batch that leaves 80 columns to the rest of its
// row. A longer one has lines of its own, and the other rows stay as they are.
const widestName = 36

// counted is a status with how many have it.
type counted struct {
	word string
	n    int
}

// each are the counts in their order.
func (c countsDoc) each() []counted {
	return []counted{{"accepted", c.Accepted}, {"already-active", c.AlreadyActive}, {"refused", c.Refused}, {"failed", c.Failed},
		{"in-doubt", c.InDoubt}, {"skipped", c.Skipped}, {"pending", c.Pending}}
}

// said are the counts in a sentence.
func (c countsDoc) said() string {
	var said []string
	for _, s := range c.each() {
		if s.n > 0 {
			said = append(said, thousands(s.n)+tie+s.word)
		}
	}
	return strings.Join(said, ", ")
}

// name is the batch's name with the mark of a simulation.
func (b *BatchStatus) name() string {
	return Mark(b.Simulated) + Plain(b.Batch.Name)
}

// lastRun is when the batch was last worked on.
func (b *BatchStatus) lastRun(zone *time.Location) string {
	if len(b.Runs) == 0 {
		return "never"
	}
	r := b.Runs[len(b.Runs)-1]
	return clocked(cmp.Or(r.Ended, r.LastSign), zone)
}

// clockFormat names the offset of a zone: what Defender and the files tell of the
// same moment is in UTC.
const clockFormat = "2006-01-02" + tie + "15:04:05" + tie + "-07:00"

// clocked is a text whose times are those of a zone's clocks.
func clocked(text string, zone *time.Location) string {
	return withTimes(text, func(t time.Time) string { return t.In(zone).Format(clockFormat) })
}

// WriteBatch writes all that is known of one batch for people.
func WriteBatch(w io.Writer, b BatchStatus, zone *time.Location) error {
	out := &lines{w: w}
	fields := [][2]string{
		{"batch", b.name()}, {"next", clocked(b.next, zone)}, {"list", b.Batch.List}, {"SHA-256", b.Batch.ListSHA256}, {"lines", countLines(b.Counts)},
		{"tenant", b.Batch.TenantID + ", " + b.Batch.Cloud}, {"application", b.Batch.Application}, {"host", b.Batch.Host},
		{"chain", plural(int(b.Batch.Chain.Events), "event")}, {"head", b.Batch.Chain.Head},
	}
	var counts [][2]string
	for _, s := range b.Counts.each() {
		counts = append(counts, [2]string{s.word, thousands(s.n)})
	}
	out.fields(fields, append(counts, b.actionFields()...))
	b.addRuns(out, zone)
	return out.err
}

// actionFields tell the actions that the batch asked for from those that were there
// without it.
func (b *BatchStatus) actionFields() (fields [][2]string) {
	for _, g := range []struct {
		which func(tally) bool
		label string
	}{{tally.own, "that the batch asked for"}, {tally.others, "that it did not ask for"}} {
		total, rows := toldOf(b.actions, g.which)
		var said []string
		for _, t := range rows {
			said = append(said, thousands(t.n)+tie+t.name)
		}
		if total > 0 {
			fields = append(fields, [2]string{"actions", fmt.Sprintf("%s %s: %s", thousands(total), g.label, strings.Join(said, ", "))})
		}
	}
	return fields
}

func countLines(c countsDoc) string {
	if c.NoLongerThere == 0 {
		return thousands(c.Lines)
	}
	return fmt.Sprintf("%s, and %s that are no longer in the list", thousands(c.Lines), thousands(c.NoLongerThere))
}

func (b *BatchStatus) addRuns(out *lines, zone *time.Location) {
	if len(b.Runs) == 0 {
		return
	}
	out.add(0, "")
	out.add(0, "RUNS")
	wide := len(itoa(len(b.Runs))) + 2
	for i, r := range b.Runs {
		end, how := "to "+clocked(r.Ended, zone), "no end was written"
		if r.Ended == "" {
			end = "last seen " + clocked(r.LastSign, zone)
		}
		if r.ExitCode != nil {
			how = fmt.Sprintf("code%s%d: %s", tie, *r.ExitCode, clocked(r.Why, zone))
		}
		out.add(wide, padded(itoa(i+1), wide)+fmt.Sprintf("%s, %s %s", r.What, clocked(r.Started, zone), end))
		out.add(wide, padded("", wide)+fmt.Sprintf("by %s on %s, %s", r.Who, r.Host, how))
	}
}

// WriteDevices writes all that is known of some devices for people.
func WriteDevices(w io.Writer, devices []DeviceStatus, zone *time.Location) error {
	out := &lines{w: w}
	for i, d := range devices {
		if i > 0 {
			out.add(0, "")
		}
		d.add(out, zone)
	}
	return out.err
}

func (d *DeviceStatus) add(out *lines, zone *time.Location) {
	where := fmt.Sprintf("%d of %s", d.Line, d.File)
	if !d.InList {
		where += ", no longer in the list"
	}
	fields := [][2]string{{"batch", Mark(d.Simulated) + d.batch}, {"device", d.Device}, {"name", d.Name}, {"line", where}, {"status", d.Status},
		{"reason", clocked(d.Reason, zone)}, {"comment", d.Comment}}
	if a := d.Action; a != nil {
		fields = append(fields, [2]string{"machine action", a.ID}, [2]string{"its status", strings.TrimSpace(a.Status + " " + a.Error)},
			[2]string{"requested by", a.Requestor}, [2]string{"created", clocked(a.Created, zone)}, [2]string{"last changed", clocked(a.Updated, zone)})
	}
	groups := [][][2]string{append(fields, [2]string{"inventory says", d.Health}, [2]string{"portal", d.Portal})}
	for _, c := range d.Attempts {
		groups = append(groups, c.fields(zone))
	}
	out.fields(groups...)
	if len(d.Attempts) == 0 {
		out.add(0, "no call was made")
	}
}

// fields tell of one attempt.
func (c *callDoc) fields(zone *time.Location) [][2]string {
	sent, http := clocked(c.ReservedAt, zone), ""
	if !c.Sent && c.OverAt != "" {
		sent = "not sent"
	}
	if c.HTTPStatus != 0 {
		http = "HTTP " + itoa(c.HTTPStatus)
	}
	answer := slices.DeleteFunc([]string{http, c.ErrorCode, c.Message}, func(s string) bool { return s == "" })
	return [][2]string{{"attempt", itoa(c.Number) + ", " + wordsOf(c.Call)[0]}, {"sent", sent}, {"answered", clocked(c.OverAt, zone)}, {"outcome", c.Outcome},
		{"answer", strings.Join(answer, " ")}, {"machine action", c.Action}, {"request", c.RequestID}}
}
