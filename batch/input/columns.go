package input

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Names of columns as programs and people write them, without case, spaces,
// '_' and '-'. Of several, the one that stands first in its list is taken.
var (
	idNames      = []string{"machineid", "deviceid", "id", "mdedeviceid", "defenderdeviceid"}
	nameNames    = []string{"computerdnsname", "devicename", "machinename", "computername", "hostname", "fqdn", "dnsname", "displayname", "name", "device", "computer", "machine", "host", "names", "devices", "computers", "machines", "hosts", "hostnames"}
	commentNames = []string{"comment", "comments", "kommentar", "commentaire", "comentario", "commento"}
	entraNames   = []string{"aaddeviceid", "azureaddeviceid", "entradeviceid", "microsoftentradeviceid", "entraid"}
)

// generalID is that of the names of id columns which any table may have, for its own
// rows. The API's machines have it.
const generalID = "id"

// otherName is in the names of columns whose values have the shape of device ids and
// are something else: hashes of files, which are SHA-1, and certificates; or the id
// of the record into which Defender has merged this one. A column of 40 digits is no
// SHA-256, whatever it is called, but no device id either.
var otherName = regexp.MustCompile("hash|thumb|cert|fingerprint|checksum|sha([0-9]|sum|$)|^merged")

// resultColumns are the columns of our own result CSV, in its order.
var resultColumns = []string{
	"Line", colID, colName, colComment, "Status", "Reason", "MachineActionId", "ActionStatus",
	"ActionRequestor", "ActionCreatedAt", "HttpStatus", "ErrorCode", "Error", "ErrorTarget",
	"RequestId", "Attempts", "SentAt", "AnsweredAt", "TenantId",
}

// plainName returns a column's name as it is compared, without what surrounds it: of
// lists that were joined, each may have its byte order mark.
func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\u00a0', '_', '-':
			return -1
		}
		return r
	}, strings.ToLower(trimID(s)))
}

// isKnown reports whether a cell is the name of a column that we look for.
func isKnown(cell string, opt Options) bool {
	name := plainName(cell)
	if name == "" {
		return false
	}
	for _, names := range [][]string{idNames, nameNames, commentNames, entraNames} {
		if slices.Contains(names, name) {
			return true
		}
	}
	return isFlagged(cell, opt)
}

// isIDName reports whether a cell is the name of a column of device ids.
func isIDName(cell string, opt Options) bool {
	name := plainName(cell)
	return name != "" && (slices.Contains(idNames, name) || name == plainName(opt.IDColumn))
}

// isFlagged reports whether a cell is the name of a column that a flag names.
func isFlagged(cell string, opt Options) bool {
	name := plainName(cell)
	return name != "" && slices.Contains([]string{plainName(opt.IDColumn), plainName(opt.CommentColumn), plainName(opt.NameColumn)}, name)
}

// MaxColumns is the number of columns that a list may have: more than any program
// exports, and few enough that a header of separators costs nothing.
const MaxColumns = 1000

// none is the index of a column that the list does not have.
const none = -1

// layout says which column is which.
type layout struct {
	header            bool // the first row is names, not data
	guessed           bool // it is taken for names, though none of them is known
	unsure            bool // or not all of them, nor that of the device ids: it may be a device
	names             []string
	id, name, comment int // indices, or none
	entra             int
	own               bool  // the list is a result CSV of ours
	dropped           []int // its columns that are not taken
	notes             []string
}

// column is what the sample says about one column.
type column struct {
	name    string // as in the list
	plain   string
	filled  int // cells that are not empty
	ids     int
	guids   int
	damaged int
	example string // the first id, or else the first filled cell
}

// mostly reports whether n of the column's cells are most of them.
func (c column) mostly(n int) bool { return n > 0 && n*2 > c.filled }

// chooser settles a layout. Its methods refuse with a *Problem.
type chooser struct {
	file string
	opt  Options
	cols []column
}

