package batch

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"mde-offboard/batch/checkpoint"
)

// The kinds of reason for which a device is held back: the reason's beginning,
// up to the colon.
const (
	heldBefore    = "accepted before"
	heldProtected = "protected"
	heldPerhaps   = "perhaps protected"
	heldOtherName = "other name"
	heldMerged    = "merged"
	heldNotOn     = "not onboarded"
	heldRecent    = "recently seen"
)

// The kinds of warning about a device that is sent all the same.
const (
	warnUnknown  = "not in the inventory"
	warnPlatform = "doubtful platform"
	warnBusy     = "in flight or in doubt in another batch"
)

// hold says why a device is not to be sent now, empty if it is. It gives the
// line the name that the inventory knows, if the list has none.
func (p *Plan) hold(l *checkpoint.Line) (why string) {
	req := &p.Request
	known, d := req.known(l.Device)
	why, named := p.protected(l, d), l.Name
	if d != nil && named == "" {
		l.Name = d.Name
	}
	if why != "" {
		return why
	}
	if d == nil {
		if !known {
			p.warn(warnUnknown, l, "")
		}
		return ""
	}
	if why := otherName(named, d); why != "" {
		return why
	}
	switch {
	case d.MergedInto != "":
		return fmt.Sprintf("%s: into %s", heldMerged, d.MergedInto)
	case d.Onboarding != "" && !d.Onboarded():
		return fmt.Sprintf("%s: %s", heldNotOn, d.Onboarding)
	case req.RecentlySeen > 0 && d.LastSeen.IsZero():
		return heldRecent + ": perhaps, the inventory does not say when"
	case req.RecentlySeen > 0 && req.Inventory.asked().Sub(d.LastSeen) < req.RecentlySeen:
		return fmt.Sprintf("%s: %s", heldRecent, d.LastSeen.UTC().Format(time.RFC3339))
	}
	if !offboards(d.Platform) {
		p.warn(warnPlatform, l, d.Platform)
	}
	return ""
}

// otherName says that the list means another device than the one that bears the id,
// empty if it does not, or if that is not known.
func otherName(named string, d *Device) string {
	if d == nil || !isName(named) || d.Name == "" || label(named) == label(d.Name) {
		return ""
	}
	return fmt.Sprintf("%s: the inventory knows this id as %s", heldOtherName, d.Name)
}

// known finds a device in the inventory; without an inventory all are known.
func (req *Request) known(id string) (known bool, d *Device) {
	if req.Inventory == nil {
		return true, nil
	}
	if found, ok := req.Inventory.Find(id); ok {
		return true, &found
	}
	return false, nil
}

// tooOld are platforms of Windows that Defender cannot offboard. Later ones than
// those of the table are taken for able: the list of platforms is not closed.
var tooOld = []string{"windowsxp", "windowsvista", "windows7", "windows8", "windows81", "windows8.1",
	"windowsserver2003", "windowsserver2008", "windowsserver2008r2", "windowsserver2012"}

// offboards says whether a platform is documented to take the offboard call. The
// server decides; an empty one says nothing.
func offboards(platform string) bool {
	platform = strings.ToLower(strings.ReplaceAll(platform, " ", ""))
	return platform == "" || strings.HasPrefix(platform, "windows") && !slices.Contains(tooOld, platform)
}

// elsewhere says why a device is left to another batch, and marks it with the
// action that it has there.
func (p *Plan) elsewhere(l *checkpoint.Line, old *checkpoint.Task) (why string) {
	other, ok := p.Request.Elsewhere[l.Device]
	switch {
	case !ok:
		return ""
	case other.Status != checkpoint.Accepted:
		p.warn(warnBusy, l, fmt.Sprintf("%s in batch %q", other.Status, other.Batch))
		return ""
	case p.Request.Again:
		return ""
	}
	if action := other.Action; old.Action != action {
		p.tasks = append(p.tasks, checkpoint.TaskChange{N: l.N, Action: &action})
	}
	return fmt.Sprintf("%s, in batch %q", heldBefore, other.Batch)
}

// Tally counts the lines of a kind and tells of the first ones.
type Tally struct {
	Count int      `json:"count"`
	First []string `json:"first"`
}

// firstOf is how many lines of a kind are told of.
const firstOf = 5

func addTo(m map[string]*Tally, kind string, l *checkpoint.Line, about string) {
	t := m[kind]
	if t == nil {
		t = &Tally{}
		m[kind] = t
	}
	t.Count++
	if len(t.First) == firstOf {
		return
	}
	who := l.Device
	if l.Name != "" {
		who = l.Name + " (" + l.Device + ")"
	}
	if about != "" {
		who += ": " + about
	}
	t.First = append(t.First, oneLine(fmt.Sprintf("%s:%d: %s", l.File, l.Line, who)))
}

// oneLine has spaces for what would begin a line or change how it looks: lists and
// inventories name devices as they like, and no name may write a line of the plan.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

func (p *Plan) warn(kind string, l *checkpoint.Line, about string) { addTo(p.Warned, kind, l, about) }
