package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A predicate judges one record by the values of its fields: a string, a time, a number, a truth
// value, a list of strings, or nil.
type predicate func(field func(name string) any) bool

// parseFilter reads the part of OData's $filter that the API documents: eq ne gt ge lt le, and, or, not,
// parentheses, startswith, and any() on a list of strings. Strings are in single quotes, doubled within;
// dates are bare. Names are case-sensitive, and one that is not among the fields is an error.
func parseFilter(text string, fields []string) (predicate, error) {
	words, err := scanFilter(text)
	if err != nil {
		return nil, err
	}
	p := &filterParser{words: words, fields: fields}
	keep, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.next() != "" {
		return nil, fmt.Errorf("$filter: %q is one word too many", p.words[p.at])
	}
	return keep, nil
}

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

type filterParser struct {
	words  []string
	at     int
	fields []string
	depth  int
}

// next is the word at hand, empty at the end.
func (p *filterParser) next() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

func (p *filterParser) take() string {
	w := p.next()
	p.at++
	return w
}

func (p *filterParser) expect(word string) error {
	if got := p.take(); got != word {
		return fmt.Errorf("$filter: %q where %q was due", got, word)
	}
	return nil
}

func (p *filterParser) or() (predicate, error) {
	left, err := p.and()
	for err == nil && p.next() == "or" {
		p.at++
		var right predicate
		a := left
		if right, err = p.and(); err == nil {
			left = func(f func(string) any) bool { return a(f) || right(f) }
		}
	}
	return left, err
}

func (p *filterParser) and() (predicate, error) {
	left, err := p.term()
	for err == nil && p.next() == "and" {
		p.at++
		var right predicate
		a := left
		if right, err = p.term(); err == nil {
			left = func(f func(string) any) bool { return a(f) && right(f) }
		}
	}
	return left, err
}

// maxDepth keeps a hostile filter from using up the stack.
const maxDepth = 100

func (p *filterParser) term() (predicate, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("$filter: nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	switch p.next() {
	case "(":
		p.at++
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	case "not":
		p.at++
		inner, err := p.term()
		if err != nil {
			return nil, err
		}
		return func(f func(string) any) bool { return !inner(f) }, nil
	case "startswith":
		p.at++
		return p.startsWith()
	default:
		return p.comparison()
	}
}

func (p *filterParser) field() (string, error) {
	name := p.take()
	if !slices.Contains(p.fields, name) {
		return "", fmt.Errorf("$filter: no property %q that can be filtered by, only %v", name, p.fields)
	}
	return name, nil
}

func (p *filterParser) startsWith() (predicate, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	name, err := p.field()
	if err != nil {
		return nil, err
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	prefix, ok := literal(p.take()).(string)
	if !ok {
		return nil, fmt.Errorf("$filter: startswith needs a string in single quotes")
	}
	keep := func(f func(string) any) bool {
		value, ok := f(name).(string)
		return ok && strings.HasPrefix(value, prefix)
	}
	return keep, p.expect(")")
}

func (p *filterParser) comparison() (predicate, error) {
	name, err := p.field()
	if err != nil {
		return nil, err
	}
	if p.next() == "/" {
		p.at++
		return p.anyOf(name)
	}
	holds, err := operator(p.take())
	if err != nil {
		return nil, err
	}
	word := p.take()
	want := literal(word)
	if want == badLiteral {
		return nil, fmt.Errorf("$filter: %q is no value: strings take single quotes, dates none", word)
	}
	if err := sameKind(name, want); err != nil {
		return nil, err
	}
	return func(f func(string) any) bool { return holds(f(name), want) }, nil
}

// anyOf reads what follows a list's name: any(x: x eq 'value').
func (p *filterParser) anyOf(name string) (predicate, error) {
	for _, word := range []string{"any", "("} {
		if err := p.expect(word); err != nil {
			return nil, err
		}
	}
	variable := p.take()
	if !strings.HasSuffix(variable, ":") {
		return nil, fmt.Errorf("$filter: %q where a variable and a colon were due", variable)
	}
	if err := p.expect(strings.TrimSuffix(variable, ":")); err != nil {
		return nil, err
	}
	if err := p.expect("eq"); err != nil {
		return nil, err
	}
	want, ok := literal(p.take()).(string)
	if !ok {
		return nil, fmt.Errorf("$filter: any needs a string in single quotes")
	}
	keep := func(f func(string) any) bool {
		list, _ := f(name).([]string)
		return slices.Contains(list, want)
	}
	return keep, p.expect(")")
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
		if t, err := time.Parse(layout, word); err == nil {
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
