package report

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// audit is what the audit page and the JSON tell of a batch, but for its
// devices, which are read one after the other.
type audit struct {
	batch    checkpoint.Batch
	runs     []checkpoint.Run
	plans    []planned
	settings map[int64]string // by run
	holds    []held
	waits    []waited
	attempts map[int64][]checkpoint.Attempt  // offboard calls, by task
	about    map[string][]checkpoint.Attempt // other calls, by the device that they are about; "": none
	ids      actionIDs
	sum      Summary
	actions  []tally // machine actions by their last known status, in the order of these
	reasons  []reason
	schedule schedule
}

// planned is a plan that was agreed to.
type planned struct {
	at time.Time
	checkpoint.Plan
}

// held is a wait that the server asked for.
type held struct {
	at time.Time
	checkpoint.HoldSet
}

// reason is why devices were not accepted, and how many.
type reason struct {
	status  checkpoint.Status
	http    int
	code    string
	why     string
	message string // of the first of them: one example
	devices int
}

// gather reads a batch in one transaction, which sees one state of it.
func gather(ctx context.Context, r checkpoint.Reader, batch int64) (*audit, error) {
	a := &audit{sum: Summary{Counts: map[checkpoint.Status]int{}}}
	var err error
	if a.batch, err = r.Batch(batch); err != nil {
		return nil, err
	}
	if a.runs, err = r.Runs(batch); err != nil {
		return nil, err
	}
	attempts, err := r.Attempts(batch)
	if err != nil {
		return nil, err
	}
	a.sortAttempts(attempts)
	if err := a.readEvents(r, allEvents...); err != nil {
		return nil, err
	}
	if err := a.readTasks(ctx, r); err != nil {
		return nil, err
	}
	a.schedule, err = newSchedule(r, a, attempts)
	return a, err
}

// sortAttempts puts the attempts to what they are about.
func (a *audit) sortAttempts(attempts []checkpoint.Attempt) {
	a.attempts, a.about = map[int64][]checkpoint.Attempt{}, map[string][]checkpoint.Attempt{}
	for _, at := range attempts {
		if at.N != 0 {
			a.attempts[at.N] = append(a.attempts[at.N], at)
		} else {
			a.about[at.Device] = append(a.about[at.Device], at)
		}
	}
}

// What events hold that the tables keep only the last of, as it stands in them.
var (
	planEvents   = []string{`"plan":{`, `"start":{`}
	actionEvents = []string{`"action":`, `"status":"in-doubt"`, `"status":"already-active"`, `"status":"pending"`}
	allEvents    = slices.Concat(planEvents, actionEvents, []string{`"hold":{`, `"wait":{`})
)

// readEvents finds in the chain what the tables do not keep. Events that have none
// of some parts are not worth decoding.
func (a *audit) readEvents(r checkpoint.Reader, parts ...string) error {
	a.settings, a.ids = map[int64]string{}, newActionIDs()
	return r.EachEvent(a.batch.ID, func(seq int64, _, body string) error {
		if !slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(body, part) }) {
			return nil
		}
		var e checkpoint.Event
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return fmt.Errorf("event %d: %w", seq, err)
		}
		a.readEvent(seq, &e)
		return nil
	})
}

func (a *audit) readEvent(seq int64, e *checkpoint.Event) {
	if e.Plan != nil {
		a.plans = append(a.plans, planned{e.At, *e.Plan})
	}
	if e.Start != nil {
		a.settings[seq] = e.Start.Settings
		// A run of a plan, and any of an older program, has the settings of the plan.
		if n := len(a.plans); n > 0 && e.Start.Settings == "" {
			a.settings[seq] = a.plans[n-1].Options
		}
	}
	if e.Hold != nil {
		a.holds = append(a.holds, held{e.At, *e.Hold})
	}
	if e.Wait != nil {
		a.readWait(e)
	}
	a.ids.read(seq, e)
}

// readTasks counts the tasks.
func (a *audit) readTasks(ctx context.Context, r checkpoint.Reader) error {
	actions, reasons := map[tally]int{}, map[reason]*reason{}
	err := r.EachResult(a.batch.ID, func(t checkpoint.Task, last checkpoint.Attempt) error {
		if t.Action.ID != "" {
			actions[tally{name: t.Action.Status, of: told(t.Status)}]++
		}
		if k, ok := reasonOf(t, last); ok {
			if reasons[k] == nil {
				first := k
				first.message = last.Message
				reasons[k] = &first
			}
			reasons[k].devices++
		}
		if err := a.sum.count(t); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for t, n := range actions {
		a.actions = append(a.actions, tally{t.name, t.of, n})
	}
	slices.SortFunc(a.actions, func(x, y tally) int { return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.of, y.of)) })
	for _, r := range reasons {
		a.reasons = append(a.reasons, *r)
	}
	slices.SortFunc(a.reasons, compareReasons)
	return a.sum.check(r, a.batch.ID)
}

// compareReasons puts the statuses in their order and the most frequent first.
func compareReasons(x, y reason) int {
	if d := slices.Index(statuses, x.status) - slices.Index(statuses, y.status); d != 0 {
		return d
	}
	if d := y.devices - x.devices; d != 0 {
		return d
	}
	return strings.Compare(fmt.Sprint(x.http, x.code, x.why), fmt.Sprint(y.http, y.code, y.why))
}

// numbers are what makes reasons of one kind differ: lines, attempts, dates.
var numbers = regexp.MustCompile(`[0-9][0-9:.TZ-]*`)

// reasonOf is the kind of reason for which a device was not accepted; false if
// it was, or nothing was said of it yet. The message is left out of it.
func reasonOf(t checkpoint.Task, last checkpoint.Attempt) (reason, bool) {
	k := reason{status: told(t.Status), why: t.Reason}
	switch k.status {
	case checkpoint.Pending:
		if k.why == "" {
			return reason{}, false
		}
		k.http, k.code = last.Status, last.Code
	case checkpoint.Refused, checkpoint.Failed, checkpoint.InDoubt:
		k.http, k.code = last.Status, last.Code
		if k.why == k.code {
			k.why = ""
		}
	case checkpoint.Skipped:
		// What follows the colon is about one device.
		k.why, _, _ = strings.Cut(k.why, ":")
	default:
		return reason{}, false
	}
	k.why = numbers.ReplaceAllString(k.why, "…")
	return k, true
}
