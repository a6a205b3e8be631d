package simulator

import (
	"fmt"
	"slices"
	"strings"
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
