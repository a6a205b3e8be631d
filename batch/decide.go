package batch

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// next is what becomes of a task after a call.
type next int

const (
	done    next = iota // nothing more
	ready               // again as soon as there is a slot, and no outage
	back                // the same, behind all others: it was turned away
	later               // again, not before its time
	settle              // look it up before anything else
	stopRun             // the run ends here
)

// verdict is what one call means.
type verdict struct {
	next next
	task checkpoint.TaskChange
	word string // for the attempt
	stop *Stop
	// answered says that Defender took the call and answered it, with whatever:
	// nothing is held up.
	answered bool
	// trouble is set in an outage, whatever becomes of the task: it is no fault of
	// the device, and spends none of its attempts.
	trouble error
}

func ptr[T any](v T) *T { return &v }

// decide says what the outcome of an offboard call means for its task. It is
// pure: now is when the call was over, as we see it.
func (o *Options) decide(w *work, a defender.MachineAction, x defender.Exchange, err error, now time.Time) verdict {
	v := verdict{word: defender.ClassOf(err).String(), answered: answered(err),
		task: checkpoint.TaskChange{N: w.N, Reason: ptr("")}}
	spent := func() { v.task.Attempts = ptr(w.Attempts + 1) }
	if err == nil {
		spent()
		v.accept(w, a, x)
		return v
	}
	var e *defender.Error
	errors.As(err, &e)
	class := defender.ClassOf(err)
	switch class {
	case defender.Refused:
		spent()
		v.task.Status, v.task.Reason = checkpoint.Refused, ptr(reason(e))
	case defender.AlreadyActive:
		// The open action is looked up: it may be one of ours.
		spent()
		v.task.Status, v.task.Reason = checkpoint.AlreadyActive, ptr(reasonLookup)
		if o.NoReads {
			v.task.Reason = ptr("an action is open already" + noReads)
			break
		}
		v.next = settle
		v.task.DoubtSince, v.task.DoubtUntil = ptr(w.since(now)), ptr(now)
	case defender.NotFound:
		spent()
		if w.Tries404 == 0 { // false ones happen, and go away
			v.next = later
			v.task.Status, v.task.Tries404, v.task.NotBefore = checkpoint.Pending, ptr(1), ptr(now.Add(2*time.Second))
			break
		}
		v.task.Status, v.task.Reason = checkpoint.Refused, ptr(reason(e))
	case defender.Forbidden:
		spent()
		v.task.Status, v.task.Reason = checkpoint.Refused, ptr(reason(e))
	case defender.Throttled, defender.Unauthorized:
		if v.next = ready; class == defender.Throttled {
			v.next = back
		}
		v.task.Status = checkpoint.Pending
	case defender.Outage, defender.NotSent:
		if v.next, v.trouble = ready, err; class == defender.Outage {
			v.next = back
		}
		v.task.Status = checkpoint.Pending
		if w.Attempts > 0 { // a message of an earlier attempt stays
			v.task.Reason = nil
		}
	case defender.WrongDevice:
		spent()
		v.doubt(w, now, o)
		v.task.Reason = ptr(reasonAnother + "; look the device up in the portal")
		v.next = stopRun
		v.stop = &Stop{Why: "Defender answered for another device than the one that was named", Err: err, Code: CodeGuard,
			Hint: "look the device up in the portal; the same command looks for its action and goes on"}
	case defender.BadIdentity:
		v.next = stopRun
		v.task.Status = checkpoint.Pending
		v.stop = &Stop{Why: "authorization lost", Err: err, Code: CodeGuard, Hint: hint(err)}
	default: // in doubt, and whatever has no name yet
		if v.doubt(w, now, o); busy(err) {
			v.trouble = err
			break
		}
		spent()
	}
	return v
}

// reasonLookup marks a task whose open action is not known yet.
const reasonLookup = "an action is open already; looking it up"

// isLookedUp says whether a task's open action is not known yet.
func isLookedUp(t *checkpoint.Task) bool {
	return t.Status == checkpoint.AlreadyActive && t.Reason == reasonLookup
}

// reasonAnother begins the reason of a task for which Defender made an action of
// another device. It stays in doubt until the action is found to be right.
const reasonAnother = "Defender answered for another device"

func anotherReason(a defender.MachineAction) string {
	return fmt.Sprintf("%s: action %s, made by this call, names %s; look it up in the portal", reasonAnother, a.ID, cmp.Or(a.MachineID, "none"))
}

// noReads is what to do about a task that cannot be looked up.
const noReads = "; machine actions may not be read (Machine.Read.All), so look the device up in the portal"

// doubt puts a task in doubt: its call may take effect for a grace from now on.
func (v *verdict) doubt(w *work, now time.Time, o *Options) {
	v.next = settle
	v.task.Status = checkpoint.InDoubt
	v.task.Reason = ptr("the answer to the call is not known")
	if o.NoReads {
		v.task.Reason = ptr(*v.task.Reason + noReads)
	}
	v.task.DoubtSince, v.task.DoubtUntil = ptr(w.since(now)), ptr(now.Add(o.Timeout))
}

// accept takes an action that the API gave for a task.
func (v *verdict) accept(w *work, a defender.MachineAction, x defender.Exchange) {
	v.task.Action = actionOf(a)
	others := existed(a, x)
	if w.tagged && a.RequestorComment != "" {
		others = !w.ours(a)
	}
	if others {
		v.word = "already active"
		v.task.Status, v.task.Reason = checkpoint.AlreadyActive, ptr(openReason(a))
		return
	}
	v.word = "accepted"
	v.task.Status = checkpoint.Accepted
}

// existed says whether an action cannot be what the call has made: it is of
// another type, or was there long before the call by the server's own clock. This
// is what there is to go by when no tag is sent or the answer leaves it out.
func existed(a defender.MachineAction, x defender.Exchange) bool {
	if a.Type != "" && !strings.EqualFold(a.Type, "Offboard") {
		return true
	}
	return !a.Created.IsZero() && !x.Date.IsZero() && x.Date.Sub(a.Created) > x.Over.Sub(x.At)+slack
}

// openReason says whose action is open and of which type.
func openReason(a defender.MachineAction) string {
	what := "an action"
	if a.Type != "" && !strings.EqualFold(a.Type, "Offboard") {
		what = "an action of type " + a.Type
	}
	s := what + " is open already"
	if a.Requestor != "" {
		s += ", asked for by " + a.Requestor
	}
	if !a.Created.IsZero() {
		s += " at " + a.Created.UTC().Format(time.RFC3339)
	}
	return s
}

// reason is a refusal in a few words; the API's own are in the attempt.
func reason(e *defender.Error) string {
	if e == nil {
		return ""
	}
	if e.Code != "" {
		return e.Code
	}
	return e.Message
}

func hint(err error) string {
	var e *defender.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// actionOf keeps of a machine action what the result tells.
func actionOf(a defender.MachineAction) *checkpoint.Action {
	out := &checkpoint.Action{ID: a.ID, Type: a.Type, Status: a.Status, Requestor: a.Requestor,
		Created: stampOf(a.Created), Updated: stampOf(a.Updated)}
	var wrong []string
	if a.ErrorHResult != 0 {
		wrong = append(wrong, hresult(a.ErrorHResult))
	}
	if a.Troubleshoot != "" && out.Failed() {
		wrong = append(wrong, a.Troubleshoot)
	}
	out.Error = strings.Join(wrong, "; ")
	return out
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
