package report

import (
	"strconv"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// statuses are those that a report knows, in the order in which it tells them.
var statuses = []checkpoint.Status{
	checkpoint.Accepted, checkpoint.AlreadyActive, checkpoint.Refused, checkpoint.Failed,
	checkpoint.InDoubt, checkpoint.Skipped, checkpoint.Pending,
}

// told is the status that a report gives for one in the checkpoint. A call that
// is on its way may or may not have taken effect, so as long as nobody knows
// more it is told as in doubt.
func told(s checkpoint.Status) checkpoint.Status {
	if s == checkpoint.Sending {
		return checkpoint.InDoubt
	}
	return s
}

// simulatedMark begins the reason of every row of a rehearsal: a file goes on its
// own way, and a row of it must not pass for one of a device.
const simulatedMark = "SIMULATED"

// Mark stands before the name of a batch that is simulated, and before all that is
// told of it.
func Mark(simulated bool) string {
	if simulated {
		return simulatedMark + " "
	}
	return ""
}

// Marked is a text in a cell of a file: that of a rehearsal begins with the mark.
func Marked(simulated bool, text string) string {
	if simulated {
		return strings.TrimSuffix(simulatedMark+"; "+text, "; ")
	}
	return text
}

// stamp is how reports give a time: RFC 3339 in UTC, always with milliseconds,
// so that times sort as text; empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func itoa(n int) string { return strconv.Itoa(n) }
