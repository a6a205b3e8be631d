package batch

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"mde-offboard/batch/input"
)

// pattern is one line of a protect file.
type pattern struct {
	file   string
	line   int
	kind   string   // id, name, tag, group, os
	text   string   // lower case; a name as names are compared
	glob   string   // as path.Match takes it
	begins []string // of a full name: what a name may be that lacks a domain, with a dot behind it
}

// String is where a pattern stands and what it is.
func (p pattern) String() string {
	text := p.text
	if p.kind != "id" && p.kind != "name" {
		text = p.kind + ":" + text
	}
	return fmt.Sprintf("%s (%s:%d)", text, p.file, p.line)
}

// set makes a pattern of a line, or says why it is none. Whatever could match no
// device is refused: its owner takes it for a protection.
func (p *pattern) set(text string) (err error) {
	p.kind, p.text = "name", strings.ToLower(text)
	if kind, rest, ok := strings.Cut(p.text, ":"); ok {
		p.kind, p.text = kind, input.Trim(rest)
	}
	switch {
	case !utf8.ValidString(text):
		return errNotUTF8(text)
	case p.kind != "name" && p.kind != "tag" && p.kind != "group" && p.kind != "os":
		return fmt.Errorf("%q is no pattern: only tag:, group: and os: may stand before a colon", text)
	case strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("%q has a tab or another control character: the file has one pattern a line, and no columns", text)
	case p.kind == "name":
		err = p.setName(text)
	}
	if err == nil && p.text == "" {
		err = fmt.Errorf("%q names nothing", text)
	}
	p.glob = wildcard.Replace(p.text)
	return err
}

func errNotUTF8(text string) error {
	return fmt.Errorf("%q is not valid UTF-8: save the file as UTF-8", text)
}

// setName makes an id or a name of a line.
func (p *pattern) setName(text string) error {
	id, wrong := input.ID(text)
	switch {
	case id != "":
		p.kind, p.text = "id", id
		return nil
	case wrong != "":
		return errors.New(wrong)
	case strings.Contains(text, "#"):
		return fmt.Errorf("%q is neither an id nor a name: a comment has a line of its own, which begins with #", text)
	case strings.ContainsAny(text, `,;"`):
		return fmt.Errorf("%q is neither an id nor a name: the file has one pattern a line, and no columns", text)
	case hasID(text):
		return fmt.Errorf("%q has an id and more: the file has one pattern a line, and nothing behind it", text)
	case strings.ContainsFunc(text, isUnseen):
		return fmt.Errorf("%q has a character that is not seen: write the name anew", text)
	case strings.HasPrefix(text, "."):
		return fmt.Errorf("%q is the end of a name: *%s protects the devices of a domain", text, text)
	}
	p.text = full(text)
	p.begin()
	return nil
}

// hasID says whether a word of a text is an id, or was meant for one.
func hasID(text string) bool {
	for _, word := range strings.Fields(text) {
		if id, wrong := input.ID(word); id+wrong != "" {
			return true
		}
	}
	return false
}

// isUnseen knows the marks that are copied with a text from some windows and pages.
func isUnseen(r rune) bool { return unicode.Is(unicode.Cf, r) }

// wildcard leaves * and ? their meaning and takes it from the rest of what
// path.Match knows, so that no pattern is a wrong one. A slash separates nothing
// here, and becomes something else.
var wildcard = strings.NewReplacer(`\`, `\\`, `[`, `\[`, "/", "\x00")

func (p pattern) matches(s string) bool { return match(p.glob, s) }

func match(glob, s string) bool {
	ok, _ := path.Match(glob, strings.ReplaceAll(strings.ToLower(s), "/", "\x00"))
	return ok
}

// begin finds the beginnings of a full name that can match a first label and the
// dot behind it: those up to that dot, or up to a wildcard that may stand for it.
func (p *pattern) begin() {
	dot := strings.IndexByte(p.text, '.')
	for i := 0; i <= dot; i++ {
		if strings.IndexByte(".*?", p.text[i]) >= 0 {
			p.begins = append(p.begins, wildcard.Replace(p.text[:i+1]))
		}
	}
}

// answer is what a pattern says of a device.
type answer int

const (
	no   answer = iota
	yes         // it protects the device
	open        // what is known of the device does not say
)

// judge says whether a pattern protects a device, by what is known of it: its
// names and, if d is not nil, its record. Where a name without a domain leaves that
// open, short is that name.
func (p pattern) judge(names []string, d *Device) (a answer, short string) {
	switch {
	case p.kind == "name":
		return p.judgeNames(names)
	case d == nil:
		return open, ""
	case p.kind == "group":
		return p.answer(d.Group), ""
	case p.kind == "os" && d.Platform == "":
		return open, "" // every device has one
	case p.kind == "os":
		return p.answer(d.Platform), ""
	}
	for _, tag := range d.Tags {
		if p.matches(tag) {
			return yes, ""
		}
	}
	return no, ""
}

func (p pattern) answer(s string) answer {
	if p.matches(s) {
		return yes
	}
	return no
}

// judgeNames compares with full names and with their first labels. A name without
// a domain leaves a full one open that may be its own, unless the domain is known.
func (p pattern) judgeNames(names []string) (a answer, short string) {
	a = open
	for _, name := range names {
		if name != "" && (p.matches(full(name)) || p.matches(label(name))) {
			return yes, ""
		}
		if isName(name) {
			a = no
		}
	}
	for _, name := range names {
		if isName(name) && p.mayBegin(name) && !anyDomain(names, label(name)) {
			return open, full(name)
		}
	}
	return a, ""
}

// mayBegin says whether a pattern may match a name with some domain behind it.
func (p pattern) mayBegin(name string) bool {
	for _, glob := range p.begins {
		if match(glob, label(name)+".") {
			return true
		}
	}
	return false
}

// anyDomain says whether one of the names has this first label and a domain.
func anyDomain(names []string, first string) bool {
	for _, name := range names {
		if label(name) == first && full(name) != first {
			return true
		}
	}
	return false
}

// noNames are what programs write where they know no name.
var noNames = map[string]bool{"n/a": true, "none": true, "null": true, "unknown": true}

// isName says whether a name can tell a device from others.
func isName(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) && !noNames[full(name)]
}
