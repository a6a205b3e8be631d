package input

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// hasHeader reports whether the first row is names. What is data for certain comes
// first: a comment or a site can be called as a column is, and a device that is
// taken for a column's name is lost. Of a row with neither data nor a known name
// it is guessed that it is names, unless it could be a list of names and nothing
// else.
func hasHeader(rows [][]string, opt Options) (header, guessed bool) {
	has := func(is func(string, Options) bool) bool {
		return slices.ContainsFunc(rows[0], func(cell string) bool { return is(cell, opt) })
	}
	switch {
	case len(rows) == 0, hasData(rows[0]):
		return false, false
	case has(isFlagged):
		return true, false
	case likeOneBelow(rows):
		return false, false
	case has(isKnown):
		return true, false
	}
	guessed = !opt.NamesOK || len(rows[0]) > 1
	return guessed, guessed
}

// hasData reports whether a cell of the row is an id, a GUID or what was left of
// one, which no column is called.
func hasData(row []string) bool {
	for i, cell := range row {
		switch _, kind := parseID(cell); {
		case kind == KindEmpty, kind == KindName && !isDamaged(row, i), kind == KindNotHex && !nearID(trimID(cell)) && !within.MatchString(cell):
		default:
			return true
		}
	}
	return false
}

// isDamaged reports whether a row has at i what a spreadsheet has left of an id, in
// one cell or in two.
func isDamaged(row []string, i int) bool {
	if i+1 < len(row) {
		if _, ok := joined(row[i], row[i+1]); ok {
			return true
		}
	}
	v := trimID(row[i])
	return scientific.MatchString(v) || rounded.MatchString(v)
}

// likeOneBelow reports whether a cell of the first row is a name with a number,
// such as LAP-0002, and one below it is alike: LAP-0003. Names of columns may have
// numbers, too, but not those of the values below them.
func likeOneBelow(rows [][]string) bool {
	for i, cell := range rows[0] {
		shape := shapeOf(trimID(cell))
		if !strings.Contains(shape, "a") || !strings.Contains(shape, "0") {
			continue
		}
		for _, row := range rows[1:] {
			if i < len(row) && shapeOf(trimID(row[i])) == shape {
				return true
			}
		}
	}
	return false
}

// shapeOf returns a cell with its letters as "a" and its digits as "0".
func shapeOf(cell string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r):
			return 'a'
		case unicode.IsDigit(r):
			return '0'
		}
		return r
	}, cell)
}

// rule is what PowerShell draws below the names of columns.
var rule = regexp.MustCompile(`^--+( +-+)*$`)

// isShown reports whether the rows are what PowerShell shows on a screen: a table with
// a line below its header, or a line for each column of a device.
func isShown(rows [][]string, opt Options) bool {
	if len(rows) > 1 && len(rows[1]) == 1 && rule.MatchString(strings.TrimSpace(rows[1][0])) {
		return true
	}
	return slices.ContainsFunc(rows, func(row []string) bool {
		name, value, _ := strings.Cut(row[0], " : ")
		return len(row) == 1 && isID(trimID(value)) && isIDName(name, opt)
	})
}

// inOneCell reports whether the first row is in quotes as a whole, as a spreadsheet
// writes rows that it did not split when it read them.
func inOneCell(rows [][]string, opt Options) bool {
	if len(rows[0]) > 1 {
		return false
	}
	parts := strings.FieldsFunc(rows[0][0], func(r rune) bool { return strings.ContainsRune(",;\t", r) })
	return len(parts) > 1 && (countKnown(parts, opt) > 1 || slices.ContainsFunc(parts, func(part string) bool { return isID(trimID(part)) }))
}

// unread returns what separates known names or ids within the first cells of rows
// and is no separator that is looked for, or "".
func unread(rows [][]string, opt Options) string {
	for _, sep := range []string{"|", "^", "~", ":"} {
		for i, row := range rows {
			parts := strings.Split(row[0], sep)
			if len(parts) > 1 && slices.ContainsFunc(parts, func(part string) bool {
				return isID(trimID(part)) || i == 0 && len(row) == 1 && isIDName(part, opt)
			}) {
				return sep
			}
		}
	}
	return ""
}

// lateHeader returns the place of a header that is not the first row, because a
// title stands above it, or none: it has more known names than the first row, that
// of the device ids among them, and no data above it. Whoever would take the title
// for the header is led astray by all that follows.
func lateHeader(rows [][]string, opt Options) int {
	first := 0
	for i, row := range rows {
		known := countKnown(row, opt)
		switch {
		case hasData(row):
			return none
		case i == 0:
			first = known
		case known > first && slices.ContainsFunc(row, func(cell string) bool { return isIDName(cell, opt) }):
			return i
		}
	}
	return none
}

func countKnown(row []string, opt Options) (n int) {
	for _, cell := range row {
		if isKnown(cell, opt) {
			n++
		}
	}
	return n
}

// isHeader reports whether a row is the header of another list, of several that
// were joined, or what PowerShell writes before one.
func (r *record) isHeader(opt Options) bool {
	if strings.HasPrefix(trimID(r.ID), typeMark) {
		return true
	}
	return isKnown(r.ID, opt) && slices.ContainsFunc(append([]string{r.ID, r.Name, r.Comment}, r.Extra.all()...),
		func(cell string) bool { return isIDName(cell, opt) })
}
