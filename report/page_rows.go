package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// inDocument is up to how many devices a page shows as they are. Above that a
// browser would stall, and the page keeps only those rows in view.
const inDocument = 2000

func (a *audit) large() bool { return a.total() > inDocument }

// deviceRow is a device as the page shows it.
type deviceRow struct {
	Key                       int // index of the status
	Fate                      fate
	Line                      string
	Gone                      bool
	Name, Device, Link        string
	Class, Status, Why, Error string
	Action, ActionStatus      string
	Comment, Sent, Times      string
}

// writePage writes audit.html. It is written in pieces, so that a batch of
// 100,000 devices needs no memory of its size.
func (a *audit) writePage(w io.Writer, r checkpoint.Reader) error {
	out := bufio.NewWriterSize(w, 1<<16)
	p := newPage(a)
	if err := pageTemplate.ExecuteTemplate(out, "head", p); err != nil {
		return err
	}
	shown := 0
	if err := r.EachResult(a.batch.ID, func(t checkpoint.Task, last checkpoint.Attempt) error {
		if a.large() && (told(t.Status) == checkpoint.Accepted || shown >= inDocument) {
			return nil
		}
		shown++
		return pageTemplate.ExecuteTemplate(out, "row", a.deviceRow(t, last))
	}); err != nil {
		return err
	}
	if err := pageTemplate.ExecuteTemplate(out, "tail", p); err != nil {
		return err
	}
	if a.large() {
		if err := a.writeRows(out, r); err != nil {
			return err
		}
	}
	// The policy knows the script by its hash, so it must stand here as it is.
	out.WriteString("<script>" + pageJS + "</script>\n</body>\n</html>\n")
	return out.Flush()
}

// deviceRow puts a task into words.
func (a *audit) deviceRow(t checkpoint.Task, last checkpoint.Attempt) deviceRow {
	s := told(t.Status)
	row := deviceRow{Key: slices.Index(statuses, s), Fate: acted(t), Line: lineOf(t), Gone: t.Position == 0,
		Name: visible(t.Name), Device: visible(t.Device), Link: a.portal(t.Device),
		Class: string(s), Status: word(s), Why: visible(t.Reason), Error: visible(errorOf(s, t, last)),
		Action: visible(t.Action.ID), ActionStatus: visible(actionStatus(t.Action)),
		Comment: visible(t.Comment)}
	if last.Sent {
		row.Sent = last.Reserved.UTC().Format("2006-01-02 15:04:05")
	}
	if t.Attempts > 1 {
		row.Times = plural(t.Attempts, "attempt")
	}
	return row
}

// lineOf names a line; its file is in the CSV.
func lineOf(t checkpoint.Task) string { return itoa(t.Line) }

// actionStatus is the status of an action, with its error if it has one.
func actionStatus(a checkpoint.Action) string {
	return strings.TrimSpace(a.Status + " " + a.Error)
}

// errorOf is what the API said of a device that was not accepted, with what
// Microsoft's support asks for.
func errorOf(s checkpoint.Status, t checkpoint.Task, last checkpoint.Attempt) string {
	switch s {
	case checkpoint.Refused, checkpoint.Failed, checkpoint.InDoubt:
	default:
		return ""
	}
	var parts []string
	if last.Status != 0 {
		parts = append(parts, itoa(last.Status))
	}
	if last.Code != "" && last.Code != t.Reason {
		parts = append(parts, last.Code)
	}
	if last.Message != "" && last.Message != t.Reason {
		parts = append(parts, last.Message)
	}
	if last.RequestID != "" {
		parts = append(parts, "(request "+last.RequestID+")")
	}
	return strings.Join(parts, " ")
}

// twoClouds is the API's host of two clouds, GCC High and DoD, which have a portal
// each: by what is known of a batch nobody can tell which is right.
const twoClouds = "api-gov.securitycenter.microsoft.us"

// portalPattern is the address of a device's page, empty where that is not known, and
// for a simulated batch, whose devices have none.
func (a *audit) portalPattern() string {
	if a.batch.Simulated || a.batch.Key.Cloud == twoClouds {
		return ""
	}
	return "https://security.microsoft.com/machines/v2/{id}/overview"
}

// portal is the address of a device's page; empty if what stands in the list is
// not a device id.
func (a *audit) portal(device string) string {
	if len(device) != 40 || strings.Trim(device, "0123456789abcdef") != "" {
		return ""
	}
	return strings.Replace(a.portalPattern(), "{id}", url.PathEscape(device), 1)
}

// longest is how many bytes of a text the page of a large batch keeps, so that
// 100,000 devices fit into 60 MB whatever their comments hold. The CSV and the
// JSON have all of it.
func (a *audit) longest() int { return max(40, min(160, 10_000_000/a.total())) }

// table keeps each text once: reasons, errors and comments repeat.
type table struct {
	index map[string]int
	all   []string
}

func (t *table) of(s string) int {
	i, ok := t.index[s]
	if !ok {
		i = len(t.all)
		t.index[s], t.all = i, append(t.all, s)
	}
	return i
}

// writeRows writes all devices as data for the script. encoding/json escapes <,
// > and &, so no text can end the element.
func (a *audit) writeRows(w *bufio.Writer, r checkpoint.Reader) error {
	texts := &table{index: map[string]int{}}
	texts.of("")
	w.WriteString(`<script type="application/json" id="rows">{"rows":[`)
	sep := ""
	if err := r.EachResult(a.batch.ID, func(t checkpoint.Task, last checkpoint.Attempt) error {
		b, err := json.Marshal(a.compact(t, last, texts))
		if err != nil {
			return err
		}
		w.WriteString(sep)
		sep = ",\n"
		_, err = w.Write(b)
		return err
	}); err != nil {
		return err
	}
	w.WriteString("]")
	var names []string
	for _, s := range statuses {
		names = append(names, word(s))
	}
	for _, part := range []struct {
		name  string
		value any
	}{{"statuses", names}, {"portal", a.portalPattern()}, {"strings", texts.all}} {
		b, err := json.Marshal(part.value)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, ",\n%q:%s", part.name, b)
	}
	_, err := w.WriteString("}</script>\n")
	return err
}

// compact is a device as the script reads it; page.js has the same order.
func (a *audit) compact(t checkpoint.Task, last checkpoint.Attempt, texts *table) []any {
	s := told(t.Status)
	most := a.longest()
	text := func(s string) int { return texts.of(visible(clip(s, most))) }
	sent, gone := int64(0), 0
	if last.Sent {
		sent = last.Reserved.UnixMilli()
	}
	if t.Position == 0 {
		gone = 1
	}
	return []any{t.Line, visible(clip(t.Device, most)), visible(clip(t.Name, most)), slices.Index(statuses, s),
		text(t.Reason), text(errorOf(s, t, last)), visible(clip(t.Action.ID, most)),
		text(actionStatus(t.Action)), text(t.Comment), sent, t.Attempts, gone, acted(t)}
}
