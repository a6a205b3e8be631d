package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mde-offboard/batch/checkpoint"
)

// CancelRequest says what is to be cancelled.
type CancelRequest struct {
	Name    string // of the batch
	Comment string
	Only    map[string]bool // these devices; nil: all, and the batch is closed
	Note    func(string)    // told what a look waits for; may be nil
}

func (r *CancelRequest) means(device string) bool { return r.Only == nil || r.Only[device] }

// CancelPlan is what cancel would do, for whoever has to agree to it.
type CancelPlan struct {
	Request CancelRequest
	Batch   checkpoint.Batch
	Runner  *checkpoint.Run // at work on the batch, to be stopped first; nil: none
	Open    int             // actions that are not final: to be cancelled
	InDoubt int             // devices whose call is in doubt or under way: looked up, and cancelled if there is an action
	Unsent  int             // devices that were not sent, or turned away each time
	Others  int             // open actions that other people asked for: left alone
	Final   map[string]int  // actions that are final, by status: too late
	Unknown []string        // of Request.Only: devices that the batch does not have
	Stale   *Stop           // why the actions could not be read: this is what the checkpoint knows; nil: they were

	meant map[int64]bool // tasks with an open action or in doubt
}

// Nothing says whether there is nothing to cancel and nothing to prevent. A batch
// that is not closed is closed even if nothing of it is open: its list may have
// other lines by the next run. One that a cancel of some has left held when it was
// killed is opened again, even if that had done all else.
func (p *CancelPlan) Nothing() bool {
	left, held := p.Open+p.InDoubt, Held(p.Batch.Closed)
	if p.Request.Only != nil {
		return left+p.Unsent == 0 && (!held || p.Runner != nil)
	}
	return left == 0 && p.Runner == nil && p.Batch.Closed != "" && !held
}

// Refused says why the plan must not be carried out, or nil.
func (p *CancelPlan) Refused() *Stop {
	if len(p.Unknown) == 0 {
		return nil
	}
	return &Stop{Why: countOf(len(p.Unknown), "device") + " of the list are not in batch " + p.Batch.Name + ", the first is " + p.Unknown[0],
		Code: CodeUsage, Hint: "is it the right batch, and the right list? Nothing was cancelled"}
}

// planPatience is how long a plan waits for Defender. Until the batch is closed
// its runner goes on, and to close it takes no answer.
const planPatience = time.Minute

// PlanCancel looks at the actions of a batch and says what cancel would do. It
// changes nothing; what the look has shown is kept, as track does. If no answer
// comes within a minute the plan is made from what the checkpoint knows: cancel
// can close the batch all the same, and looks again before it cancels.
func (s *Session) PlanCancel(ctx context.Context, req CancelRequest, opt Options) (*CancelPlan, error) {
	p := &CancelPlan{Request: req, Final: map[string]int{}, meant: map[int64]bool{}}
	var err error
	if p.Stale, err = s.lookForCancel(ctx, &req, opt); err != nil {
		return nil, err
	}
	if p.Batch, err = s.known(ctx, req.Name); err != nil {
		return nil, err
	}
	if p.Runner, err = s.runner(ctx, req.Name); err != nil {
		return nil, err
	}
	tasks, err := s.watcher(p.Batch, &opt).tasks()
	if err != nil {
		return nil, err
	}
	p.sort(tasks)
	return p, nil
}

// lookForCancel looks at the actions of a batch, or says why it could not.
func (s *Session) lookForCancel(ctx context.Context, req *CancelRequest, opt Options) (stale *Stop, err error) {
	look, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	stop, err := s.refresh(look, req.Name, opt, req.Note)
	switch {
	case ctx.Err() == nil && look.Err() != nil && (err != nil || stop != nil):
		return &Stop{Why: fmt.Sprintf("no answer of Defender's for %v", planPatience), Code: CodeStopped}, nil
	case err != nil:
		return nil, err
	case stop != nil && (stop.Code != CodeStopped || ctx.Err() != nil):
		return nil, stop
	}
	return stop, nil
}

func untilText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return ", until " + at.Local().Format(time.TimeOnly)
}

// runner is the run that has the batch, nil if none has.
func (s *Session) runner(ctx context.Context, name string) (*checkpoint.Run, error) {
	var other *ErrOtherRunner
	lock, err := s.lock(ctx, "batch", name)
	switch {
	case err == nil:
		return nil, lock.Close()
	case errors.As(err, &other):
		return &other.Run, nil
	}
	return nil, err
}

// sort counts the tasks that are meant by what cancel does with them.
func (p *CancelPlan) sort(tasks []checkpoint.Task) {
	have := map[string]bool{}
	for i := range tasks {
		t := &tasks[i]
		have[t.Device] = true
		if !p.Request.means(t.Device) {
			continue
		}
		switch {
		case cancellable(t):
			p.Open++
			p.meant[t.N] = true
		case inDoubt(t):
			p.InDoubt++
			p.meant[t.N] = true
		case t.Status == checkpoint.Accepted:
			p.Final[word(t.Action)]++
		case t.Status == checkpoint.Pending:
			p.Unsent++
		case isOpen(t):
			p.Others++
		}
	}
	for device := range p.Request.Only {
		if !have[device] {
			p.Unknown = append(p.Unknown, device)
		}
	}
	slices.Sort(p.Unknown)
}

// cancellable says whether a task has an action of its own that is not final.
// One that Defender does not know may still be there.
func cancellable(t *checkpoint.Task) bool { return t.Status == checkpoint.Accepted && isOpen(t) }

// inDoubt says whether a task must be looked up before anyone knows whether it
// has an action.
func inDoubt(t *checkpoint.Task) bool {
	return t.Status == checkpoint.InDoubt || t.Status == checkpoint.Sending ||
		t.Status == checkpoint.AlreadyActive && t.Reason == reasonLookup
}
