package batch

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// maxProblems is how many bad lines are kept to be named; the rest is counted.
const maxProblems = 1000

// Request is what a plan is made for.
type Request struct {
	Name    string // of the batch
	Comment string // for lines without one

	SkipInvalid bool
	Again       bool                // take up what was accepted or is done, too
	Retry       []checkpoint.Status // refused, failed: take those up again; failed: also those whose action has
	Unseen      bool                // actions cannot be read: none is known to be open

	MaxDevices   int           // 0: any number
	MaxPercent   float64       // of the onboarded inventory; 0 or 100: all of it
	RecentlySeen time.Duration // hold back what was seen within it; 0: nothing
	Protect      *Protection   // nil: nothing
	Canary       int           // so many first, then ask again; 0: all at once
	Settings     string        // of the run that the digest holds it to, beside all of these

	Inventory *Inventory                 // nil: no device is checked
	Elsewhere map[string]checkpoint.Busy // devices that other batches have
	Called    map[string][]string        // names that other lines of a device have and that --protect minds; Draft finds them
}

// Plan is what a run would do, and what it changes in the batch's tasks.
type Plan struct {
	Request    Request
	Batch      checkpoint.Batch // as it is in the checkpoint; ID 0: a new one, or not known in a draft
	List       string
	ListDigest string
	Columns    []string
	Notes      []string

	Lines      int // of the list
	Duplicates int
	Invalid    int
	Held       map[string]*Tally         // kind of reason → lines that are held back
	Warned     map[string]*Tally         // kind of doubt → lines that are sent all the same
	Done       map[checkpoint.Status]int // of earlier runs
	InDoubt    int
	ToDo       int // devices that would be called
	Answered   int // devices called since the batch was last added to of which no more is to be learnt
	Added      int // lines that an earlier run did not know
	Withdrawn  int // tasks that were not sent and are no longer in the list
	Gone       int // tasks that were sent and are no longer in the list
	Recomment  int // tasks with another comment than before

	Problems []*input.Problem
	Bad      int // all of them
	Told     int // of these, those that Problems tells of in one

	round    round
	todo     hash.Hash // of what is to be done and looked up
	changes  lines
	tasks    []checkpoint.TaskChange // what changes beside the lines
	keep     map[int64]string        // why a task in doubt is not to be called again
	heirs    map[string]pattern      // records that stand for protected ones
	called   map[string][]string     // as of Request, from the lines that were read
	unjudged string                  // what of --protect is open without an inventory
	open     int                     // devices that were to be taken up again and have an open action
	unseen   int                     // taken up by --again with an action that was open, of which nobody can read what became of it
	anew     int                     // devices to do that were not pending before
	doubts   int                     // devices called since the batch was last added to that are to be looked up
	older    int                     // devices called before that, which may be called again once they are looked up
	silent   int                     // lines that lack nothing but a comment
	spoken   bool                    // some line has a comment
}

// lister is a list or several, read as one.
type lister interface {
	Next() (*input.Row, error)
	Columns() []string
	Notes() []string
	Digest() string
}

