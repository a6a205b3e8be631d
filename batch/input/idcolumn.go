package input

import (
	"fmt"
	"slices"
	"strings"
)

// id returns the column of the device ids. A column is trusted if it holds
// some and has a known name, or if it holds ids for the most part, damaged ones too;
// the most general name counts for no more than that. It returns none only for a list
// that may do without ids.
func (ch *chooser) id(l *layout) (int, error) {
	if ch.opt.IDColumn != "" {
		return ch.flagged("id", ch.opt.IDColumn)
	}
	known, trusted := ch.candidates()
	if len(known) == 1 && ch.cols[known[0]].plain == generalID {
		known, trusted = nil, append(known, trusted...)
	}
	switch {
	case len(known) == 1:
		return known[0], nil
	case len(known) > 1:
		return none, ch.ambiguous(known, l.header)
	case len(trusted) == 1:
		return trusted[0], nil
	case len(trusted) > 1:
		return none, ch.ambiguous(trusted, l.header)
	}
	return ch.withoutIDs(l)
}

// candidates returns the columns that hold ids: those with a known name, and
// those that are trusted for their values alone.
func (ch *chooser) candidates() (known, trusted []int) {
	for i, c := range ch.cols {
		switch {
		case c.ids > 0 && slices.Contains(idNames, c.plain):
			known = append(known, i)
		case c.ids > 0 && c.mostly(c.ids+c.damaged) && !otherName.MatchString(c.plain):
			trusted = append(trusted, i)
		}
	}
	return known, trusted
}

func (ch *chooser) ambiguous(candidates []int, header bool) error {
	hint := "say which one it is with --id-column"
	if !header {
		hint += "; if all of them are devices, write one id a line"
	}
	var b strings.Builder
	for i, c := range candidates {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (such as %s)", quote(ch.cols[c].name), quote(ch.cols[c].example))
	}
	return ch.refuse(KindColumn, fmt.Sprintf("%d columns hold what looks like device ids: %s", len(candidates), b.String()), hint)
}

// withoutIDs settles a list in which no cell of the sample is a device id: an
// empty one, one whose ids are all damaged, or a list of something else.
func (ch *chooser) withoutIDs(l *layout) (int, error) {
	i, err := ch.named("id", "", idNames)
	if err != nil {
		return none, err
	}
	for j, c := range ch.cols {
		if l.name == none && (j == i || !l.header) && c.mostly(c.damaged) {
			return j, nil // its cells are told about one by one
		}
	}
	if ch.opt.NamesOK {
		return none, nil
	}
	if i != none && !ch.cols[i].mostly(ch.cols[i].guids) {
		return i, nil // its cells are told about one by one
	}
	for _, c := range ch.cols {
		if c.mostly(c.guids) {
			return none, ch.refuseGUIDs(i)
		}
	}
	if l.name != none {
		return none, ch.refuse(KindName, fmt.Sprintf("a list of device names (column %s), no column holds device ids (40 hexadecimal characters)", quote(ch.cols[l.name].name)),
			resolveHint(ch.file))
	}
	if len(ch.cols) == 1 && !l.header {
		return 0, nil
	}
	return none, ch.refuse(KindColumn, "no column holds device ids (40 hexadecimal characters): its columns are "+quoteAll(l.names),
		"name the column with --id-column; for a list of device names, "+resolveHint(ch.file))
}

// refuseGUIDs refuses a list whose ids are another service's. id is the column
// that is called as Defender's, or none.
func (ch *chooser) refuseGUIDs(id int) error {
	if id == none {
		id = slices.IndexFunc(ch.cols, func(c column) bool { return c.mostly(c.guids) })
	}
	c := ch.cols[id]
	what := "its column %s holds GUIDs (such as %s), as Intune and Entra use them"
	switch {
	case ch.isEntra():
		what = "looks like an export of Entra devices: its column %s holds Entra device ids (such as %s)"
	case ch.isIntune():
		what = "looks like an export of Intune devices: its column %s holds Intune's ids (such as %s)"
	}
	return ch.refuse(KindGUID, fmt.Sprintf(what, quote(c.name), quote(c.example))+", not Defender device ids (40 hexadecimal characters)",
		resolveHint(ch.file))
}

// isEntra reports whether the columns are those of the Entra portal's download.
func (ch *chooser) isEntra() bool {
	return len(ch.withName("deviceid")) == 1 && len(ch.withName("objectid")) > 0
}

// isIntune reports whether the columns are some that Intune's export has.
func (ch *chooser) isIntune() bool {
	for _, name := range []string{"serialnumber", "primaryuserupn", "enrollmentdate", "lastcheckin"} {
		if len(ch.withName(name)) > 0 {
			return true
		}
	}
	return false
}

// entra returns the column of Entra device ids, or none. In Entra's own export
// it is called deviceId.
func (ch *chooser) entra() int {
	names := entraNames
	if ch.isEntra() {
		names = append([]string{"deviceid"}, names...)
	}
	for _, name := range names {
		for _, i := range ch.withName(name) {
			if ch.cols[i].guids > 0 {
				return i
			}
		}
	}
	return none
}

// namesOnly makes the best of a list without ids, for resolve: names in a
// column that is called as if it held ids, or in the only column there is, and
// GUIDs that nothing else explains are taken for Entra's.
func (ch *chooser) namesOnly(l *layout) {
	if l.id != none || l.name != none {
		return
	}
	i := slices.IndexFunc(ch.cols, func(c column) bool { return slices.Contains(idNames, c.plain) })
	if i < 0 && len(ch.cols) == 1 {
		i = 0
	}
	switch {
	case i < 0:
	case ch.cols[i].mostly(ch.cols[i].guids):
		if l.entra == none {
			l.entra = i
		}
	default:
		l.name = i
	}
}

// explain notes how the list is understood.
func (l *layout) explain(ch *chooser) {
	switch {
	case !l.header:
		l.notes = append(l.notes, "the first row is data, the list has no header")
	case l.guessed:
		l.notes = append(l.notes, "the first row is taken for the header and left out, though none of its names is known: "+quoteAll(l.names))
	case l.unsure:
		l.notes = append(l.notes, "the first row is taken for the header and left out: "+quoteAll(l.names))
	}
	if l.own {
		l.notes = append(l.notes, "the list is the result of an earlier run: of its columns only the ids, names and comments are taken, and those that came along")
	}
	for _, c := range []struct {
		what  string
		index int
	}{{"device id", l.id}, {"name", l.name}, {"comment", l.comment}, {"Entra device id", l.entra}} {
		if c.index != none {
			l.notes = append(l.notes, fmt.Sprintf("%s: column %s", c.what, quote(l.names[c.index])))
		}
	}
	if l.comment == none {
		l.notes = append(l.notes, "no column holds comments")
	}
}
