package batch

import (
	"context"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// former adds to what the first look has shown the actions with which other
// batches have accepted the devices that are to be called again, and notes which
// of them are over. A fresh one is in no list yet: it is read by its id.
func (r *Runner) former(ctx context.Context, l *looked) error {
	var elsewhere map[string]checkpoint.Busy
	err := r.store.View(ctx, func(rd checkpoint.Reader) (err error) {
		elsewhere, err = rd.Elsewhere(r.key.Cloud, r.key.Tenant, r.batch)
		return err
	})
	if err != nil {
		return err
	}
	began := time.Now()
	r.over = map[string]bool{}
	for _, w := range slices.Concat(r.ready, r.later) {
		b := elsewhere[w.Device]
		if b.Status != checkpoint.Accepted || b.Action.ID == "" {
			continue
		}
		a, ok := l.ids[strings.ToLower(b.Action.ID)]
		if !ok && !b.Action.Final() {
			if a, ok, err = r.readFormer(ctx, b.Action, began); err != nil {
				return err
			}
			if ok {
				a.MachineID = w.Device // which answers may leave out
				l.add(a)
			}
		}
		r.over[b.Action.ID] = !ok || a.Final() // or old enough to be seen, and not there
	}
	return nil
}

// mayCallAgain says whether a device may be called although another batch has
// accepted it with an action: whether that was over in the first look.
func (r *Runner) mayCallAgain(a checkpoint.Action) bool { return r.opt.NoReads || r.over[a.ID] }

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
