// Package input reads lists of devices as people have them: exports of portals,
// files that went through a spreadsheet, ids one a line. A list is a stream, so
// a million lines need no more memory than ten.
//
// Every list either works or is refused with a *Problem that tells its owner
// what it is and what to do. Bad rows do not stop the reading: they come out
// with their Problem, in their place.
package input

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"regexp"
	"slices"

	"github.com/gocarina/gocsv"
)

// Options settle what cannot be told from a list. The zero value finds all of
// it by name and value.
type Options struct {
	// IDColumn, CommentColumn and NameColumn name the column to take, whatever
	// its values. In a list without a header the columns are Column1, Column2, ….
	IDColumn, CommentColumn, NameColumn string

	// NamesOK admits lists and rows that have a name or an Entra id in place of
	// the device id, for looking them up.
	NamesOK bool
}

// Row is one row of a list.
type Row struct {
	File string
	Line int // the physical line on which the row starts, from 1

	ID      string // 40 lower-case hexadecimal characters, or ""
	Name    string // the device's name, as in the list
	Comment string // as in the list, "" if it is blank
	EntraID string // as in the list, if it has such a column

	// Instead is what stands in the id column in place of an id, as in the list. With
	// NamesOK it can be a name or a GUID, which then is also in Name or EntraID.
	Instead string

	Extra []string // the cells of List.Columns, in that order; a short row has fewer

	// Problem is why the row cannot be used, or nil. The row then still has the
	// cells that could be read, but no ID that is not one.
	Problem *Problem
}

// List reads one list. It is not safe for concurrent use.
type List struct {
	name   string
	opt    Options
	closer io.Closer
	hash   hash.Hash
	guess  *guess
	notes  []string
	layout layout

	text  *aheadText
	limit *bounded
	csv   *csv.Reader
	rows  *gocsv.Unmarshaller
	shift int   // what to add to a line of the reader for a line of the file
	extra []int // the columns that travel
	entra int   // the one of them that holds Entra ids, or none
	line  int   // of the last row

	formulas bool // ids at its beginning are written as formulas

	garbled int // cells that are not ours and have bytes that are no text
	first   int // the line of the first

	ahead *ahead[Row]
}

// Open opens the list in a file, as NewList does. The name's extension does not
// matter.
func Open(path string, opt Options) (*List, error) { return OpenAs(path, path, opt) }

// OpenAs is Open for a file that messages call by another name.
func OpenAs(name, path string, opt Options) (*List, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l, err := NewList(name, f, opt)
	if err != nil {
		f.Close()
		return nil, err
	}
	l.closer = f
	return l, nil
}

// NewList begins to read a list, so far that it is known how it is written and
// which column is which. The name is what messages call it, and what the
// commands in their hints are given: "-" for standard input. An error that is
// the list's fault is a *Problem. A list that is not read to its end has to be
// closed.
func NewList(name string, r io.Reader, opt Options) (*List, error) {
	l := &List{name: name, opt: opt, hash: sha256.New()}
	text := decode(io.TeeReader(r, l.hash))
	l.guess = text.guess
	head := make([]byte, sampleBytes)
	n, err := io.ReadFull(text, head)
	whole := err == io.EOF || err == io.ErrUnexpectedEOF
	switch {
	case errors.Is(err, errHalf):
		return nil, halved(name)
	case err != nil && !whole:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	head = head[:n]
	if err := refuseFile(name, head); err != nil {
		return nil, err
	}
	s := look(head, whole, opt)
	if l.layout, err = choose(name, s, opt); err != nil {
		return nil, err
	}
	l.formulas = s.formulas
	l.describe(text.mark, s)
	l.text = &aheadText{r: text}
	l.limit = &bounded{r: io.MultiReader(bytes.NewReader(head[s.skip:]), l.text), left: maxRow}
	if err := l.start(s); err != nil {
		return nil, err
	}
	return l, nil
}

const (
	hintSave     = "save it as CSV UTF-8 (comma delimited)"
	textFormulas = `: device ids of the list are formulas (="…"), as they are written for a spreadsheet`
	hintFormula  = `write the id alone: without the equals sign, and the quotes around it`
)

// notLists are files of text that are no lists, by what they begin with. A brace
// alone does not do: a GUID may have one.
var notLists = []struct {
	begins     *regexp.Regexp
	what, hint string
}{
	{regexp.MustCompile(`(?i)^\s*<(!doctype|html|table)\b`), "a web page (HTML), not a CSV file", "it may be the page of a login that is over: export the list again, and look at it; one that a spreadsheet opens, open there and " + hintSave},
	{regexp.MustCompile(`^\s*<\?xml\b`), "XML, not a CSV file", "if a spreadsheet opens it, " + hintSave + " there"},
	{regexp.MustCompile(`^\s*(\{\s*["}]|\[\s*[{"\[\]])`), "JSON, not a CSV file", "make a CSV file of it, in PowerShell with ConvertFrom-Json and Export-Csv"},
}

// refuseFile refuses what is no list at all, by its first bytes.
func refuseFile(name string, head []byte) error {
	for _, f := range notLists {
		if f.begins.Match(head) {
			return &Problem{File: name, Kind: KindFile, Text: f.what, Hint: f.hint}
		}
	}
	p := &Problem{File: name, Kind: KindFile}
	switch {
	case len(bytes.TrimSpace(head)) == 0:
		p.Text, p.Hint = "the list is empty", "check the file's name, and the program that wrote it"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte{0xd0, 0xcf, 0x11, 0xe0}):
		p.Text, p.Hint = "a workbook or an archive, not a CSV file", "open it in the spreadsheet and "+hintSave
	case bytes.IndexByte(head, 0) >= 0:
		p.Text, p.Hint = "has NUL bytes: UTF-16 without a byte order mark, or no text at all", hintSave
	default:
		return nil
	}
	return p
}

