package input

import "strings"

// Defuse returns s as it may stand in a cell of a CSV file that a spreadsheet
// will open: with a leading apostrophe if the spreadsheet would run it as a
// formula otherwise. Undefuse(Defuse(s)) == s for every s, which is why a cell
// that looks defused already gets one more.
func Defuse(s string) string {
	if runs(strings.TrimLeft(s, "'")) {
		return "'" + s
	}
	return s
}

// Undefuse takes off the apostrophe that Defuse put before s.
func Undefuse(s string) string {
	if len(s) > 0 && s[0] == '\'' && runs(strings.TrimLeft(s, "'")) {
		return s[1:]
	}
	return s
}

// runs reports whether a spreadsheet would take s for a formula. A tab or a
// line break is skipped by some of them, and the wide forms of the signs count
// as signs where Chinese or Japanese is set.
func runs(s string) bool {
	for _, prefix := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
