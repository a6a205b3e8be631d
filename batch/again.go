package batch

import (
	"context"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// former adds to what the first look has shown the actions that devices are
// known to have of an earlier round, here or in another batch, and that may
// still be open. A fresh one is in no list yet: it is read by its id before its
// device is called again.
func (r *Runner) former(ctx context.Context, l *looked) error {
	var elsewhere map[string]checkpoint.Busy
	if r.opt.Again {
		err := r.store.View(ctx, func(rd checkpoint.Reader) (err error) {
			elsewhere, err = rd.Elsewhere(r.key.Cloud, r.key.Tenant, r.batch)
			return err
		})
		if err != nil {
			return err
		}
	}
	began := time.Now()
	for _, w := range slices.Concat(r.ready, r.later) {
		known := w.Action
		if b := elsewhere[w.Device]; known.ID == "" && b.Status == checkpoint.Accepted {
			known = b.Action
		}
		if known.ID == "" || isFinal(known) {
			continue
		}
		a, ok := l.ids[strings.ToLower(known.ID)]
		if !ok {
			var err error
			if a, ok, err = r.readFormer(ctx, known, began); err != nil {
				return err
			}
		}
		if ok {
			a.MachineID = w.Device // which answers may leave out
			l.add(a)
		}
	}
	return nil
}

// readFormer reads an action. ok is false if it is not there although it is old
// enough to be seen.
func (r *Runner) readFormer(ctx context.Context, known checkpoint.Action, began time.Time) (a defender.MachineAction, ok bool, err error) {
	wanted := r.opt.SettleWait
	if created, now := createdAt(known), r.serverTime(r.clock.Now()); !created.IsZero() && !now.IsZero() {
		wanted = time.Since(began) + r.opt.SettleWait - max(0, now.Sub(created))
	}
	for n := 0; ; n++ {
		a, err := (&watcher{caller: r.caller}).get(ctx, known.ID)
		if defender.ClassOf(err) != defender.NotFound {
			return a, err == nil, err
		}
		left := wanted - time.Since(began)
		if left <= 0 {
			return a, false, nil
		}
		if err := wait(ctx, min(backoff(n), left)); err != nil {
			return a, false, err
		}
	}
}

// forgetFormer drops the actions of an earlier round that are over from tasks that are
// to be called again.
func (r *Runner) forgetFormer(changes *[]checkpoint.TaskChange) {
	for _, w := range slices.Concat(r.ready, r.later) {
		if w.Action.ID != "" {
			c := checkpoint.TaskChange{N: w.N, Action: &checkpoint.Action{}}
			*changes = append(*changes, c)
			w.apply(c)
		}
	}
}