// MakePlan reads a list to its end and holds it against what the checkpoint
// knows of the batch. Lines are matched by device and not by position: what was
// sent stays sent, wherever it stands now.
func MakePlan(list lister, name string, b checkpoint.Batch, have []checkpoint.Task, req Request) (*Plan, error) {
	p := newPlan(list, name, req)
	p.Batch = b
	if err := p.read(list, have); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close drops what the plan changes, which can be large. All else stays.
func (p *Plan) Close() error { return p.changes.close() }

// Draft plans a list as a new batch to judge the list alone: such a plan cannot
// be run, and takes a fraction of the memory.
func Draft(list lister, name string, req Request) (*Plan, error) {
	p := newPlan(list, name, req)
	p.changes.none = true
	p.Request.Called = p.called // found as it reads
	return p, p.read(list, nil)
}

// Drafted says whether the plan is of the list alone, by Draft: whether its batch is
// new is not known then.
func (p *Plan) Drafted() bool { return p.changes.none }

func newPlan(list lister, name string, req Request) *Plan {
	return &Plan{Request: req, List: name, Columns: list.Columns(),
		heirs: req.Protect.heirs(req.Inventory), called: map[string][]string{},
		todo: sha256.New(), Held: map[string]*Tally{}, Warned: map[string]*Tally{}, Done: map[checkpoint.Status]int{}, keep: map[int64]string{}}
}

// read reads the list to its end.
func (p *Plan) read(list lister, have []checkpoint.Task) error {
	m := newMatcher(have)
	p.round = roundOf(p.Batch, have)
	var seen input.Seen
	for {
		row, err := list.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		p.Lines++
		if p.add(m, &seen, row); p.changes.err != nil {
			return p.changes.err
		}
	}
	for i := range m.late {
		old, known := m.take(m.late[i].Device)
		p.match(m, &m.late[i], old, known)
	}
	p.ListDigest, p.Notes = list.Digest(), list.Notes()
	if isPortalExport(p.Columns) {
		p.note("an export of the portal's device list: it holds every device of the tenant, whatever was filtered on the screen")
	}
	for _, at := range p.Request.Protect.Idle(p.Request.Inventory) {
		p.note("protects no device of the inventory: " + at)
	}
	if p.unseen > 0 {
		p.note(countOf(p.unseen, "device") + " will be called again whose action was open when it was last seen, since actions cannot be read")
	}
	if p.open > 0 {
		p.note(countOf(p.open, "device") + " with an open action: not taken up again")
	}
	p.sayOnce()
	p.withdraw(m)
	p.round.next(p.Batch)
	p.countCanary(have)
	p.sayCanary()
	return errors.Join(p.sameNames(), p.changes.err)
}

// add plans one line.
func (p *Plan) add(m *matcher, seen *input.Seen, row *input.Row) {
	if row.Comment == "" {
		row.Comment = p.Request.Comment
	}
	p.spoken = p.spoken || row.Comment != ""
	if row.Problem == nil && row.Comment == "" {
		p.silent++
		row.Problem = &input.Problem{File: row.File, Line: row.Line, Column: 1, Kind: input.KindComment, Text: noComment,
			Hint: `--comment "why" is used for lines without one`}
	}
	l := checkpoint.Line{Position: int64(p.Lines), File: row.File, Line: row.Line, Device: row.ID, Name: row.Name,
		Comment: row.Comment, Extra: row.Extra}
	switch {
	case row.Problem != nil:
		p.bad(row.Problem)
		p.Invalid++
		p.alsoCalled(row)
		if l.Device == "" {
			l.Device = row.Instead
		}
		l.Status, l.Reason = checkpoint.Skipped, "invalid: "+row.Problem.Text
	default:
		if file, line, dup := seen.Add(row.ID, row.File, row.Line); dup {
			p.alsoCalled(row)
			p.duplicate(&l, duplicateOf(file, line, row.File))
		}
	}
	if m.wait(&l, row.Problem != nil) {
		return
	}
	old, known := m.take(l.Device)
	p.match(m, &l, old, known)
}

// duplicate skips a line whose device another line has. If it means another device it
// says that instead: that one is not sent, and its owner is not to think so.
func (p *Plan) duplicate(l *checkpoint.Line, why string) {
	_, d := p.Request.known(l.Device)
	if other := otherName(l.Name, d); other != "" {
		p.heldBack(l, other)
		return
	}
	p.Duplicates++
	l.Status, l.Reason = checkpoint.Skipped, why
}

// match plans what changes of the task that a line belongs to.
func (p *Plan) match(m *matcher, l *checkpoint.Line, old *checkpoint.Task, known bool) {
	if !known {
		l.N = m.fresh()
		if m.resumed {
			p.Added++
		}
	} else {
		l.N = old.N
	}
	switch {
	case l.Status == "": // a device to be offboarded
		p.device(l, old, known)
	case known && hasResult(old):
		p.stays(l, old)
	}
	if l.Name == "" {
		l.Name = old.Name // which may be the inventory's
	}
	if !known || differs(l, old) {
		p.changes.add(l)
	}
}

// stays leaves a task its result although its line cannot be used any more. One
// in doubt is looked up, and not called again.
func (p *Plan) stays(l *checkpoint.Line, old *checkpoint.Task) {
	p.lookedUpOnly(old, l.Reason)
	l.Status, l.Reason, l.Comment = "", "", old.Comment
}

// lookedUpOnly keeps a task that is in doubt from being called again.
func (p *Plan) lookedUpOnly(t *checkpoint.Task, why string) {
	if t.Status == checkpoint.Sending || t.Status == checkpoint.InDoubt {
		p.InDoubt++
		p.keep[t.N] = why
	}
}

// device plans a line with a device of its own.
func (p *Plan) device(l *checkpoint.Line, old *checkpoint.Task, known bool) {
	status, again := checkpoint.Pending, false
	if known {
		status = old.Status
	}
	switch {
	case status == checkpoint.Sending, status == checkpoint.InDoubt, isLookedUp(old):
		p.InDoubt++
		p.remember('?', l.N)
		l.Comment = old.Comment
		switch why := p.holdOf(l, old); {
		case why != "":
			p.keep[l.N] = why
		case old.Withdrawn > 0:
			p.tasks = append(p.tasks, checkpoint.TaskChange{N: l.N, Withdrawn: ptr(int64(0))})
		}
		return
	case status != checkpoint.Pending:
		// Tasks that a plan held back, whatever they were before, go on as they are.
		if again = hasResult(old); again && !p.takeUp(old) {
			p.Done[status]++
			l.Comment = old.Comment
			return
		}
	}
	if why := p.elsewhere(l, old); why != "" {
		p.heldBack(l, why)
		return
	}
	if why := p.holdOf(l, old); why != "" {
		p.heldBack(l, why)
		if again { // it stays what it was
			l.Status, l.Reason, l.Comment = "", "", old.Comment
		}
		return
	}
	if known && old.Comment != l.Comment {
		p.Recomment++
	}
	p.ToDo++
	p.remember('!', l.N)
	if !known || status != checkpoint.Pending {
		p.anew++
	}
	p.round.added = p.round.added || old.Position == 0 // new, or back
	switch {
	case again, old.Withdrawn > 0:
		p.round.taken = true
		p.reset(old)
	case old.Action.ID != "": // of another batch, which held it back until now
		p.tasks = append(p.tasks, checkpoint.TaskChange{N: l.N, Action: &checkpoint.Action{}})
	}
	if status != checkpoint.Pending {
		l.Status = checkpoint.Pending
	}
}

// remember has the digest cover what becomes of a task.
func (p *Plan) remember(what byte, n int64) {
	p.todo.Write(binary.LittleEndian.AppendUint64([]byte{what}, uint64(n)))
}

// heldBack skips a line for a reason.
func (p *Plan) heldBack(l *checkpoint.Line, why string) {
	l.Status, l.Reason = checkpoint.Skipped, why
	kind, about, _ := strings.Cut(why, ":")
	kind, _, _ = strings.Cut(kind, ",")
	addTo(p.Held, kind, l, strings.TrimSpace(about))
}

// differs says whether a line changes what is known of its task.
func differs(l *checkpoint.Line, t *checkpoint.Task) bool {
	return l.Position != t.Position || l.File != t.File || l.Line != t.Line || l.Name != t.Name || l.Comment != t.Comment ||
		!slices.Equal(l.Extra, t.Extra) || l.Status != "" && (l.Status != t.Status || l.Reason != t.Reason)
}

const withdrawn = "withdrawn: no longer in the list"

// withdraw takes out what is no longer in the list and was not sent. What was
// sent and is in doubt is looked up, and not called again.
func (p *Plan) withdraw(m *matcher) {
	for _, t := range m.rest() {
		l := checkpoint.Line{N: t.N, File: t.File, Line: t.Line, Device: t.Device, Name: t.Name, Comment: t.Comment,
			Extra: moved(t.Extra, p.Batch.Columns, p.Columns)}
		switch t.Status {
		case checkpoint.Pending:
			p.Withdrawn++
			l.Status, l.Reason = checkpoint.Skipped, withdrawn
		case checkpoint.Skipped:
		default:
			p.lookedUpOnly(t, withdrawn)
			p.Gone++
		}
		if differs(&l, t) {
			p.changes.add(&l)
		}
	}
}

// moved puts the cells of a row that left the list under the list's columns as
// they are now, by their names. Cells of a column that has left, too, are dropped.
func moved(cells, from, to []string) []string {
	if len(cells) == 0 || slices.Equal(from, to) {
		return cells
	}
	out, taken := make([]string, len(to)), make([]bool, len(to))
	for i, name := range from[:min(len(from), len(cells))] {
		for j := range to {
			if to[j] == name && !taken[j] {
				out[j], taken[j] = cells[i], true
				break
			}
		}
	}
	if !slices.Contains(taken, true) {
		return nil
	}
	return out
}

// Nothing says whether there is nothing to do.
func (p *Plan) Nothing() bool { return p.ToDo+p.InDoubt == 0 }

// Changed says whether the plan changes anything in the checkpoint.
func (p *Plan) Changed() bool { return p.changes.n+len(p.tasks) > 0 }
