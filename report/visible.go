package report

import (
	"fmt"
	"strings"
	"unicode"
)

// marks is how many combining marks a character may have: more than any script
// needs are there to draw over other lines.
const marks = 4

// visible makes what is not seen but changes what is seen into something that is
// seen: characters that turn the direction of writing or take no room, and marks
// that pile up on a character beyond what a script needs.
func visible(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return hidden(r) || unicode.In(r, unicode.Mn, unicode.Me) }) {
		return s
	}
	var b strings.Builder
	row := 0
	tell := func() {
		if row > marks {
			fmt.Fprintf(&b, "[%d more marks]", row-marks)
		}
		row = 0
	}
	for _, r := range s {
		switch {
		case hidden(r):
			tell()
			fmt.Fprintf(&b, "[U+%04X]", r)
		case unicode.In(r, unicode.Mn, unicode.Me):
			if row++; row <= marks {
				b.WriteRune(r)
			}
		default:
			tell()
			b.WriteRune(r)
		}
	}
	tell()
	return b.String()
}

// hidden says whether a character is not seen as such. Line breaks and tabs are
// spaces to a page, and the marks that Arabic puts before a number are seen. A
// variation selector of an emoji is left, one of the supplement is not: nothing
// that has a use there needs it, and texts can be hidden in them.
func hidden(r rune) bool {
	switch {
	case r == '\n', r == '\t', unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false
	case r >= 0xe0100 && r <= 0xe01ef:
		return true
	}
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
