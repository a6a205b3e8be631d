package batch

import (
	"context"
	"errors"
	"slices"

	"mde-offboard/batch/checkpoint"
)

// CancelRequest says what is to be cancelled.
type CancelRequest struct {
	Name    string // of the batch
	Comment string
	Only    map[string]bool // these devices; nil: all, and the batch is closed
}

func (r *CancelRequest) means(device string) bool { return r.Only == nil || r.Only[device] }

// CancelPlan is what cancel would do, for whoever has to agree to it.
type CancelPlan struct {
	Request CancelRequest
	Batch   checkpoint.Batch
	Runner  *checkpoint.Run // at work on the batch, to be stopped first; nil: none
	Open    int             // actions that are not final: to be cancelled
	InDoubt int             // devices whose call is in doubt or under way: looked up, and cancelled if there is an action
	Unsent  int             // devices that were not sent
	Others  int             // open actions that other people asked for: left alone
	Final   map[string]int  // actions that are final, by status: too late
	Unknown []string        // of Request.Only: devices that the batch does not have

	agreed map[int64]bool // tasks with an open action
}

// Nothing says whether there is nothing to cancel and nothing to prevent.
func (p *CancelPlan) Nothing() bool {
	todo := p.Open + p.InDoubt
	if p.Request.Only == nil && (p.Batch.Closed == "" || isHeld(p.Batch.Closed)) {
		todo += p.Unsent
	}
	return todo == 0 && p.Runner == nil
}

// Refused says why the plan must not be carried out, or nil.
func (p *CancelPlan) Refused() *Stop {
	if len(p.Unknown) == 0 {
		return nil
	}
	return &Stop{Why: countOf(len(p.Unknown), "device") + " of the list are not in batch " + p.Batch.Name + ", the first is " + p.Unknown[0],
		Code: CodeUsage, Hint: "is it the right batch, and the right list? Nothing was cancelled"}
}

// PlanCancel looks at the actions of a batch and says what cancel would do. It
// changes nothing; what the look has shown is kept, as track does.
func (s *Session) PlanCancel(ctx context.Context, req CancelRequest, opt Options) (*CancelPlan, error) {
	p := &CancelPlan{Request: req, Final: map[string]int{}, agreed: map[int64]bool{}}
	var other *ErrOtherRunner
	// Where a tracker is at work the checkpoint is as fresh as a look of ours.
	_, stop, err := s.Track(ctx, req.Name, TrackOptions{}, opt, nil)
	if err != nil && !errors.As(err, &other) {
		return nil, err
	}
	if stop != nil {
		return nil, stop
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
			p.agreed[t.N] = true
		case inDoubt(t):
			p.InDoubt++
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
