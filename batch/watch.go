package batch

import (
	"context"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// watcher reads the actions of one batch, for those who track and those who
// cancel them.
type watcher struct {
	*caller
	about  checkpoint.Batch
	what   string              // the run does
	absent map[int64]time.Time // tasks whose action was not listed, and since when
}

func (s *Session) watcher(b checkpoint.Batch, opt *Options) *watcher {
	c := s.caller(opt)
	c.batch = b.ID
	return &watcher{caller: c, about: b, absent: map[int64]time.Time{}}
}

// begin writes that a run begins.
func (w *watcher) begin(s *Session, what, how string) error {
	w.what = what
	now := w.clock.Now()
	err := w.store.Update(func(tx *checkpoint.Tx) (err error) {
		if w.lists, err = tx.Lists(w.batch); err != nil {
			return err
		}
		w.run, err = tx.Append(w.batch, checkpoint.Event{Kind: "run", At: now, Start: s.start(what, how, w.opt)})
		return err
	})
	if err == nil {
		s.logStart(w.opt, w.about.Name, what, how)
	}
	return err
}

// troubled has the log told that a read gets no answer, and whoever note is for.
func (w *watcher) troubled(note func(error)) func(error) {
	return func(err error) {
		w.logOutage(w.about.Name, err, time.Time{})
		if note != nil {
			note(err)
		}
	}
}

// tasks reads the batch's tasks as they stand now.
func (w *watcher) tasks() (tasks []checkpoint.Task, err error) {
	// What is read here is still to be shown when ctx has ended.
	err = w.store.View(context.Background(), func(r checkpoint.Reader) error {
		tasks, err = r.Tasks(w.batch)
		return err
	})
	return tasks, err
}

// invisible is for how long a fresh action may be absent from what is read.
const invisible = 2 * time.Minute

// confirmed is how many absent actions are asked for one by one in a look.
const confirmed = 50

// look reads what the service says of the open actions of tasks, with one list
// call for up to 10,000, writes what has changed, and carries it into tasks.
func (w *watcher) look(ctx context.Context, tasks []checkpoint.Task) (changed int, err error) {
	var open []*checkpoint.Task
	for i := range tasks {
		if isOpen(&tasks[i]) {
			open = append(open, &tasks[i])
		}
	}
	if len(open) == 0 {
		return 0, nil
	}
	all, _, err := w.actions(ctx, defender.ActionQuery{Type: "Offboard", Since: w.since(open)})
	if err != nil && defender.ClassOf(err) != defender.NotFound { // so an empty list may be told
		return 0, err
	}
	byID := make(map[string]defender.MachineAction, len(all))
	for _, a := range all {
		byID[strings.ToLower(a.ID)] = a
	}
	var changes []change
	var missing []*checkpoint.Task
	for _, t := range open {
		a, ok := byID[strings.ToLower(t.Action.ID)]
		if !ok {
			missing = append(missing, t)
			continue
		}
		delete(w.absent, t.N)
		changes = append(changes, seen(t, a)...)
	}
	more, err := w.confirm(ctx, missing)
	if err != nil {
		return 0, err
	}
	return w.write(append(changes, more...))
}

// since is from when on actions are listed: since the oldest of the open ones.
// It is zero, which lists all, where nobody can say: an action whose answer did
// not tell its time is of this batch, but when that began by the server's clock
// is known only after an answer of this process.
func (w *watcher) since(open []*checkpoint.Task) (oldest time.Time) {
	for _, t := range open {
		created := createdAt(t.Action)
		if created.IsZero() {
			created = w.serverTime(w.about.Created)
		}
		if created.IsZero() {
			return created
		}
		if oldest.IsZero() || created.Before(oldest) {
			oldest = created
		}
	}
	return oldest.Add(-slack)
}

// change is what a look has found out about a task.
type change struct {
	task *checkpoint.Task
	to   checkpoint.TaskChange
}

// seen says what an action that was read changes. What answers leave out stays
// as it was.
func seen(t *checkpoint.Task, a defender.MachineAction) []change {
	now, got := t.Action, actionOf(a)
	for _, field := range []struct {
		to   *string
		from string
	}{
		{&now.Status, got.Status}, {&now.Updated, got.Updated}, {&now.Error, got.Error},
		{&now.Type, got.Type}, {&now.Requestor, got.Requestor}, {&now.Created, got.Created},
	} {
		if field.from != "" {
			*field.to = field.from
		}
	}
	c := checkpoint.TaskChange{N: t.N, Action: &now}
	if t.Reason == reasonMissing {
		c.Reason = ptr("")
	}
	if now == t.Action && c.Reason == nil {
		return nil
	}
	return []change{{t, c}}
}

// confirm asks for actions that were not listed although they should have been
// by now: absence from a list is taken for true only if the action itself is
// not found either.
func (w *watcher) confirm(ctx context.Context, missing []*checkpoint.Task) (changes []change, err error) {
	asked := 0
	for _, t := range missing {
		if t.Reason == reasonMissing || !w.overdue(t) || asked == confirmed {
			continue
		}
		asked++
		a, err := w.get(ctx, t.Action.ID)
		switch {
		case err == nil:
			changes = append(changes, seen(t, a)...)
		case defender.ClassOf(err) == defender.NotFound:
			changes = append(changes, change{t, checkpoint.TaskChange{N: t.N, Reason: ptr(reasonMissing)}})
		default:
			return nil, err
		}
	}
	return changes, nil
}

// overdue says whether an absent action has been for long enough to be seen.
func (w *watcher) overdue(t *checkpoint.Task) bool {
	now := w.clock.Now()
	if created := createdAt(t.Action); !created.IsZero() {
		return w.serverTime(now).Sub(created) > invisible
	}
	if w.absent[t.N].IsZero() {
		w.absent[t.N] = now
	}
	return now.Sub(w.absent[t.N]) > invisible
}

// get reads one action.
func (w *watcher) get(ctx context.Context, id string) (a defender.MachineAction, err error) {
	_, err = w.read(ctx, CallGetAction, func(ctx context.Context, gate defender.Gate) (x defender.Exchange, err error) {
		a, x, err = w.client.GetAction(ctx, id, gate)
		return x, err
	})
	return a, err
}

// write writes changes, some hundred in an event, but for tasks that have got
// another action since they were read: a run may be at work beside us. What was
// written is carried into the tasks.
func (w *watcher) write(changes []change) (written int, err error) {
	for part := range slices.Chunk(changes, perEvent) {
		var kept []change
		now := w.clock.Now()
		err := w.store.Update(func(tx *checkpoint.Tx) error {
			kept = nil
			e := checkpoint.Event{Kind: w.what, At: now, Run: w.run}
			for _, c := range part {
				t, err := tx.Task(w.batch, c.task.N)
				if err != nil {
					return err
				}
				if t.Action.ID == c.task.Action.ID && t.Status == c.task.Status {
					kept = append(kept, c)
					e.Tasks = append(e.Tasks, c.to)
				}
			}
			if len(e.Tasks) == 0 {
				return nil
			}
			_, err := tx.Append(w.batch, e)
			return err
		})
		if err != nil {
			return written, err
		}
		for _, c := range kept {
			set(&c.task.Action, c.to.Action)
			set(&c.task.Reason, c.to.Reason)
			set(&c.task.Health, c.to.Health)
			w.logAction(c)
		}
		written += len(kept)
	}
	return written, nil
}
