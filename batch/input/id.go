package input

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// idLength is the number of hexadecimal characters of a device id.
const idLength = 40

// Which bytes are hexadecimal digits, as tables because every byte of a million
// ids goes through them.
var isHex, isLowerHex = tableOf("0123456789abcdefABCDEF"), tableOf("0123456789abcdef")

func tableOf(bytes string) (t [256]bool) {
	for _, c := range []byte(bytes) {
		t[c] = true
	}
	return t
}

var (
	guid = regexp.MustCompile(`^\{?[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}\}?$`)
	// A comma is the decimal sign in much of Europe. Without a plus it has to be about
	// as long as an id: a device may be called 2E14, after its room.
	scientific = regexp.MustCompile(`^[0-9]([.,][0-9]*)?[Ee](\+[0-9]+|3[0-9])$`)
	// A spreadsheet keeps 15 digits of a number and shows zeros for the rest.
	rounded = regexp.MustCompile(`^[1-9][0-9]{14}0{10,}$`)
	// The address of a device's page, two ids in one cell, an id and why it is to go.
	within = regexp.MustCompile(`\b[0-9A-Fa-f]{40}\b`)
	// With a domain before it, a full name, or one that a person gave.
	nameLike = regexp.MustCompile(`^[\pL\pN_][\pL\pN ._'’()\\-]*\$?$`)
)

// trimID takes off what surrounds an id when it was copied from a page or a
// mail: spaces of every kind and characters of no width.
func trimID(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || r == '\u200b' || r == '\u200c' || r == '\u200d' || r == '\ufeff'
	})
}

// parseID returns the id that a cell holds, in lower case, or "" and what the
// cell holds instead.
func parseID(cell string) (string, Kind) {
	v := cell
	if len(v) != idLength || !all(v, &isLowerHex) {
		if v = strings.ToLower(trimID(cell)); !isID(v) {
			return "", kindOf(v)
		}
	}
	if v[idLength-1] == '0' && rounded.MatchString(v) {
		return "", KindDamaged
	}
	return v, ""
}

// isID reports whether s has the shape of a device id.
func isID(s string) bool {
	return len(s) == idLength && allHex(s)
}

func allHex(s string) bool { return all(s, &isHex) }

func all(s string, in *[256]bool) bool {
	for i := range len(s) {
		if !in[s[i]] {
			return false
		}
	}
	return true
}

// kindOf says what a trimmed cell is that is not a device id. The order
// matters: 32 hexadecimal characters are a GUID before they are a short id,
// and a short run of hexadecimal characters is a name, such as "cafe01".
func kindOf(v string) Kind {
	switch {
	case v == "":
		return KindEmpty
	case guid.MatchString(v):
		return KindGUID
	case scientific.MatchString(v), rounded.MatchString(v):
		return KindDamaged
	case allHex(v) && len(v) > idLength:
		return KindLong
	case allHex(v) && len(v) >= idLength/2:
		return KindShort
	case nearID(v), within.MatchString(v):
		return KindNotHex
	case nameLike.MatchString(v):
		return KindName
	default:
		return KindNotHex
	}
}

// joined returns the number that two cells are, if a comma that was its decimal
// sign stands between them as a separator: 1,23E+39.
func joined(cell, next string) (number string, ok bool) {
	v := trimID(cell)
	if len(v) != 1 {
		return "", false
	}
	number = v + "," + trimID(next)
	return number, scientific.MatchString(number)
}

// nearID reports whether v was meant to be an id: about as long as one and
// hexadecimal but for a few characters.
func nearID(v string) bool {
	if len(v) < idLength-4 || len(v) > idLength+4 {
		return false
	}
	hex := 0
	for i := range len(v) {
		if isHex[v[i]] {
			hex++
		}
	}
	return hex*10 >= len(v)*9
}

// explain says what is wrong with a cell of the given kind in the id column,
// and what its owner can do about it.
func explain(kind Kind, cell, file string) (text, hint string) {
	v := trimID(cell)
	q := quote(v)
	switch kind {
	case KindEmpty:
		return "the row has no device id", "add the id, or delete the row"
	case KindName:
		return q + " is a name, not a device id (40 hexadecimal characters)", resolveHint(file)
	case KindGUID:
		return q + " is a GUID, as Intune and Entra use them, not a Defender device id (40 hexadecimal characters)", resolveHint(file)
	case KindDamaged:
		return q + " is what a spreadsheet makes of a device id of digits: it took it for a number, and most digits are lost",
			"take the id from its source again, and import the column as text"
	case KindHeader:
		return q + " is of a header, not of a device: a list may have been joined of several", "delete the row; if columns below it have another order, give each list as a file of its own"
	case KindShort:
		return fmt.Sprintf("%s has %d characters, a device id has 40 (hexadecimal): %d missing", q, len(v), idLength-len(v)),
			"take the id from its source again: it was cut, or lost leading zeros in a spreadsheet"
	case KindLong:
		return fmt.Sprintf("%s has %d characters, a device id has 40 (hexadecimal): %d too many", q, len(v), len(v)-idLength),
			"take the id from its source again"
	}
	if formula.MatchString(v) {
		return q + " is a formula around a device id, as it is written for a spreadsheet", hintFormula
	}
	const hintAgain = "take the id from its source again"
	if nearID(v) {
		for i, r := range v {
			if r >= 0x80 || !isHex[byte(r)] {
				return fmt.Sprintf("%s has %q at position %d, a device id has 40 hexadecimal characters (0-9, a-f)", q, r, i+1), hintAgain
			}
		}
	}
	if within.MatchString(v) {
		return q + " is more than a device id (40 hexadecimal characters)", "write the id alone, and one a line"
	}
	return q + " is not a device id (40 hexadecimal characters)", hintAgain
}

// resolveHint is a command as it can be typed.
func resolveHint(file string) string {
	if len(file) > 1 && file[0] == '-' { // it would be read as a flag
		file = "./" + file
	}
	if strings.ContainsAny(file, " &()'") {
		file = `"` + file + `"`
	}
	return fmt.Sprintf("mde-offboard resolve %s -o ids.csv looks names and Entra device ids up", file)
}
