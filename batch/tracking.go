package batch

import (
	"fmt"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// Tracking is how the machine actions of a batch stand at one moment, for
// whoever shows it.
type Tracking struct {
	Batch     string
	Simulated bool
	Closed    bool // nothing more of the batch is sent
	// Unsent is how many lines are still to be sent, those that were turned away
	// included.
	Unsent int
	// Total is the number of tasks with an offboard action, other people's that
	// were open already included.
	Total int
	// Statuses counts the actions by Defender's own words, those that nobody has
	// described included, without the missing ones.
	Statuses map[string]int
	// Missing is how many actions Defender does not know, though it has had the
	// time to show them.
	Missing int
	// Open is how many are not known to be final. A word that is not known is
	// taken for one that is not.
	Open int
	// Oldest and Youngest are for how long the oldest and the youngest of the
	// open ones have been, by the server's clock; zero if there is none.
	Oldest, Youngest time.Duration
	// Changed is how many actions the last look has found changed.
	Changed int
	// Next is when the next look is due; zero: there is none.
	Next time.Time
}

// Code is with what tracking ends: 0 if all actions succeeded, 3 if some ended
// otherwise or are missing, 4 if some are open.
func (t Tracking) Code() int {
	if t.Open > 0 {
		return CodeStopped
	}
	succeeded := 0
	for word, n := range t.Statuses {
		if (defender.MachineAction{Status: word}).Succeeded() {
			succeeded += n
		}
	}
	if succeeded < t.Total {
		return CodeIncomplete
	}
	return CodeDone
}

// why is what is written of tracking that ran to its end, beside its code.
func (t Tracking) why() string {
	switch t.Open {
	case 0:
		return "done"
	case 1:
		return "1 action is open"
	}
	return fmt.Sprintf("%d actions are open", t.Open)
}

// reasonMissing marks a task whose action was not found when it should have been.
const reasonMissing = "its action is not known to Defender"

// tracked says whether a task has an offboard action that tells how it went. Of
// an open action of another type only the type was of interest.
func tracked(t *checkpoint.Task) bool {
	return (t.Status == checkpoint.Accepted || t.Status == checkpoint.AlreadyActive) && t.Action.ID != "" &&
		(t.Action.Type == "" || strings.EqualFold(t.Action.Type, "Offboard"))
}

func isFinal(a checkpoint.Action) bool { return defender.MachineAction{Status: a.Status}.Final() }

// isOpen says whether a task's action may still change.
func isOpen(t *checkpoint.Task) bool { return tracked(t) && !isFinal(t.Action) }

// word is an action's status as it is shown.
func word(a checkpoint.Action) string {
	if a.Status == "" {
		return "(no status)"
	}
	return a.Status
}

// tally counts the actions of a batch; now is the server's.
func tally(tasks []checkpoint.Task, now time.Time) (s Tracking) {
	s.Statuses = map[string]int{}
	for i := range tasks {
		t := &tasks[i]
		if t.Status == checkpoint.Pending {
			s.Unsent++
		}
		if !tracked(t) {
			continue
		}
		s.Total++
		if t.Reason == reasonMissing {
			s.Missing++
			continue
		}
		s.Statuses[word(t.Action)]++
		if isFinal(t.Action) {
			continue
		}
		s.Open++
		if created := createdAt(t.Action); !created.IsZero() {
			age := max(0, now.Sub(created))
			s.Oldest = max(s.Oldest, age)
			if s.Open == 1 || age < s.Youngest {
				s.Youngest = age
			}
		}
	}
	return s
}

// createdAt is when an action was made, by the server's clock; zero if the
// answer did not say.
func createdAt(a checkpoint.Action) time.Time {
	t, err := time.Parse(time.RFC3339Nano, a.Created)
	if err != nil {
		return time.Time{}
	}
	return t
}
