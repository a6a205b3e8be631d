package batch

import (
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
)

// The kinds of wait that the chain keeps, for whoever tells of a schedule.
const (
	WaitedForWindow   = "window"   // a window of the quota was full
	WaitedForHold     = "hold"     // Defender asked to wait
	WaitedForHours    = "hours"    // calling was not allowed
	WaitedForDefender = "outage"   // there was no answer of Defender's
	WaitedForAnswers  = "answers"  // calls in flight had every slot
	WaitedForLook     = "look"     // the actions that the tenant has were read
	WaitedForSettling = "settling" // devices in doubt were looked up
	WaitedForRetry    = "retry"    // devices were to be tried again later
)

// What a run waits for when nothing can be sent but look-ups, and not even that.
const (
	waitSettle = "devices in doubt are looked up"
	waitRetry  = "before trying again"
)

// longWait is from how long on a wait is kept. Most are shorter.
const longWait = 2 * time.Second

// keepWait writes of a wait that has lasted for a while that it began, while it
// lasts, and then that it is over: the audit shows what a run waited for, also of
// one that is killed while it waits or that sends nothing.
func (r *Runner) keepWait() {
	now, why := r.clock.Now(), r.waitLogged
	over := r.waitFor != why
	if why != "" && !r.waitKept && now.Sub(r.waitSince) >= longWait {
		w := checkpoint.Wait{Kind: r.waitKind, Why: why, Since: r.waitSince}
		if !over {
			w.Until = r.waitTill
		}
		r.waitKept = true
		r.writeWait(now, w)
	}
	if over && r.waitKept {
		r.waitKept = false
		r.writeWait(now, checkpoint.Wait{})
	}
}

func (r *Runner) writeWait(now time.Time, w checkpoint.Wait) {
	r.stop(asStop(r.store.Update(func(tx *checkpoint.Tx) error {
		_, err := tx.Append(r.batch, checkpoint.Event{Kind: "wait", At: now, Run: r.run, Wait: &w})
		return err
	})))
}

// await says what is waited for from now on, and until when; till zero: that is not
// known.
func (r *Runner) await(kind, why string, till time.Time) {
	r.waitIs, r.waitFor, r.waitTill = kind, why, till
}

// awaitSlot says that the quota is waited for.
func (r *Runner) awaitSlot(v quota.Verdict) {
	kind := WaitedForWindow
	switch v.Why {
	case quota.Hold:
		kind = WaitedForHold
	case quota.InFlight:
		kind = WaitedForAnswers
	}
	r.await(kind, v.Why, v.At)
}