// describe notes how the list is written.
func (l *List) describe(mark string, s sample) {
	if mark != "" && mark != "UTF-8" {
		l.notes = append(l.notes, "read as "+mark)
	}
	if s.typeLine {
		l.notes = append(l.notes, "the first line (#TYPE) is left out")
	}
	switch s.comma {
	case ',':
	case ';':
		l.notes = append(l.notes, "cells are separated by semicolons")
	case '\t':
		l.notes = append(l.notes, "cells are separated by tabs")
	default:
		l.notes = append(l.notes, fmt.Sprintf("cells are separated by %q", s.comma))
	}
	l.notes = append(l.notes, l.layout.notes...)
}

// Next returns the next row that is not blank, which is good until the next call,
// and io.EOF after the last. A row that cannot be used has a Problem. An error ends
// the list: what it is read from is broken, or a quote is not closed, so that it
// cannot be told where rows begin; the latter is a *Problem.
func (l *List) Next() (*Row, error) {
	if l.ahead == nil {
		l.text.start()
		l.ahead = readAhead(batchRows, l.fill)
	}
	if err := l.ahead.more(); err != nil {
		l.stop()
		return nil, err
	}
	row := &l.ahead.rest[0]
	l.ahead.rest = l.ahead.rest[1:]
	return row, nil
}

// fill reads rows until there is an error.
func (l *List) fill(rows []Row) (int, error) {
	for i := range rows {
		if err := l.read(&rows[i]); err != nil {
			return i, err
		}
	}
	return len(rows), nil
}

// read sets row to the next one that is not blank.
func (l *List) read(row *Row) error {
	for {
		l.limit.left = maxRow
		v, err := l.rows.Read()
		if err != nil {
			*row = Row{File: l.name}
			return l.failed(err, row)
		}
		line, _ := l.csv.FieldPos(0)
		l.line = line + l.shift
		if rec := v.(*record); !rec.blank() {
			l.set(row, rec)
			return nil
		}
	}
}

// failed says what an error of the reader means: a row with a problem, or the
// end of the list.
func (l *List) failed(err error, row *Row) error {
	if err == io.EOF {
		return err
	}
	p := &Problem{File: l.name, Line: l.line + 1, Kind: KindQuote, Hint: `a cell with quotes is written in quotes, with each quote in it doubled: "a ""b"" c"`}
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad) && bad.StartLine == bad.Line:
		p.Line, p.Column, p.Text = bad.Line+l.shift, bad.Column, `a quote (") in the middle of a cell`
		if l.formulas {
			p.Text, p.Hint = p.Text+textFormulas, hintFormula
		}
		row.Line, row.Problem = p.Line, p
		l.line = p.Line
		return nil
	case errors.As(err, &bad):
		p.Line, p.Text = bad.StartLine+l.shift, fmt.Sprintf(`a quote (") is opened in this row and not closed as it should be up to line %d`, bad.Line+l.shift)
	case errors.Is(err, errMaxRow):
		p.Text = `the row that begins here has more than 1 MiB: a quote (") is opened and not closed`
	case errors.Is(err, errNUL):
		p.Kind, p.Text, p.Hint = KindText, "a NUL byte in this row or near it: the file is damaged, or no text", "take the list from its source again"
	case errors.Is(err, errHalf):
		return halved(l.name)
	default:
		return fmt.Errorf("%s: after line %d: %w", l.name, l.line, err)
	}
	return p
}

// halved refuses a list that is not all there.
func halved(name string) *Problem {
	return &Problem{File: name, Kind: KindText, Text: errHalf.Error(), Hint: "take the list from its source again"}
}

// Columns returns the names of the columns that are not ours, in their order.
// They are told apart by position: names may be empty or come twice.
func (l *List) Columns() []string {
	names := make([]string, len(l.extra))
	for i, c := range l.extra {
		names[i] = l.layout.names[c]
	}
	return names
}

// Notes returns how the list is written and understood, for its owner to check.
// They are complete after Next returned io.EOF, since the encoding may show as
// late as that.
func (l *List) Notes() []string {
	switch {
	case !l.ended() || l.guess == nil:
	case l.guess.windows != nil:
		return append([]string{"read as Windows-1252, since it is not valid UTF-8"}, l.notes...)
	case l.garbled > 0:
		return append(slices.Clip(l.notes), fmt.Sprintf("the list mixes encodings, UTF-8 and another: letters are lost in other columns, in %d cells, the first on line %d", l.garbled, l.first))
	}
	return l.notes
}

// Digest returns the SHA-256 of the list's bytes as they were read, in
// hexadecimal, after Next returned io.EOF, and "" before.
func (l *List) Digest() string {
	if !l.ended() {
		return ""
	}
	return hex.EncodeToString(l.hash.Sum(nil))
}

func (l *List) ended() bool { return l.ahead != nil && l.ahead.err == io.EOF }

// stop lets what reads ahead end.
func (l *List) stop() {
	if l.ahead != nil {
		l.text.ahead.stop()
		l.ahead.stop()
	}
}

// Close ends the reading and closes the file that Open opened.
func (l *List) Close() error {
	l.stop()
	if l.closer == nil {
		return nil
	}
	return l.closer.Close()
}
