package report

import (
	"mde-offboard/batch/checkpoint"
)

// actionIDs finds in a chain which machine action each attempt is about: the
// tables keep only the last one of a device, and --again makes another.
type actionIDs struct {
	of     map[int64]string // by attempt
	awaits map[int64]int64  // attempts, by task, whose action is still to be found
}

func newActionIDs() actionIDs {
	return actionIDs{of: map[int64]string{}, awaits: map[int64]int64{}}
}

// read takes the next event. The action that an answer named stands in the event
// of the outcome. That of a call without an answer, or of one that is open by
// word of Defender's, stands in the first event in which a look-up gives the
// task one.
func (ids *actionIDs) read(seq int64, e *checkpoint.Event) {
	if e.Intent != nil && e.Intent.Action != "" {
		ids.of[seq] = e.Intent.Action
	}
	for _, t := range e.Tasks {
		named := t.Action != nil && t.Action.ID != ""
		if len(e.Outcome) == 1 {
			if named {
				ids.of[e.Outcome[0].Attempt] = t.Action.ID
			}
			if delete(ids.awaits, t.N); !named && (t.Status == checkpoint.InDoubt || t.Status == checkpoint.AlreadyActive) {
				ids.awaits[t.N] = e.Outcome[0].Attempt
			}
			continue
		}
		attempt, waits := ids.awaits[t.N]
		if waits && named && (t.Status == "" || t.Status == checkpoint.Accepted || t.Status == checkpoint.AlreadyActive) {
			ids.of[attempt] = t.Action.ID
		}
		if named || t.Status != "" && t.Status != checkpoint.InDoubt {
			delete(ids.awaits, t.N)
		}
	}
}
