package input

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gocarina/gocsv"
)

// MaxComment is the most characters (UTF-16 code units) that a comment may
// have: 1,000, as far as the API is known to take them, less the 20 that the
// tag of an attempt may need.
const MaxComment = 1000 - 20

// The names of the columns as record has them.
const (
	colID      = "MachineId"
	colName    = "ComputerDnsName"
	colComment = "Comment"
	colExtra   = "Extra"
	colDropped = "Dropped"
	colBeyond  = "Beyond"
)

// beyond is the number of cells that a row may have after the last column.
const beyond = 64

// record is one row as gocsv reads it. Before the list it is given a header of
// ours that calls each column by one of these names, so its matching of names,
// which is case-sensitive and silent about what is missing, has nothing left to
// guess. Several columns may have the same name here: gocsv then sets the same
// field for each of them in turn, and the types below collect.
type record struct {
	ID      string  `csv:"MachineId"`
	Name    string  `csv:"ComputerDnsName"`
	Comment string  `csv:"Comment"`
	Extra   cells   `csv:"Extra"`
	Dropped *filled `csv:"Dropped"` // nil if there are none
	Beyond  cells   `csv:"Beyond"`
}

// cells collects the cells of several columns. It is a pointer and no more, since
// gocsv makes an interface value of it for each cell, which copies all else to the
// heap.
type cells struct{ list *[]string }

// UnmarshalCSV is gocsv.TypeUnmarshaller's.
func (c *cells) UnmarshalCSV(s string) error {
	if c.list == nil {
		c.list = &[]string{}
	}
	*c.list = append(*c.list, s)
	return nil
}

func (c cells) all() []string {
	if c.list == nil {
		return nil
	}
	return *c.list
}

// filled is whether any cell of several columns is not empty.
type filled bool

// UnmarshalCSV is gocsv.TypeUnmarshaller's.
func (f *filled) UnmarshalCSV(s string) error {
	*f = *f || filled(strings.TrimSpace(s) != "")
	return nil
}

func (f *filled) any() bool { return f != nil && bool(*f) }

func (r *record) blank() bool {
	return blank([]string{r.ID, r.Name, r.Comment}) && !r.Dropped.any() && blank(r.Extra.all()) && blank(r.Beyond.all())
}

// start puts the readers together and takes the list's own header off.
func (l *List) start(s sample) error {
	ours := make([]string, len(l.layout.names))
	for i := range ours {
		switch {
		case i == l.layout.id:
			ours[i] = colID
		case i == l.layout.name:
			ours[i] = colName
		case i == l.layout.comment:
			ours[i] = colComment
		case slices.Contains(l.layout.dropped, i):
			ours[i] = colDropped
		default:
			ours[i] = colExtra
			l.extra = append(l.extra, i)
		}
	}
	l.entra = slices.Index(l.extra, l.layout.entra)
	for range beyond {
		ours = append(ours, colBeyond)
	}
	header := strings.Join(ours, string(s.comma)) + "\n"
	l.shift = s.skipLines - 1
	l.csv = csv.NewReader(io.MultiReader(strings.NewReader(header), l.limit))
	l.csv.Comma, l.csv.FieldsPerRecord, l.csv.ReuseRecord = s.comma, -1, true
	var err error
	if l.rows, err = gocsv.NewUnmarshaller(l.csv, &record{}); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	if l.layout.header {
		return l.skipHeader()
	}
	return nil
}

// skipHeader reads to the end of the header, which is the first row that is
// not blank.
func (l *List) skipHeader() error {
	for {
		row, err := l.csv.Read()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			var row Row
			if err := l.failed(err, &row); err != nil {
				return err
			}
			return row.Problem
		case !blank(row):
			return nil
		}
	}
}

// set makes a row of a record and says what is wrong with it.
func (l *List) set(row *Row, rec *record) {
	*row = Row{File: l.name, Line: l.line, Name: l.cell(rec.Name), Comment: l.cell(rec.Comment)}
	if strings.TrimSpace(row.Comment) == "" {
		row.Comment = "" // blank is none: Defender refuses it
	}
	row.Extra = rec.Extra.all()
	for i, cell := range row.Extra {
		if row.Extra[i] = l.cell(cell); l.mixed() && !utf8.ValidString(cell) {
			if l.garbled++; l.garbled == 1 {
				l.first = l.line
			}
		}
	}
	if l.entra >= 0 && l.entra < len(row.Extra) {
		row.EntraID = trimID(row.Extra[l.entra])
	}
	var kind Kind
	row.ID, kind = parseID(rec.ID)
	if kind == KindName && l.csv.Comma == ',' {
		if number, ok := joined(rec.ID, l.afterID(rec)); ok {
			rec.ID, kind = number, KindDamaged
		}
	}
	if (kind == KindName || kind == KindNotHex) && rec.isHeader(l.opt) {
		kind = KindHeader
	}
	if row.ID == "" && kind != KindEmpty {
		row.Instead = l.cell(rec.ID)
	}
	if l.opt.NamesOK {
		kind = row.inPlaceOfID(kind)
	}
	row.Problem = l.check(row, rec, kind)
}

