package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteStatus writes a table of batches for people, with times as the clocks of
// a zone show them, and below it what there is to do. A count that is zero for
// all of them has no column.
func WriteStatus(w io.Writer, all []BatchStatus, zone *time.Location) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "The checkpoint has no batches.")
		return err
	}
	columns := slices.DeleteFunc(slices.Clone(statusColumns), func(c statusColumn) bool {
		return !slices.ContainsFunc(all, func(b BatchStatus) bool { return c.of(b.Counts) > 0 })
	})
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprint(t, "BATCH\tLAST RUN\tDONE")
	for _, c := range columns {
		fmt.Fprint(t, "\t", c.head)
	}
	fmt.Fprintln(t)
	for _, b := range all {
		total := b.Counts.Lines + b.Counts.NoLongerThere
		fmt.Fprintf(t, "%s\t%s\t%d/%d", b.name(), b.lastRun(zone), total-b.Counts.Pending-b.Counts.InDoubt, total)
		for _, c := range columns {
			fmt.Fprint(t, "\t", c.of(b.Counts))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return writeNext(w, all)
}

type statusColumn struct {
	head string
	of   func(countsDoc) int
}

var statusColumns = []statusColumn{
	{"ACCEPTED", func(c countsDoc) int { return c.Accepted }},
	{"ALREADY-ACTIVE", func(c countsDoc) int { return c.AlreadyActive }},
	{"REFUSED", func(c countsDoc) int { return c.Refused }},
	{"FAILED", func(c countsDoc) int { return c.Failed }},
	{"SKIPPED", func(c countsDoc) int { return c.Skipped }},
	{"IN-DOUBT", func(c countsDoc) int { return c.InDoubt }},
	{"PENDING", func(c countsDoc) int { return c.Pending }},
}

// writeNext says what there is to do, batch by batch, where there is anything.
func writeNext(w io.Writer, all []BatchStatus) error {
	lines := ""
	for _, b := range all {
		if b.Next != nothing {
			lines += fmt.Sprintf("  %s: %s\n", b.name(), Plain(b.Next))
		}
	}
	if lines == "" {
		lines = "  nothing\n"
	}
	_, err := io.WriteString(w, "\nTo do next:\n"+lines)
	return err
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
	return local(cmp.Or(r.Ended, r.LastSign), zone)
}

// local turns a time of a document into one of a zone's clocks. It names the
// zone's offset: what Defender and the files tell of the same moment is in UTC.
// What is no time stays as somebody wrote it.
func local(exact string, zone *time.Location) string {
	t, err := time.Parse(time.RFC3339, exact)
	if err != nil {
		return Plain(exact)
	}
	return t.In(zone).Format("2006-01-02 15:04:05 -07:00")
}

// WriteBatch writes all that is known of one batch for people.
func WriteBatch(w io.Writer, b BatchStatus, zone *time.Location) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	c := b.Counts
	for _, f := range [][2]string{
		{"batch", b.name()}, {"next", b.Next},
		{"list", b.Batch.List + digestOf(b.Batch.ListSHA256)}, {"lines", countLines(c)},
		{"tenant", b.Batch.TenantID + ", " + b.Batch.Cloud}, {"application", b.Batch.Application}, {"host", b.Batch.Host},
		{"chain", fmt.Sprintf("%d events, head %s", b.Batch.Chain.Events, b.Batch.Chain.Head)},
	} {
		fmt.Fprintf(t, "%s\t%s\n", f[0], Plain(f[1]))
	}
	fmt.Fprintln(t)
	for _, n := range []struct {
		n    int
		word string
	}{{c.Accepted, "accepted"}, {c.AlreadyActive, "already-active"}, {c.Refused, "refused"}, {c.Failed, "failed"},
		{c.InDoubt, "in-doubt"}, {c.Skipped, "skipped"}, {c.Pending, "pending"}} {
		fmt.Fprintf(t, "%s\t%d\n", n.word, n.n)
	}
	b.writeActions(t)
	if err := t.Flush(); err != nil {
		return err
	}
	return b.writeRuns(w, zone)
}

