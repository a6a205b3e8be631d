package batch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// work is a task in the hands of a run.
type work struct {
	checkpoint.Task
	tags     []string  // of all attempts since it was last taken up; empty for one without
	tagged   bool      // the call under way carries one
	look     time.Time // when to look it up next, while it is in doubt
	looks    int
	counted  checkpoint.Status // as which it is counted
	blocked  string            // the batch that has its device, and will not let go of it soon
	held     time.Time         // since when another batch has its device in flight
	requests int               // HTTP requests so far, those of earlier runs included
	sent     time.Time         // when the call under way was reserved
	jumps    int               // of the clock that were noticed when the call was launched
	offset   *offset           // that was known when calls of former runs were reserved; nil: none, or not one
	epoch    int               // of the run, when its call began
	placed   bool              // among those that a canary is made of
	gone     *row              // in which it was when this run first heard that it is not known
}

// since is when the oldest call was reserved whose effect is not known, or was
// not: reads may lag for longer than is waited for, and what an earlier call made
// is looked for with every later one. Zero: no clock says when that was.
func (w *work) since(now time.Time) time.Time {
	if !w.DoubtUntil.IsZero() {
		return w.DoubtSince
	}
	if !w.sent.IsZero() && w.sent.Before(now) { // else the clock was set back meanwhile
		return w.sent
	}
	return now
}

// ours says whether an action carries the tag of one of the task's attempts.
func (w *work) ours(a defender.MachineAction) bool {
	return slices.ContainsFunc(w.tags, func(tag string) bool { return carries(a, tag) })
}

// untagged says whether the last attempt carries no tag, whatever others do.
func (w *work) untagged() bool { return len(w.tags) > 0 && w.tags[len(w.tags)-1] == "" }

// another says whether an action is of another device than the task's, as it
// says itself, or the answer to the call did.
func (w *work) another(a defender.MachineAction) bool {
	if a.MachineID == "" {
		return strings.HasPrefix(w.Reason, reasonAnother)
	}
	return !strings.EqualFold(a.MachineID, w.Device)
}

func carries(a defender.MachineAction, tag string) bool {
	return tag != "" && strings.Contains(a.RequestorComment, "["+tag+"]")
}

// comment is what is sent: the line's comment and the attempt's tag, by which
// the action is known again.
func comment(text, tag string) string {
	if tag == "" {
		return text
	}
	return text + " [" + tag + "]"
}

// tagIn finds the tag of the attempt that made an action: what comment has put
// at the end. Tags before it came along with a comment that somebody copied.
func tagIn(comment string) string {
	i := strings.LastIndex(comment, "[mdo-")
	if i < 0 {
		return ""
	}
	tag, _, _ := strings.Cut(comment[i+1:], "]")
	return tag
}

// hresult writes an error code as support asks for it.
func hresult(code int64) string { return fmt.Sprintf("%d (0x%08X)", code, uint32(code)) }

// apply carries a change that is on the disk into the task at hand.
func (w *work) apply(c checkpoint.TaskChange) {
	set(&w.Reason, c.Reason)
	set(&w.Attempts, c.Attempts)
	set(&w.Tries404, c.Tries404)
	set(&w.NotBefore, c.NotBefore)
	set(&w.DoubtSince, c.DoubtSince)
	set(&w.DoubtUntil, c.DoubtUntil)
	set(&w.Action, c.Action)
	set(&w.Taken, c.Taken)
	set(&w.Withdrawn, c.Withdrawn)
	if c.Status != "" {
		w.Status = c.Status
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}