// choose settles which column is which, by the names in the header and the
// values in the sample.
func choose(file string, s sample, opt Options) (layout, error) {
	l := layout{id: none, name: none, comment: none, entra: none}
	l.header, l.guessed = hasHeader(s.rows, opt)
	ch := &chooser{file: file, opt: opt, cols: columns(s.rows, l.header)}
	for _, c := range ch.cols {
		l.names = append(l.names, c.name)
	}
	if len(ch.cols) > MaxColumns {
		return layout{}, ch.refuse(KindFile, fmt.Sprintf("the list has %d columns, the most is %d", len(ch.cols), MaxColumns),
			"leave out the columns that are not needed; if they are empty, delete the separators at the end of its first row")
	}
	if len(s.rows) == 0 {
		text, hint := "no row can be read", "check that it is a CSV file, and where its quotes are"
		if s.formulas {
			text, hint = text+textFormulas, hintFormula
		}
		return layout{}, ch.refuse(KindFile, text, hint)
	}
	if isShown(s.rows, opt) {
		return layout{}, ch.refuse(KindFile, "a table as PowerShell shows it (Out-File and > write that), not a CSV file", "write it with Export-Csv -NoTypeInformation")
	}
	hasIDs := slices.ContainsFunc(ch.cols, func(c column) bool { return c.ids > 0 })
	if inOneCell(s.rows, opt) && !hasIDs {
		return layout{}, ch.refuse(KindColumn, "each of its rows is one cell, with the cells of the list in it: "+quote(s.rows[0][0]),
			"take the list from its source again, or split the column in a spreadsheet (text to columns) and "+hintSave)
	}
	if sep := unread(s.rows, opt); sep != "" && !hasIDs {
		return layout{}, ch.refuse(KindColumn, fmt.Sprintf("its cells are separated by %s; commas, semicolons and tabs are read", quote(sep)),
			"put a line sep="+sep+" above its first, or "+hintSave)
	}
	if i := lateHeader(s.rows, opt); i != none {
		return layout{}, &Problem{File: file, Line: s.lines[i], Kind: KindHeader, Text: "looks like the header of the list, and stands below other rows: " + quoteAll(s.rows[i]),
			Hint: "delete the rows above it"}
	}
	l.takeOwn()
	var err error
	if !l.own || opt.CommentColumn != "" {
		if l.comment, err = ch.named("comment", opt.CommentColumn, commentNames); err != nil {
			return layout{}, err
		}
	}
	if !l.own || opt.NameColumn != "" {
		if l.name, err = ch.named("name", opt.NameColumn, nameNames); err != nil {
			return layout{}, err
		}
	}
	l.entra = ch.entra()
	if !l.own || opt.IDColumn != "" {
		if l.id, err = ch.id(&l); err != nil {
			return layout{}, err
		}
	}
	if opt.NamesOK {
		ch.namesOnly(&l)
	}
	if l.id == none && l.name == none && l.entra == none {
		return layout{}, ch.refuse(KindColumn, "no column holds device names, device ids or Entra device ids: its columns are "+quoteAll(l.names),
			"name the column with --name-column or --id-column")
	}
	l.unsure = l.header && l.entra == none && (l.id == none || !isKnown(l.names[l.id], opt)) &&
		slices.ContainsFunc(l.names, func(name string) bool { return name != "" && !isKnown(name, opt) })
	l.explain(ch)
	return l, nil
}

// takeOwn settles the columns of a result CSV of ours.
func (l *layout) takeOwn() {
	if l.own, l.dropped = ownResult(l.names); !l.own {
		return
	}
	l.id, l.name, l.comment = slices.Index(l.names, colID), slices.Index(l.names, colName), slices.Index(l.names, colComment)
	for i, name := range l.names {
		l.names[i] = Undefuse(name)
	}
}

func (ch *chooser) refuse(kind Kind, text, hint string) error {
	return &Problem{File: ch.file, Kind: kind, Text: text, Hint: hint}
}

// columns returns what the sample says about each column. Columns without a
// header are called as Excel calls them.
func columns(rows [][]string, header bool) []column {
	width := 0
	for _, row := range rows {
		width = max(width, len(row))
		if header {
			break
		}
	}
	cols := make([]column, width)
	for i := range cols {
		cols[i].name = fmt.Sprintf("Column%d", i+1)
		if header {
			cols[i].name = trimID(valid(rows[0][i]))
		}
		cols[i].plain = plainName(cols[i].name)
	}
	if header && len(rows) > 0 {
		rows = rows[1:]
	}
	for _, row := range rows {
		for i := range min(width, len(row)) {
			cols[i].add(trimID(row[i]))
			if isDamaged(row, i) {
				cols[i].damaged++
			}
		}
	}
	return cols
}

func (c *column) add(cell string) {
	if cell == "" {
		return
	}
	c.filled++
	switch {
	case isID(cell):
		if c.ids++; c.ids == 1 {
			c.example = cell
		}
	case guid.MatchString(cell):
		c.guids++
	}
	if c.example == "" {
		c.example = cell
	}
}

// ownResult reports whether all columns of our result CSV are there, and which
// of the columns are to be dropped. A column that bears the name of one of ours
// for the second time came along from the list of that run.
func ownResult(names []string) (bool, []int) {
	var dropped []int
	for _, name := range resultColumns {
		i := slices.Index(names, name)
		if i < 0 {
			return false, nil
		}
		if name != colID && name != colName && name != colComment {
			dropped = append(dropped, i)
		}
	}
	return true, dropped
}

// named returns the column that a flag names, or else the first whose name is
// among the known ones.
func (ch *chooser) named(what, flag string, known []string) (int, error) {
	if flag != "" {
		return ch.flagged(what, flag)
	}
	for _, name := range known {
		found := ch.withName(name)
		if len(found) > 1 {
			return none, ch.refuse(KindColumn, fmt.Sprintf("%d columns are called %s", len(found), quote(ch.cols[found[0]].name)),
				fmt.Sprintf("rename the ones that are not meant, or name another column with --%s-column", what))
		}
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return none, nil
}

// flagged returns the column that --id-column or one of its like names.
func (ch *chooser) flagged(what, flag string) (int, error) {
	found := ch.withName(plainName(flag))
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		var names []string
		for _, c := range ch.cols {
			names = append(names, c.name)
		}
		return none, ch.refuse(KindColumn, fmt.Sprintf("no column is called %s, as --%s-column says: its columns are %s", quote(flag), what, quoteAll(names)), "")
	}
	return none, ch.refuse(KindColumn, fmt.Sprintf("%d columns are called %s, as --%s-column says", len(found), quote(flag), what),
		"rename the ones that are not meant")
}

func (ch *chooser) withName(plain string) (found []int) {
	for i, c := range ch.cols {
		if c.plain == plain {
			found = append(found, i)
		}
	}
	return found
}
