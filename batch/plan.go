package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	Retry       []checkpoint.Status // refused, failed: take those up again
	MaxDevices  int

	// Hold says of a device why it is not to be sent now, empty if it is; nil
	// sends all. It is asked once for each device that is to be sent.
	Hold func(checkpoint.Line) (reason string)
}

// Plan is what a run would do, and what it changes in the batch's tasks.
type Plan struct {
	Request    Request
	Batch      checkpoint.Batch // as it is in the checkpoint; ID 0: a new one
	List       string
	ListDigest string
	Columns    []string
	Notes      []string

	Lines      int // of the list
	Duplicates int
	Invalid    int
	Held       map[string]int            // kind of reason → lines that are held back
	Done       map[checkpoint.Status]int // of earlier runs
	InDoubt    int
	ToDo       int // devices that would be called
	Added      int // lines that an earlier run did not know
	Withdrawn  int // tasks that were not sent and are no longer in the list
	Gone       int // tasks that were sent and are no longer in the list
	Recomment  int // tasks with another comment than before

	Problems []*input.Problem
	Bad      int // all of them

	changes []checkpoint.Line
	resets  []checkpoint.TaskChange
}

// lister is a list or several, read as one.
type lister interface {
	Next() (input.Row, error)
	Columns() []string
	Notes() []string
	Digest() string
}

// MakePlan reads a list to its end and holds it against what the checkpoint
// knows of the batch. Lines are matched by device and not by position: what was
// sent stays sent, wherever it stands now.
func MakePlan(list lister, name string, b checkpoint.Batch, have []checkpoint.Task, req Request) (*Plan, error) {
	p := &Plan{Request: req, Batch: b, List: name, Columns: list.Columns(),
		Held: map[string]int{}, Done: map[checkpoint.Status]int{}}
	m := newMatcher(have)
	var seen input.Seen
	for {
		row, err := list.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		p.Lines++
		p.add(m, &seen, row)
	}
	p.ListDigest, p.Notes = list.Digest(), list.Notes()
	p.withdraw(m)
	return p, nil
}

// add plans one line.
func (p *Plan) add(m *matcher, seen *input.Seen, row input.Row) {
	if row.Comment == "" {
		row.Comment = p.Request.Comment
	}
	if row.Problem == nil && row.Comment == "" {
		row.Problem = &input.Problem{File: row.File, Line: row.Line, Column: 1, Kind: input.KindComment,
			Text: "no comment, and Defender requires one", Hint: `--comment "why" is used for lines without one`}
	}
	l := checkpoint.Line{Position: int64(p.Lines), File: row.File, Line: row.Line, Device: row.ID, Name: row.Name,
		Comment: row.Comment, Extra: row.Extra}
	switch {
	case row.Problem != nil:
		p.bad(row.Problem)
		p.Invalid++
		if l.Device == "" {
			l.Device = row.Problem.Text
		}
		l.Status, l.Reason = checkpoint.Skipped, "invalid: "+row.Problem.Text
	default:
		if file, line, dup := seen.Add(row.ID, row.File, row.Line); dup {
			p.Duplicates++
			l.Status, l.Reason = checkpoint.Skipped, duplicateOf(file, line, row.File)
		}
	}
	p.match(m, l)
}

func duplicateOf(file string, line int, here string) string {
	if file == here {
		return fmt.Sprintf("duplicate of line %d", line)
	}
	return fmt.Sprintf("duplicate of %s:%d", file, line)
}

func (p *Plan) bad(problem *input.Problem) {
	p.Bad++
	if len(p.Problems) < maxProblems {
		p.Problems = append(p.Problems, problem)
	}
}

// match finds the task that the line belongs to and plans what changes.
func (p *Plan) match(m *matcher, l checkpoint.Line) {
	old, known := m.take(l.Device)
	if !known {
		l.N = m.fresh()
		if m.resumed {
			p.Added++
		}
	} else {
		l.N = old.N
	}
	if l.Status == "" { // a device to be offboarded
		p.device(&l, old, known)
	}
	if !known || differs(l, old) {
		p.changes = append(p.changes, l)
	}
}

// device plans a line with a device of its own.
func (p *Plan) device(l *checkpoint.Line, old checkpoint.Task, known bool) {
	status := checkpoint.Pending
	if known {
		status = old.Status
	}
	switch status {
	case checkpoint.Sending, checkpoint.InDoubt:
		p.InDoubt++
		l.Comment = old.Comment
		return
	case checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Refused, checkpoint.Failed:
		if !p.takeUp(status) {
			p.Done[status]++
			l.Comment = old.Comment
			return
		}
		p.reset(old.N)
	case checkpoint.Skipped:
		if old.Attempt != 0 || old.Action.ID != "" { // Defender has an action of it
			if !p.Request.Again {
				p.Done[status]++
				return
			}
			p.reset(old.N)
		}
	}
	if known && old.Comment != l.Comment {
		p.Recomment++
	}
	if p.Request.Hold != nil {
		if why := p.Request.Hold(*l); why != "" {
			kind, _, _ := strings.Cut(why, ":")
			p.Held[kind]++
			l.Status, l.Reason = checkpoint.Skipped, why
			return
		}
	}
	p.ToDo++
	if status != checkpoint.Pending {
		l.Status = checkpoint.Pending
	}
}

