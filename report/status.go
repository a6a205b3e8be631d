package report

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// BatchStatus is how a batch stands. Its JSON has the names of audit.json.
type BatchStatus struct {
	Batch     batchDoc   `json:"batch"`
	Simulated bool       `json:"simulated"`
	Counts    countsDoc  `json:"counts"`
	Actions   []tallyDoc `json:"actions"`
	Runs      []runDoc   `json:"runs"`
	Next      string     `json:"next"` // what there is to do
	next      string     // the same, with commands tied
	actions   []tally    // those of Actions, by whose they are
}

// StatusOptions are what the checkpoint does not know.
type StatusOptions struct {
	Now     time.Time
	Machine string                       // the name of this one
	Command func(words ...string) string // a command of the program as it is to be typed
}

// Status tells of all batches, the oldest first.
func Status(ctx context.Context, s *checkpoint.Store, opt StatusOptions) ([]BatchStatus, error) {
	all := []BatchStatus{}
	err := s.View(ctx, func(r checkpoint.Reader) error {
		batches, err := r.Batches()
		if err != nil {
			return err
		}
		for _, b := range batches {
			st, err := statusOf(s, r, b, opt)
			if err != nil {
				return fmt.Errorf("batch %q: %w", b.Name, err)
			}
			all = append(all, st)
		}
		return nil
	})
	return all, err
}

// StatusOf tells of one batch.
func StatusOf(ctx context.Context, s *checkpoint.Store, batch int64, opt StatusOptions) (st BatchStatus, err error) {
	err = s.View(ctx, func(r checkpoint.Reader) error {
		b, err := r.Batch(batch)
		if err != nil {
			return err
		}
		st, err = statusOf(s, r, b, opt)
		return err
	})
	return st, err
}

func statusOf(s *checkpoint.Store, r checkpoint.Reader, b checkpoint.Batch, opt StatusOptions) (BatchStatus, error) {
	counts, err := r.Counts(b.ID)
	if err != nil {
		return BatchStatus{}, err
	}
	runs, err := r.Runs(b.ID)
	if err != nil {
		return BatchStatus{}, err
	}
	a := &audit{batch: b, runs: runs, sum: Summary{Counts: map[checkpoint.Status]int{}}}
	for status, n := range counts {
		a.sum.Counts[told(status)] += n
	}
	if a.sum.Lines, a.sum.Gone, a.actions, err = numbersOf(r, b.ID); err != nil {
		return BatchStatus{}, err
	}
	d := a.doc()
	command := func(words ...string) string { return tied(opt.Command(words...)) }
	next := a.next(command, func(run checkpoint.Run) bool { return batch.AtWork(s, b, run, opt.Machine, opt.Now) })
	return BatchStatus{d.Batch, d.Simulated, d.Counts, d.Actions, d.Runs, untied(next), next, a.actions}, nil
}

// numbersOf counts what no table has as a number: lines, and actions by status.
func numbersOf(r checkpoint.Reader, batch int64) (lines, gone int, actions []tally, err error) {
	rows, err := r.Query(`SELECT action <> '', action_status, status, position = 0, COUNT(*) FROM task WHERE batch = $1 GROUP BY 1, 2, 3, 4 ORDER BY 2, 3`, batch)
	if err != nil {
		return 0, 0, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var has, out bool
		var t tally
		if err := rows.Scan(&has, &t.name, &t.of, &out, &t.n); err != nil {
			return 0, 0, nil, err
		}
		if out {
			gone += t.n
		} else {
			lines += t.n
		}
		if !has {
			continue
		}
		if k := len(actions); k > 0 && actions[k-1].name == t.name && actions[k-1].of == t.of {
			actions[k-1].n += t.n
		} else {
			actions = append(actions, t)
		}
	}
	return lines, gone, actions, rows.Err()
}

// nothing is what there is to do for a batch that is done with.
const nothing = "nothing"

