package batch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Protection is the devices that must never be offboarded, as patterns, one a
// line: a device id; a name, with * and ? for any characters, which protects
// devices of that full name or first label; tag:…, group:… and os:… with the
// same wildcards. All without case. A line that begins with # is a comment; behind
// a pattern none can stand, since # may be part of a tag or a group.
type Protection struct {
	ids    map[string]pattern
	others []pattern
	all    []string // in their order, for a digest
}

// pattern is one line of a protect file.
type pattern struct {
	file string
	line int
	kind string // id, name, tag, group, os
	text string // lower case
	glob string // as path.Match takes it
}

// String is where a pattern stands and what it is.
func (p pattern) String() string {
	text := p.text
	if p.kind != "id" && p.kind != "name" {
		text = p.kind + ":" + text
	}
	return fmt.Sprintf("%s (%s:%d)", text, p.file, p.line)
}

// ReadProtection reads protect files. What is wrong with any of their lines is
// in the error, all of it: a pattern that is left out protects nothing.
func ReadProtection(files []string) (*Protection, error) {
	p := &Protection{ids: map[string]pattern{}}
	var wrong []error
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--protect: %w", err)
		}
		wrong = append(wrong, p.read(name, f))
		f.Close()
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return p, nil
}

// read reads one file, in UTF-8, or in UTF-16 with a byte order mark.
func (p *Protection) read(name string, r io.Reader) error {
	var wrong []error
	lines := bufio.NewScanner(transform.NewReader(r, unicode.BOMOverride(transform.Nop)))
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		if err := p.add(pattern{file: name, line: n}, text); err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, n, err))
		}
	}
	if err := lines.Err(); err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
	}
	return errors.Join(wrong...)
}

var (
	hexWord  = regexp.MustCompile(`^[0-9a-f]+$`)
	guidWord = regexp.MustCompile(`^\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$`)
)

// add takes a pattern, or says why it is none.
func (p *Protection) add(at pattern, text string) error {
	at.kind, at.text = "name", strings.ToLower(text)
	if kind, rest, ok := strings.Cut(at.text, ":"); ok {
		at.kind, at.text = kind, strings.TrimSpace(rest)
	}
	switch {
	case !utf8.ValidString(text):
		return fmt.Errorf("%q is not valid UTF-8: save the file as UTF-8", text)
	case at.kind != "name" && at.kind != "tag" && at.kind != "group" && at.kind != "os":
		return fmt.Errorf("%q is no pattern: only tag:, group: and os: may stand before a colon", text)
	case at.text == "":
		return fmt.Errorf("%q names nothing", text)
	case at.kind != "name":
	case hexWord.MatchString(at.text) && len(at.text) == 40:
		at.kind = "id"
	case hexWord.MatchString(at.text) && len(at.text) >= 20:
		return fmt.Errorf("%q has %d hexadecimal characters, a device id has 40", text, len(at.text))
	case guidWord.MatchString(at.text):
		return fmt.Errorf("%q is a GUID, as Intune and Entra use them; a device is protected by its Defender id (40 hexadecimal characters) or its name", text)
	case strings.Contains(at.text, "#"):
		return fmt.Errorf("%q is neither an id nor a name: a comment has a line of its own, which begins with #", text)
	case strings.ContainsAny(at.text, `,;"`):
		return fmt.Errorf("%q is neither an id nor a name: the file has one pattern a line, and no columns", text)
	}
	at.glob = wildcard.Replace(at.text)
	p.all = append(p.all, at.kind+":"+at.text)
	if at.kind == "id" {
		p.ids[at.text] = at
	} else {
		p.others = append(p.others, at)
	}
	return nil
}

// wildcard leaves * and ? their meaning and takes it from the rest of what
// path.Match knows, so that no pattern is a wrong one. A slash separates nothing
// here, and becomes something else.
var wildcard = strings.NewReplacer(`\`, `\\`, `[`, `\[`, "/", "\x00")

func (p pattern) matches(s string) bool {
	ok, _ := path.Match(p.glob, strings.ReplaceAll(strings.ToLower(s), "/", "\x00"))
	return ok
}

// matchesName compares with the full name and with its first label.
func (p pattern) matchesName(name string) bool {
	return name != "" && (p.matches(full(name)) || p.matches(label(name)))
}

// covers says whether a pattern protects a device, by what is known of it: its
// name in the list and, if d is not nil, its record.
func (p pattern) covers(name string, d *Device) bool {
	if p.kind == "name" {
		return p.matchesName(name) || d != nil && p.matchesName(d.Name)
	}
	if d == nil {
		return false
	}
	switch p.kind {
	case "group":
		return p.matches(d.Group)
	case "os":
		return p.matches(d.Platform)
	}
	for _, tag := range d.Tags {
		if p.matches(tag) {
			return true
		}
	}
	return false
}

// Covers finds the pattern that protects a device, in words; empty if none does.
func (p *Protection) Covers(id, name string, d *Device) string {
	if p == nil {
		return ""
	}
	if at, ok := p.ids[id]; ok {
		return at.String()
	}
	for _, at := range p.others {
		if at.covers(name, d) {
			return at.String()
		}
	}
	return ""
}

// Idle are the patterns that protect no device of the inventory, in words: the
// device may have left it, or the pattern is misspelt.
func (p *Protection) Idle(inv *Inventory) (idle []string) {
	if p == nil || inv == nil {
		return nil
	}
	for id, at := range p.ids {
		if _, ok := inv.Find(id); !ok {
			idle = append(idle, at.String())
		}
	}
	slices.Sort(idle)
	for _, at := range p.others {
		if !slices.ContainsFunc(inv.devices, func(d Device) bool { return at.covers("", &d) }) {
			idle = append(idle, at.String())
		}
	}
	return idle
}

// unjudged finds a pattern of which nobody can say whether it protects a device:
// nothing but the inventory judges most of them, and a name takes a name.
func (p *Protection) unjudged(named, inInventory bool) (at pattern, ok bool) {
	if p == nil {
		return at, false
	}
	for _, at := range p.others {
		if at.kind != "name" && !inInventory || at.kind == "name" && !named {
			return at, true
		}
	}
	return at, false
}
