package batch

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"mde-offboard/batch/input"
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
	files  []patternFile
}

// patternFile is a file of patterns as the audit names it.
type patternFile struct {
	File     string `json:"file"`
	Patterns int    `json:"patterns"`
	SHA256   string `json:"sha256"` // of the patterns, each with its kind, one a line
}

// described are the files of a protection.
func (p *Protection) described() []patternFile {
	if p == nil {
		return []patternFile{}
	}
	return p.files
}

// ReadProtection reads protect files, of some what Spool has kept of them. What is
// wrong with any of their lines is in the error, all of it: a pattern that is left
// out protects nothing.
func ReadProtection(files []string, spooled Spooled) (*Protection, error) {
	p := &Protection{ids: map[string]pattern{}}
	var wrong []error
	for _, name := range files {
		f, err := os.Open(cmp.Or(spooled[name], name))
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, p.read(name, f))
		f.Close()
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return p, nil
}

// read reads one file, in UTF-8, or in UTF-16 with a byte order mark. Other
// encodings are guessed for lists alone: their plan says so, and shows the names.
func (p *Protection) read(name string, f *os.File) error {
	text, isUTF8, err := input.Text(name, f)
	if err != nil {
		return err
	}
	var wrong []error
	n, before := 0, len(p.all)
	for line := range strings.Lines(text) {
		n++
		line = input.Trim(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := pattern{file: name, line: n}
		err := at.set(line)
		if !isUTF8 && strings.ContainsFunc(line, func(r rune) bool { return r >= utf8.RuneSelf }) {
			err = errNotUTF8(line)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, n, err))
			continue
		}
		p.add(at)
	}
	if len(wrong) == 0 && len(p.all) == before {
		return fmt.Errorf("%s: has no pattern, and protects nothing", name)
	}
	p.files = append(p.files, patternFile{name, len(p.all) - before, fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(p.all[before:], "\n"))))})
	return errors.Join(wrong...)
}

func (p *Protection) add(at pattern) {
	p.all = append(p.all, at.kind+":"+at.text)
	if at.kind == "id" {
		p.ids[at.text] = at
	} else {
		p.others = append(p.others, at)
	}
}

// judge says what the patterns say of a device, by its id, its names and its record
// in the inventory, if d is not nil, and which one says it. One that protects it
// counts before one that leaves it open. short is as of pattern.judge.
func (p *Protection) judge(id string, names []string, d *Device) (a answer, at pattern, short string) {
	if p == nil {
		return no, at, ""
	}
	if at, ok := p.ids[id]; ok {
		return yes, at, ""
	}
	for _, other := range p.others {
		switch says, name := other.judge(names, d); {
		case says == yes:
			return yes, other, ""
		case says == open && a == no:
			a, at, short = open, other, name
		}
	}
	return a, at, short
}

// minds says whether a name alone may make a device protected.
func (p *Protection) minds(name string) bool {
	if p == nil || !isName(name) {
		return false
	}
	return slices.ContainsFunc(p.others, func(at pattern) bool {
		a, _ := at.judge([]string{name}, nil)
		return at.kind == "name" && a != no
	})
}

// heirs are the records that protected ones were merged into, with the pattern of
// those: they are the same devices.
func (p *Protection) heirs(inv *Inventory) map[string]pattern {
	if p == nil || inv == nil {
		return nil
	}
	found := map[string]pattern{}
	for _, id := range slices.Sorted(maps.Keys(p.ids)) {
		for d, ok := inv.Find(id); ok && d.MergedInto != ""; d, ok = inv.Find(d.MergedInto) {
			if _, known := found[d.MergedInto]; known {
				break // from there on, too; and records that name each other end here
			}
			found[d.MergedInto] = p.ids[id]
		}
	}
	return found
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
		if !slices.ContainsFunc(inv.devices, func(d Device) bool { a, _ := at.judge([]string{d.Name}, &d); return a == yes }) {
			idle = append(idle, at.String())
		}
	}
	return idle
}
