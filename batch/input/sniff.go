package input

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	sampleBytes = 256 << 10 // of the text, looked at before the first row is read
	sampleRows  = 500
)

// sample is the beginning of a list: enough to tell how it is written and
// which column is which.
type sample struct {
	skip      int // bytes of the lines before the table
	skipLines int
	typeLine  bool // PowerShell's "#TYPE …" was there
	comma     rune
	rows      [][]string // rows that are not blank; the first may be a header
	lines     []int      // of the file, on which they start
	formulas  bool       // ids in it are formulas
}

// formula is an id as it is written for a spreadsheet that would make a number of
// it. In a CSV file its quotes would have to be quoted.
var formula = regexp.MustCompile(`="[0-9A-Fa-f]{40}"`)

// look takes the sample from the beginning of a text. whole says that head is
// all of the text.
func look(head []byte, whole bool, opt Options) sample {
	s := sample{formulas: formula.Match(head)}
	comma := s.preamble(head)
	body := head[s.skip:]
	if i := bytes.LastIndexByte(body, '\n'); !whole && i >= 0 {
		body = body[:i+1] // the last line is not all there
	}
	if comma != 0 {
		s.comma = comma
		s.parse(body)
		return s
	}
	best, bestScore := s, -1
	for _, s.comma = range []rune{',', ';', '\t'} {
		s.parse(body)
		if n := score(s.rows, opt); n > bestScore {
			best, bestScore = s, n
		}
	}
	return best
}

// typeMark begins the first line of what PowerShell exports.
const typeMark = "#TYPE "

// preamble finds the lines that programs write before the table: PowerShell's
// "#TYPE …" and Excel's "sep=;", whose delimiter it returns.
func (s *sample) preamble(head []byte) (comma rune) {
	for {
		line, _, _ := bytes.Cut(head[s.skip:], []byte("\n"))
		text := strings.Trim(strings.TrimSuffix(string(line), "\r"), `"`)
		c, isSep := separator(text)
		switch {
		case isSep && comma == 0:
			comma = c
		case strings.HasPrefix(text, typeMark) && !s.typeLine:
			s.typeLine = true
		default:
			return comma
		}
		s.skip = min(s.skip+len(line)+1, len(head))
		s.skipLines++
	}
}

// separator returns the delimiter that a line "sep=;" names.
func separator(line string) (rune, bool) {
	if len(line) < len("sep=;") || !strings.EqualFold(line[:4], "sep=") {
		return 0, false
	}
	r, size := utf8.DecodeRuneInString(line[4:])
	ok := 4+size == len(line) && r != utf8.RuneError &&
		(r == '\t' || unicode.IsPunct(r) || unicode.IsSymbol(r))
	return r, ok
}

// parse takes the rows of the sample that can be read and are not blank. What
// cannot be read is said when the list itself is read.
func (s *sample) parse(body []byte) {
	r := csv.NewReader(bytes.NewReader(body))
	r.Comma, r.FieldsPerRecord = s.comma, -1
	s.rows, s.lines = nil, nil
	for len(s.rows) < sampleRows {
		row, err := r.Read()
		if bad := new(csv.ParseError); errors.As(err, &bad) {
			continue
		}
		if err == io.EOF {
			break
		}
		if !blank(row) {
			line, _ := r.FieldPos(0)
			s.rows, s.lines = append(s.rows, row), append(s.lines, line+s.skipLines)
		}
	}
}

func blank(row []string) bool {
	for _, cell := range row {
		if strings.TrimSpace(cell) != "" {
			return false
		}
	}
	return true
}

// score says how well a delimiter fits: columns whose names are known count
// most, then rows in which a cell is an id or a GUID, then the number of
// columns. Of two that fit alike the first is taken, so a list of one column
// has commas.
func score(rows [][]string, opt Options) int {
	if len(rows) == 0 {
		return 0
	}
	withID := 0
	for _, row := range rows {
		for _, cell := range row {
			if v := trimID(cell); isID(v) || guid.MatchString(v) {
				withID++
				break
			}
		}
	}
	return countKnown(rows[0], opt)<<32 + withID<<16 + min(len(rows[0]), 1<<15)
}