// writeActions tells the actions that the batch asked for from those that were there
// without it.
func (b *BatchStatus) writeActions(w io.Writer) {
	for _, g := range []struct {
		which func(tally) bool
		label string
	}{{tally.own, "that the batch asked for"}, {tally.others, "that it did not ask for"}} {
		total, rows := toldOf(b.actions, g.which)
		var said []string
		for _, t := range rows {
			said = append(said, fmt.Sprintf("%s %s", thousands(t.n), Plain(t.name)))
		}
		if total > 0 {
			fmt.Fprintf(w, "machine actions\t%s %s: %s\n", thousands(total), g.label, strings.Join(said, ", "))
		}
	}
}

func digestOf(sha256 string) string {
	if sha256 == "" {
		return ""
	}
	return ", SHA-256 " + sha256
}

func countLines(c countsDoc) string {
	if c.NoLongerThere == 0 {
		return itoa(c.Lines)
	}
	return fmt.Sprintf("%d, and %d that are no longer in the list", c.Lines, c.NoLongerThere)
}

func (b *BatchStatus) writeRuns(w io.Writer, zone *time.Location) error {
	if len(b.Runs) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\nRUN\tWHAT\tBY\tFROM\tTO\tCODE\tWHY IT ENDED")
	for i, r := range b.Runs {
		to, code := local(r.Ended, zone), "-"
		if r.Ended == "" {
			to = local(r.LastSign, zone) + " (last sign of life)"
		}
		if r.ExitCode != nil {
			code = itoa(*r.ExitCode)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", i+1, Plain(r.What), Plain(r.Who+" on "+r.Host), local(r.Started, zone), to, code, Plain(r.Why))
	}
	return t.Flush()
}

// WriteDevices writes all that is known of some devices for people.
func WriteDevices(w io.Writer, devices []DeviceStatus, zone *time.Location) error {
	for i, d := range devices {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := d.write(w, zone); err != nil {
			return err
		}
	}
	return nil
}

func (d *DeviceStatus) write(w io.Writer, zone *time.Location) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	where := fmt.Sprintf("%d of %s", d.Line, d.File)
	if !d.InList {
		where += ", no longer in the list"
	}
	fields := [][2]string{{"batch", Mark(d.Simulated) + d.batch}, {"device", d.Device}, {"name", d.Name}, {"line", where}, {"status", d.Status}, {"reason", d.Reason}, {"comment", d.Comment}}
	if a := d.Action; a != nil {
		fields = append(fields, [2]string{"machine action", a.ID}, [2]string{"its status", strings.TrimSpace(a.Status + " " + a.Error)},
			[2]string{"requested by", a.Requestor}, [2]string{"created", local(a.Created, zone)}, [2]string{"last changed", local(a.Updated, zone)})
	}
	for _, f := range append(fields, [2]string{"inventory says", d.Health}, [2]string{"portal", d.Portal}) {
		if f[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", f[0], Plain(f[1]))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return d.writeAttempts(w, zone)
}

func (d *DeviceStatus) writeAttempts(w io.Writer, zone *time.Location) error {
	if len(d.Attempts) == 0 {
		_, err := fmt.Fprintln(w, "no call was made")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\nATTEMPT\tCALL\tSENT\tANSWERED\tHTTP\tOUTCOME\tMACHINE ACTION\tCODE AND MESSAGE\tREQUEST")
	for _, a := range d.Attempts {
		sent, over, http := local(a.ReservedAt, zone), cmp.Or(local(a.OverAt, zone), "-"), "-"
		if !a.Sent && a.OverAt != "" {
			sent = "not sent"
		}
		if a.HTTPStatus != 0 {
			http = itoa(a.HTTPStatus)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Number, Plain(a.Call), sent, over, http, Plain(a.Outcome), Plain(a.Action),
			Plain(strings.TrimSpace(a.ErrorCode+" "+a.Message)), Plain(a.RequestID))
	}
	return t.Flush()
}
