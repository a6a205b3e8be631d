package batch

import (
	"errors"
	"fmt"
	"slices"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// protected says why --protect holds a device back, empty if it does not. What
// cannot be judged without any inventory is left to Refused.
func (p *Plan) protected(l *checkpoint.Line, d *Device) (why string) {
	req := &p.Request
	if req.Protect == nil {
		return ""
	}
	if at, ok := p.heirs[l.Device]; ok {
		return fmt.Sprintf("%s: by %v, whose record was merged into this one", heldProtected, at)
	}
	names := append([]string{l.Name}, req.Called[l.Device]...)
	if d != nil {
		names = append(names, d.Name)
	}
	a, at, short := req.Protect.judge(l.Device, names, d)
	switch {
	case a == yes:
		return fmt.Sprintf("%s: by %v", heldProtected, at)
	case a == open && req.Inventory != nil:
		return fmt.Sprintf("%s: %v cannot be judged, since %s", heldPerhaps, at, lacking(at, short, d))
	case a == open && p.unjudged == "":
		p.unjudged = fmt.Sprintf("%v cannot be judged without the inventory", at)
		switch {
		case short != "":
			p.unjudged += fmt.Sprintf(": the list has no full name for the device at %s:%d, only %s", l.File, l.Line, input.Quote(short))
		case at.kind == "name":
			p.unjudged += fmt.Sprintf(": the list has no name for the device at %s:%d", l.File, l.Line)
		}
	}
	return ""
}

// lacking is what would be needed to judge a device by a pattern.
func lacking(at pattern, short string, d *Device) string {
	switch {
	case short != "":
		return input.Quote(short) + " is no full name"
	case d == nil:
		return "the inventory has no such device"
	case at.kind == "os":
		return "the inventory has no platform for it"
	}
	return "the inventory has no name for it"
}

// alsoCalled keeps a name by which --protect may know a device whose other line is
// the one to be sent. That line can be planned already, so a draft finds these names
// for the plan proper.
func (p *Plan) alsoCalled(row *input.Row) {
	if row.ID != "" && p.Request.Protect.minds(row.Name) && !slices.Contains(p.called[row.ID], row.Name) {
		p.called[row.ID] = append(p.called[row.ID], row.Name)
	}
}

// ErrOtherNames says that a plan needs another draft: the list or the protect files
// have changed since the last one.
var ErrOtherNames = errors.New("the list has names that no draft has found")

// sameNames refuses a list with such names that no draft has found.
func (p *Plan) sameNames() error {
	for id, names := range p.called {
		for _, name := range names {
			if !slices.Contains(p.Request.Called[id], name) {
				return errors.Join(&input.Problem{File: p.List, Kind: input.KindFile, Text: "it was changed while it was read", Hint: "give the command again"}, ErrOtherNames)
			}
		}
	}
	return nil
}
