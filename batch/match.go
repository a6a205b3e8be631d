package batch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/defender"
)

// resembles says whether nothing speaks against an action being that of a call
// without a tag: an offboard action of the device, made since the call, by the
// same requestor as our other ones.
func (r *Runner) resembles(w *work, a defender.MachineAction) bool {
	return strings.EqualFold(a.Type, "Offboard") &&
		!a.Created.Before(r.serverTime(w.DoubtSince).Add(-2*time.Second)) &&
		(r.requestor == "" || strings.EqualFold(a.Requestor, r.requestor)) &&
		(a.RequestorComment == "" || a.RequestorComment == w.Comment)
}

// looksOurs is the next best thing to a tag: an action that resembles the
// call's, if it is known since when to look and who asks for ours.
func (r *Runner) looksOurs(w *work, a defender.MachineAction) bool {
	return w.untagged() && r.requestor != "" && !r.serverTime(w.DoubtSince).IsZero() && r.resembles(w, a)
}

// mayBeOurs is the index of an action that resembles that of a call without a
// tag, and of which more is not known; -1 if there is none.
func (r *Runner) mayBeOurs(w *work, actions []defender.MachineAction) int {
	if !w.untagged() {
		return -1
	}
	return slices.IndexFunc(actions, func(a defender.MachineAction) bool { return r.resembles(w, a) })
}

// done is the index of an action that makes another call needless, as in the
// first look: the youngest one succeeded, or one that was made since the call in
// doubt; -1 if there is none.
func (r *Runner) done(w *work, actions []defender.MachineAction) int {
	since := r.serverTime(w.DoubtSince)
	for i, a := range actions {
		fresh := !since.IsZero() && !a.Created.Before(since.Add(-slack))
		if a.Succeeded() && strings.EqualFold(a.Type, "Offboard") && (fresh || i == 0 && !r.opt.Again) {
			return i
		}
	}
	return -1
}

func doneReason(a defender.MachineAction) string {
	return "offboard action succeeded on " + a.Updated.UTC().Format(time.RFC3339)
}

func maybeReason(a defender.MachineAction) string {
	return fmt.Sprintf("action %s (%s) %s", a.ID, a.Status, reasonMaybe)
}

// reasonMaybe ends the reason of a task with an action of which nobody knows whether
// it is the call's. The task stays in doubt.
const reasonMaybe = "may be this call's, which had no tag; look it up in the portal"

// openOf is the index of the youngest open action, of an Offboard if there is
// one; -1 if none is open.
func openOf(actions []defender.MachineAction) int {
	open := func(a defender.MachineAction) bool { return !a.Final() }
	if i := slices.IndexFunc(actions, func(a defender.MachineAction) bool { return open(a) && strings.EqualFold(a.Type, "Offboard") }); i >= 0 {
		return i
	}
	return slices.IndexFunc(actions, open)
}
