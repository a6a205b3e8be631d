package report

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/gocarina/gocsv"

	"mde-offboard/batch/checkpoint"
)

// record is one row of the result CSV. gocsv writes the fields in this order
// under these names, which are a promise to scripts.
type record struct {
	Line            int    `csv:"Line"`
	MachineID       string `csv:"MachineId"`
	ComputerDNSName string `csv:"ComputerDnsName"`
	Comment         string `csv:"Comment"`
	Status          string `csv:"Status"`
	Reason          string `csv:"Reason"`
	MachineActionID string `csv:"MachineActionId"`
	ActionStatus    string `csv:"ActionStatus"`
	ActionRequestor string `csv:"ActionRequestor"`
	ActionCreatedAt string `csv:"ActionCreatedAt"`
	HTTPStatus      string `csv:"HttpStatus"`
	ErrorCode       string `csv:"ErrorCode"`
	Error           string `csv:"Error"`
	ErrorTarget     string `csv:"ErrorTarget"`
	RequestID       string `csv:"RequestId"`
	Attempts        int    `csv:"Attempts"`
	SentAt          string `csv:"SentAt"`
	AnsweredAt      string `csv:"AnsweredAt"`
	TenantID        string `csv:"TenantId"`
}

// resultColumns are the names of our columns.
var resultColumns = func() (names []string) {
	t := reflect.TypeFor[record]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("csv"))
	}
	return names
}()

// ListColumns are the names under which a list's columns stand behind ours: their
// own, but for one that is there already. PowerShell's Import-Csv reads no file in
// which two names are the same but for their case. A name without such a twin stays
// as it is, so that results of results keep theirs.
func ListColumns(columns []string) []string {
	set := func(names []string) map[string]bool {
		m := map[string]bool{}
		for _, name := range names {
			m[strings.ToLower(name)] = true
		}
		return m
	}
	written, theirs := set(resultColumns), set(columns)
	names := slices.Clone(columns)
	for i, own := range columns {
		name := own
		for n := 1; name != "" && (written[strings.ToLower(name)] || n > 1 && theirs[strings.ToLower(name)]); n++ {
			if name = "List " + own; n > 1 {
				name += " " + itoa(n)
			}
		}
		names[i], written[strings.ToLower(name)] = name, true
	}
	return names
}

// batchOfRows is how many rows gocsv gets at once: enough that its reflection
// over the type costs nothing, few enough that a long list takes no memory.
const batchOfRows = 512

// excelMark begins a CSV file that is for Excel.
const excelMark = "\ufeff"

// sheet writes a CSV file row by row: our columns by gocsv, and after them the
// list's own, which only the list knows. It is the gocsv.CSVWriter that gocsv
// writes to, so that every cell, whoever made it, is defused in one place.
type sheet struct {
	out    *bufio.Writer
	csv    *csv.Writer
	line   bytes.Buffer // one row, as csv wrote it
	rows   []record
	extras [][]string // of each of rows
	next   int        // which of extras the next row gets
	width  int        // number of the list's own columns
	header bool       // is written
}

// newSheet starts a CSV file whose last columns are those of the list.
func newSheet(w io.Writer, columns []string, excel bool) (*sheet, error) {
	s := &sheet{out: bufio.NewWriterSize(w, 1<<16), width: len(columns), extras: [][]string{ListColumns(columns)}}
	s.csv = csv.NewWriter(&s.line)
	if excel {
		// Excel takes a file without this mark for one in the system's code page.
		if _, err := s.out.WriteString(excelMark); err != nil {
			return nil, err
		}
	}
	// gocsv writes the header of an empty slice too; its extras are the columns.
	return s, gocsv.MarshalCSV([]record{}, s)
}

// add puts a row at the end.
func (s *sheet) add(r record, extra []string) error {
	s.rows, s.extras = append(s.rows, r), append(s.extras, extra)
	if len(s.rows) < batchOfRows {
		return nil
	}
	return s.pass()
}

// pass hands the rows that are waiting to gocsv.
func (s *sheet) pass() error {
	if len(s.rows) == 0 {
		return nil
	}
	err := gocsv.MarshalCSVWithoutHeaders(s.rows, s)
	s.rows, s.extras, s.next = s.rows[:0], s.extras[:0], 0
	return err
}

// close writes what is waiting.
func (s *sheet) close() error {
	if err := s.pass(); err != nil {
		return err
	}
	return s.out.Flush()
}

// Write is gocsv.CSVWriter's: it gets our columns of one row.
func (s *sheet) Write(ours []string) error {
	cells := make([]string, len(ours)+s.width)
	for i, c := range ours {
		cells[i] = cell(c)
	}
	for i, c := range s.extras[s.next][:min(s.width, len(s.extras[s.next]))] {
		cells[len(ours)+i] = cell(c)
	}
	if s.next++; !s.header {
		s.header, s.extras, s.next = true, s.extras[:0], 0
	}
	return s.writeLine(cells)
}

// cell is a text as it stands in the file. An answer may hold a NUL, which no
// reader of CSV takes for text, ours among them: it would refuse the whole list.
func cell(s string) string { return defuse(strings.ReplaceAll(s, "\x00", "\ufffd")) }

// writeLine ends a row with CR LF and leaves line breaks within a cell as they
// are. csv.Writer's own UseCRLF would drop a lone CR from a cell.
func (s *sheet) writeLine(cells []string) error {
	s.line.Reset()
	if err := s.csv.Write(cells); err != nil {
		return err
	}
	s.csv.Flush()
	s.out.Write(bytes.TrimSuffix(s.line.Bytes(), []byte("\n")))
	_, err := s.out.WriteString("\r\n")
	return err
}

// Flush is gocsv.CSVWriter's; close does it.
func (s *sheet) Flush() {}

// Error is gocsv.CSVWriter's.
func (s *sheet) Error() error { return s.csv.Error() }

// row says of a task of a batch and its last attempt what the result CSV says.
func row(b checkpoint.Batch, t checkpoint.Task, a checkpoint.Attempt) record {
	r := record{
		Line: t.Line, MachineID: t.Device, ComputerDNSName: t.Name, Comment: t.Comment,
		Status: string(told(t.Status)), Reason: Marked(b.Simulated, t.Reason),
		MachineActionID: t.Action.ID, ActionStatus: t.Action.Status,
		ActionRequestor: t.Action.Requestor, ActionCreatedAt: t.Action.Created,
		ErrorCode: a.Code, Error: a.Message, ErrorTarget: a.Target, RequestID: a.RequestID,
		Attempts: t.Attempts, TenantID: b.Key.Tenant,
	}
	if a.Status != 0 {
		r.HTTPStatus = itoa(a.Status)
		r.AnsweredAt = stamp(a.Over)
	}
	if a.Sent {
		r.SentAt = stamp(a.Reserved)
	}
	return r
}