// afterID returns the cell after that of the id.
func (l *List) afterID(rec *record) string {
	cells, i := rec.Extra.all(), 0
	switch after := l.layout.id + 1; after {
	case l.layout.name:
		return rec.Name
	case l.layout.comment:
		return rec.Comment
	case len(l.layout.names):
		cells = rec.Beyond.all()
	default:
		i = slices.Index(l.extra, after)
	}
	if i < 0 || i >= len(cells) {
		return ""
	}
	return cells[i]
}

// inPlaceOfID takes a name or a GUID that stands where the id should be, and
// returns the kind of problem that is left.
func (r *Row) inPlaceOfID(kind Kind) Kind {
	switch {
	case kind == KindName && r.Name == "":
		r.Name = trimID(r.Instead)
	case kind == KindGUID && r.EntraID == "":
		r.EntraID = trimID(r.Instead)
	case kind == KindEmpty && (strings.TrimSpace(r.Name) != "" || r.EntraID != ""):
	default:
		return kind
	}
	return ""
}

// check returns the first problem of a row. kind is what is wrong with its id.
func (l *List) check(row *Row, rec *record, kind Kind) *Problem {
	if l.mixed() {
		switch {
		case !utf8.ValidString(rec.ID):
			return l.notText(row.Line, l.layout.id, rec.ID)
		case !utf8.ValidString(rec.Name):
			return l.notText(row.Line, l.layout.name, rec.Name)
		case !utf8.ValidString(rec.Comment):
			return l.notText(row.Line, l.layout.comment, rec.Comment)
		}
	}
	if kind != "" {
		text, hint := explain(kind, rec.ID, l.name)
		return &Problem{File: l.name, Line: row.Line, Column: l.column(l.layout.id, rec.ID), Kind: kind, Cell: row.Instead, Text: text, Hint: hint}
	}
	if cells := rec.Beyond.all(); !blank(cells) || len(cells) == beyond {
		return l.tooWide(row, cells)
	}
	if n, long := TooLong(row.Comment); long {
		return &Problem{File: l.name, Line: row.Line, Column: l.column(l.layout.comment, rec.Comment), Kind: KindComment,
			Cell: row.Comment, Text: fmt.Sprintf("the comment has %d characters, the most is %d", n, MaxComment), Hint: "shorten the comment"}
	}
	return nil
}

// mixed reports whether cells may have bytes that are no text. What is decoded
// from UTF-16 or Windows-1252 has none, nor has UTF-8 that was found valid.
func (l *List) mixed() bool { return l.guess != nil && l.guess.mixed.Load() }

func (l *List) notText(line, index int, cell string) *Problem {
	return &Problem{File: l.name, Line: line, Column: l.column(index, cell), Kind: KindText, Cell: l.cell(cell),
		Text: quote(cell) + " has bytes that are not text: the list mixes encodings, UTF-8 and another",
		Hint: "save the list as CSV UTF-8 (comma delimited), and check the letters that are not plain"}
}

func (l *List) tooWide(row *Row, cells []string) *Problem {
	i := max(0, slices.IndexFunc(cells, func(s string) bool { return strings.TrimSpace(s) != "" }))
	_, column := l.csv.FieldPos(len(l.layout.names) + i)
	return &Problem{File: l.name, Line: row.Line, Column: column, Kind: KindCells, Cell: l.cell(cells[i]),
		Text: fmt.Sprintf("the row has more cells than the list has columns (%d): %s", len(l.layout.names), quote(cells[i])),
		Hint: "a cell that holds the separator is written in quotes"}
}

// column returns the byte on which a column begins in the last row, and 1 for
// an empty cell, which may be one that a short row does not have.
func (l *List) column(index int, cell string) int {
	if cell == "" || index == none {
		return 1
	}
	_, column := l.csv.FieldPos(index)
	return column
}

// cell returns a cell as the list's owner wrote it, with U+FFFD for what is no
// text in it. Its line breaks are LF: so it reads the same when it was written and
// read again.
func (l *List) cell(s string) string {
	if l.layout.own {
		s = Undefuse(s)
	}
	if l.mixed() {
		s = valid(s)
	}
	return s
}

// valid returns a cell with U+FFFD for what is no text in it.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// TooLong returns the length of a comment, as MaxComment counts, if it is more
// than that.
func TooLong(comment string) (int, bool) {
	if len(comment) <= MaxComment {
		return 0, false // no character has fewer bytes than UTF-16 code units
	}
	n := 0
	for _, r := range comment {
		n += utf16.RuneLen(r)
	}
	return n, n > MaxComment
}