// takeUp says whether a final status is asked to be taken up again.
func (p *Plan) takeUp(s checkpoint.Status) bool {
	switch s {
	case checkpoint.Accepted, checkpoint.AlreadyActive:
		return p.Request.Again
	}
	return slices.Contains(p.Request.Retry, s)
}

// reset gives a task its attempts back.
func (p *Plan) reset(n int64) {
	p.resets = append(p.resets, checkpoint.TaskChange{N: n, Status: checkpoint.Pending, Reason: ptr(""), Attempts: ptr(0),
		Tries404: ptr(0), NotBefore: ptr(time.Time{}), Action: &checkpoint.Action{}})
}

// differs says whether a line changes what is known of its task.
func differs(l checkpoint.Line, t checkpoint.Task) bool {
	return l.Position != t.Position || l.File != t.File || l.Line != t.Line || l.Name != t.Name || l.Comment != t.Comment ||
		!slices.Equal(l.Extra, t.Extra) || l.Status != "" && (l.Status != t.Status || l.Reason != t.Reason)
}

// withdraw takes out what is no longer in the list and was not sent.
func (p *Plan) withdraw(m *matcher) {
	for _, t := range m.rest() {
		l := checkpoint.Line{N: t.N, File: t.File, Line: t.Line, Device: t.Device, Name: t.Name, Comment: t.Comment, Extra: t.Extra}
		switch t.Status {
		case checkpoint.Pending:
			p.Withdrawn++
			l.Status, l.Reason = checkpoint.Skipped, "withdrawn: no longer in the list"
		case checkpoint.Skipped:
		case checkpoint.Sending, checkpoint.InDoubt:
			p.InDoubt++
			p.Gone++
		default:
			p.Gone++
		}
		if differs(l, t) {
			p.changes = append(p.changes, l)
		}
	}
}

// Refused says why the plan must not be run as it is, or nil.
func (p *Plan) Refused() *Stop {
	switch {
	case p.Lines == 0:
		return &Stop{Why: p.List + " has no lines", Code: CodeUsage}
	case p.Bad > 0 && !p.Request.SkipInvalid:
		return &Stop{Why: fmt.Sprintf("%d of %d lines cannot be used", p.Bad, p.Lines), Code: CodeUsage,
			Hint: "correct them, or give --skip-invalid to leave them out; nothing was sent"}
	case p.Request.MaxDevices > 0 && p.ToDo > p.Request.MaxDevices:
		return &Stop{Why: fmt.Sprintf("%d devices are to be offboarded, more than --max-devices %d allows", p.ToDo, p.Request.MaxDevices), Code: CodeUsage,
			Hint: fmt.Sprintf("if the list is right, give --max-devices %d; nothing was sent", p.ToDo)}
	}
	return nil
}

// Nothing says whether there is nothing to do.
func (p *Plan) Nothing() bool { return p.ToDo+p.InDoubt == 0 }

// Digest names exactly this plan for this target: run --plan compares it.
func (p *Plan) Digest(key checkpoint.Key, host string) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	enc.Encode([]any{key, host, p.Request.Name, p.Request.Comment, p.Request.Again, p.Request.Retry, p.Request.SkipInvalid,
		p.Batch.Events, p.ListDigest, p.Columns, p.ToDo, p.InDoubt})
	for _, l := range p.changes {
		enc.Encode(l)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// matcher finds the task of a line: that of the same device, the first for its
// first line, the second for a duplicate.
type matcher struct {
	byDevice map[string][]checkpoint.Task
	next     int64
	resumed  bool
	order    []string
}

func newMatcher(have []checkpoint.Task) *matcher {
	m := &matcher{byDevice: map[string][]checkpoint.Task{}, resumed: len(have) > 0}
	for _, t := range have {
		if m.byDevice[t.Device] == nil {
			m.order = append(m.order, t.Device)
		}
		m.byDevice[t.Device] = append(m.byDevice[t.Device], t)
		m.next = max(m.next, t.N)
	}
	for _, ts := range m.byDevice {
		// The task that was or would be sent comes first, the skipped ones after.
		slices.SortStableFunc(ts, func(a, b checkpoint.Task) int { return weight(a) - weight(b) })
	}
	return m
}

func weight(t checkpoint.Task) int {
	switch {
	case t.Attempt != 0 || t.Action.ID != "":
		return 0
	case t.Status != checkpoint.Skipped:
		return 1
	}
	return 2
}

func (m *matcher) take(device string) (checkpoint.Task, bool) {
	ts := m.byDevice[device]
	if len(ts) == 0 {
		return checkpoint.Task{}, false
	}
	m.byDevice[device] = ts[1:]
	return ts[0], true
}

func (m *matcher) fresh() int64 { m.next++; return m.next }

// rest are the tasks that no line was found for, in their order.
func (m *matcher) rest() (left []checkpoint.Task) {
	for _, device := range m.order {
		left = append(left, m.byDevice[device]...)
	}
	slices.SortFunc(left, func(a, b checkpoint.Task) int { return int(a.N - b.N) })
	return left
}

// Changed says whether the plan changes anything in the checkpoint.
func (p *Plan) Changed() bool { return len(p.changes)+len(p.resets) > 0 }
