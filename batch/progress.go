package batch

import (
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
)

// WaitLookFirst is the wait before the first call of a run.
const WaitLookFirst = "looking at the actions that the tenant already has"

// Progress is how a run stands at one moment, for whoever shows it.
type Progress struct {
	Batch     string
	Simulated bool
	// Total is the number of tasks of the batch, those that earlier runs did
	// and those that are skipped included.
	Total    int
	Counts   map[checkpoint.Status]int
	InFlight int
	// Usage is how full the windows of the offboard calls are.
	Usage []quota.Usage
	// Wait says why nothing is sent now, and Until when that ends; both are
	// empty while calls go out. Until is zero if nobody can say.
	Wait  string
	Until time.Time
	// DoneAt is when the last call can go, computed from the quota and not from
	// the past rate; DoneWhy is what holds it up. Night is in which of the
	// stretches of hours that are allowed that is: 1 is the one that is open now,
	// or opens next; 0 where any hour is.
	DoneAt  time.Time
	DoneWhy string
	Night   int
	// Stopping says why the run is ending; empty while it is not.
	Stopping string
}