// next says what there is to do, the most urgent first.
func (a *audit) next(command func(words ...string) string, atWork func(checkpoint.Run) bool) string {
	c := a.sum.Counts
	left := c[checkpoint.Pending] + c[checkpoint.InDoubt]
	for _, r := range slices.Backward(a.runs) { // a tracker may have come and gone beside a run
		if r.Ended.IsZero() && atWork(r) {
			return fmt.Sprintf("wait: %s is at work (%s on %s, process %d)", r.What, r.Who, r.Host, r.PID)
		}
	}
	switch n := len(a.runs); {
	case a.batch.Closed != "":
		return a.nextClosed(command)
	case n > 0 && a.runs[n-1].Ended.IsZero():
		return "the same command goes on: its last run ended without a word"
	}
	if left > 0 {
		said := []string{}
		if n := c[checkpoint.Pending]; n > 0 {
			said = append(said, plural(n, "device")+" to send")
		}
		if n := c[checkpoint.InDoubt]; n > 0 {
			said = append(said, plural(n, "device")+" in doubt to look up")
		}
		return "the same command goes on: " + enumerate(said)
	}
	var said []string
	if n := standing(a.actions, tally.tracked)[stillOpen]; n > 0 {
		where := ""
		if a.batch.Simulated { // the embedded one has ended with its run
			where = ", if its simulator still runs"
		}
		said = append(said, fmt.Sprintf("%s%s: %s open", command("track", a.batch.Name), where, plural(n, "machine action")+are(n)))
	}
	if n := c[checkpoint.Refused] + c[checkpoint.Failed]; n > 0 {
		said = append(said, fmt.Sprintf("look at the %s that %s refused or failed; run --retry refused,failed takes them up again", plural(n, "device"), was(n)))
	}
	if n := standing(a.actions, tally.any)[cameToNothing]; n > 0 {
		said = append(said, plural(n, "machine action")+" failed or timed out: run --retry failed sends such devices again")
	}
	if said == nil {
		return nothing
	}
	return strings.Join(said, "; ")
}

// nextClosed says what there is to do for a batch that a cancel has closed: the
// cancel goes on until no action is open and no device in doubt.
func (a *audit) nextClosed(command func(words ...string) string) string {
	if batch.Held(a.batch.Closed) {
		return fmt.Sprintf("the same %s --only goes on: %s", command("cancel", a.batch.Name), a.batch.Closed)
	}
	said := []string{}
	if n := standing(a.actions, tally.own)[stillOpen]; n > 0 {
		said = append(said, plural(n, "machine action")+" not cancelled yet")
	}
	if n := a.sum.Counts[checkpoint.InDoubt]; n > 0 {
		said = append(said, plural(n, "device")+" in doubt to look up")
	}
	if len(said) == 0 {
		return "nothing: the batch is closed, " + a.batch.Closed
	}
	return fmt.Sprintf("%s goes on: %s", command("cancel", a.batch.Name), enumerate(said))
}

func are(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// DeviceStatus is one device with its attempts. Its JSON has the names of
// audit.json.
type DeviceStatus struct {
	deviceDoc
	Simulated bool   `json:"simulated"`
	Portal    string `json:"portal,omitempty"`
	batch     string // its name
}

// NotInBatch says that nothing in a batch is called so.
type NotInBatch struct{ What, Batch string }

func (e *NotInBatch) Error() string {
	return fmt.Sprintf("batch %q has no device, name or line %q", e.Batch, e.What)
}

// Devices finds devices of a batch by the number of their line, their device id
// or their name, without regard to case. It returns a *NotInBatch if there is
// none.
func Devices(ctx context.Context, s *checkpoint.Store, batch int64, what string) (found []DeviceStatus, err error) {
	what = strings.TrimSpace(what)
	line, err := strconv.Atoi(what)
	if err != nil {
		line = -1
	}
	err = s.View(ctx, func(r checkpoint.Reader) error {
		b, err := r.Batch(batch)
		if err != nil {
			return err
		}
		tasks, err := r.Tasks(batch)
		if err != nil {
			return err
		}
		attempts, err := r.Attempts(batch)
		if err != nil {
			return err
		}
		tasks = slices.DeleteFunc(tasks, func(t checkpoint.Task) bool {
			return t.Line != line && !strings.EqualFold(t.Device, what) && (t.Name == "" || !strings.EqualFold(t.Name, what))
		})
		if len(tasks) == 0 {
			return &NotInBatch{what, b.Name}
		}
		a := &audit{batch: b}
		a.sortAttempts(attempts)
		if err := a.readEvents(r, actionEvents...); err != nil {
			return err
		}
		for _, t := range tasks {
			found = append(found, DeviceStatus{a.device(t), b.Simulated, a.portal(t.Device), b.Name})
		}
		return nil
	})
	return found, err
}
