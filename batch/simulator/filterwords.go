package simulator

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// scanFilter splits a filter into words, strings with their quotes, and the signs ( ) , : and /.
func scanFilter(text string) ([]string, error) {
	var words []string
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ':
			i++
		case strings.IndexByte("(),/", c) >= 0:
			words = append(words, string(c))
			i++
		case c == '\'':
			end := endOfString(text, i)
			if end < 0 {
				return nil, fmt.Errorf("$filter: the string at %d has no end", i)
			}
			words = append(words, text[i:end])
			i = end
		default:
			end := i + 1
			for end < len(text) && strings.IndexByte(" (),/'", text[end]) < 0 {
				end++
			}
			words = append(words, text[i:end])
			i = end
		}
	}
	return words, nil
}

// endOfString is the index behind the quoted string that starts at i, -1 if it does not end.
func endOfString(text string, i int) int {
	for i++; i < len(text); i++ {
		if text[i] != '\'' {
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			i++
			continue
		}
		return i + 1
	}
	return -1
}

// badLiteral stands for a word that is no value.
var badLiteral any = struct{}{}

// literal reads a value: a string in quotes, null, true, false, a number or a date.
func literal(word string) any {
	switch {
	case word == "null":
		return nil
	case word == "true" || word == "false":
		return word == "true"
	case len(word) >= 2 && word[0] == '\'':
		return strings.ReplaceAll(word[1:len(word)-1], "''", "'")
	}
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		return n
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		// A service that keeps times in .NET's DateTime knows no year before 1.
		if t, err := time.Parse(layout, word); err == nil && t.Year() > 0 {
			return t
		}
	}
	return badLiteral
}

// sameKind refuses a date in quotes and a string without them, which OData refuses too.
func sameKind(name string, value any) error {
	_, isTime := value.(time.Time)
	timeField := name == "creationDateTimeUtc" || name == "lastSeen"
	_, isNumber := value.(float64)
	switch {
	case value == nil:
		return nil
	case isTime != timeField:
		return fmt.Errorf("$filter: %s and %v are of different kinds: strings take single quotes, dates none", name, value)
	case isNumber != (name == "rbacGroupId"):
		return fmt.Errorf("$filter: %s and %v are of different kinds", name, value)
	case name == "machineTags":
		return fmt.Errorf("$filter: machineTags is a list: machineTags/any(tag: tag eq 'x')")
	}
	return nil
}

// operator is the meaning of a comparing word. A value that is missing equals only null, and is
// neither greater nor smaller than anything.
func operator(word string) (func(have, want any) bool, error) {
	var ok func(int) bool
	switch word {
	case "eq":
		return equal, nil
	case "ne":
		return func(have, want any) bool { return !equal(have, want) }, nil
	case "gt":
		ok = func(c int) bool { return c > 0 }
	case "ge":
		ok = func(c int) bool { return c >= 0 }
	case "lt":
		ok = func(c int) bool { return c < 0 }
	case "le":
		ok = func(c int) bool { return c <= 0 }
	default:
		return nil, fmt.Errorf("$filter: %q is none of eq ne gt ge lt le", word)
	}
	return func(have, want any) bool {
		c, comparable := compare(have, want)
		return comparable && ok(c)
	}, nil
}

func equal(have, want any) bool {
	if have == nil || want == nil {
		return have == nil && want == nil
	}
	c, ok := compare(have, want)
	return ok && c == 0
}

func compare(have, want any) (int, bool) {
	switch want := want.(type) {
	case string:
		have, ok := have.(string)
		return cmp.Compare(have, want), ok
	case float64:
		have, ok := have.(float64)
		return cmp.Compare(have, want), ok
	case time.Time:
		have, ok := have.(time.Time)
		return have.Compare(want), ok
	default:
		return 0, false
	}
}
