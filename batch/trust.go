package batch

import (
	"slices"
	"time"

	"mde-offboard/batch/checkpoint"
)

// offset is by how much the server's clock is ahead of ours: something from low
// to high, since an answer says when it was made in whole seconds only, and not
// how long it was on its way.
type offset struct {
	low, high time.Duration
	jumps     int // of our clock, until then
}

// tolerance is by how much an offset may change, as a clock that drifts or is
// slewed changes it.
const tolerance = 2 * time.Second

// agrees says whether two offsets can be those of one clock that was not set.
func (o offset) agrees(with offset) bool {
	return o.low <= with.high+tolerance && with.low <= o.high+tolerance
}

// both is what two offsets that agree say together: a slow answer says little.
func (o offset) both(with offset) offset {
	return offset{low: max(o.low, with.low), high: min(o.high, with.high)}
}

// serverTime turns a moment of our clock into the server's, not later than it
// is. It is not known, and zero, until an answer was dated since the clock last
// jumped.
func (c *caller) serverTime(t time.Time) time.Time {
	o := c.offset.Load()
	if o == nil || o.jumps != c.clock.Jumps() || t.IsZero() {
		return time.Time{}
	}
	return t.Add(o.low)
}

// offsetsAt maps each task to the offset that was known when its calls were
// reserved, those up to the event taken left out; nil if it was not always
// known, or not always the same.
func offsetsAt(attempts []checkpoint.Attempt, taken map[int64]int64) map[int64]*offset {
	at := map[int64]*offset{}
	var last *offset
	for _, a := range attempts {
		if a.N != 0 && a.Kind == CallOffboard && a.ID > taken[a.N] {
			if was, ok := at[a.N]; ok && (was == nil || last == nil || !was.agrees(*last)) {
				at[a.N] = nil
			} else {
				at[a.N] = last
			}
		}
		if a.Date.IsZero() {
			continue
		}
		o := offset{low: a.Date.Sub(a.Over), high: a.Date.Add(time.Second).Sub(a.Reserved)}
		if last != nil && o.agrees(*last) {
			o = o.both(*last)
		}
		last = &o
	}
	return at
}

// distrust makes a task in doubt one of which nobody knows since when: a clock
// that was set does not say how long ago a call was. All actions are listed for
// it, and it counts as called a moment ago: it errs on the side of waiting.
func (r *Runner) distrust(w *work, now time.Time) {
	w.DoubtSince, w.DoubtUntil = time.Time{}, now.Add(r.opt.Grace())
	w.look = now
}

// noticeJump distrusts what was noted before the clock jumped.
func (r *Runner) noticeJump() {
	now, jumps := r.clock.Now(), r.clock.Jumps()
	if jumps == r.jumps {
		return
	}
	r.jumps = jumps
	for _, w := range r.doubt {
		r.distrust(w, now)
	}
	for _, w := range r.ready { // which may have been in doubt
		w.DoubtSince = time.Time{}
	}
	for _, w := range r.later {
		w.DoubtSince, w.NotBefore = time.Time{}, now // a wait of seconds, for politeness
	}
	r.out.until = now
}

// distrustFormer distrusts what former runs left in doubt if the clock was set
// since: its offset from the server's, which the first look has told, is not
// the one that it was.
func (r *Runner) distrustFormer() {
	now, here := r.clock.Now(), r.offset.Load()
	set := func(w *work) bool { return here == nil || w.offset == nil || !w.offset.agrees(*here) }
	for _, w := range r.doubt {
		if set(w) {
			r.distrust(w, now)
		}
	}
	for _, w := range slices.Concat(r.ready, r.later) { // which may have been in doubt
		if set(w) {
			w.DoubtSince = time.Time{}
		}
	}
}

// update runs fn in a transaction at a moment of a clock that the history was
// counted anew for, if it has jumped since something was written by it. The
// clock is read within the transaction: what others write is older, and nothing
// is written by a clock that nobody has looked at. That moment comes back.
func (c *caller) update(fn func(tx *checkpoint.Tx, now moment) error) (now moment, err error) {
	err = c.store.Update(func(tx *checkpoint.Tx) error {
		now = c.clock.moment()
		if int64(now.jumps) != c.trusted.Load() {
			if err := tx.Rebase(c.key, now.Time); err != nil {
				return err
			}
		}
		return fn(tx, now)
	})
	if err == nil {
		c.trusted.Store(int64(now.jumps)) // an older one than is there costs one counting more
	}
	return now, err
}
