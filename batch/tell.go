package batch

import (
	"maps"
	"time"

	"mde-offboard/batch/checkpoint"
)

// tell shows how the run stands.
func (r *Runner) tell() {
	r.logWait()
	if r.show == nil {
		return
	}
	p := Progress{Batch: r.name, Simulated: r.sim, Total: r.total, Counts: maps.Clone(r.counts), InFlight: r.flying,
		Wait: r.waitFor, Until: r.waitTill}
	if r.stopping != nil {
		p.Stopping = r.stopping.Why
	}
	if v, err := r.store.Judge(r.opt.budget(r.key, CallOffboard), r.clock.Now); err == nil {
		p.Usage = v.Usage
	}
	p.DoneAt, p.DoneWhy, p.Night = r.doneAt()
	r.show(p)
}

// doneAt is when the last call that is still due can go, and in which night. Of the
// calls in flight those that are reserved are in the windows already.
func (r *Runner) doneAt() (at time.Time, why string, night int) {
	left := len(r.ready) + len(r.later) + int(r.opened.Load())
	if left == 0 {
		return time.Time{}, "", 0
	}
	if time.Since(r.forecast.made) > 5*time.Second {
		f, err := r.store.Forecast(r.opt.budget(r.key, CallOffboard), r.clock.Now, left, time.Time{}, r.opt.Allowed)
		if err != nil {
			return time.Time{}, "", 0
		}
		if r.opt.Night != nil {
			night = r.opt.Night(r.clock.Now(), f.Last)
		}
		r.forecast.made, r.forecast.at, r.forecast.why, r.forecast.night = time.Now(), f.Last, f.Why, night
	}
	return r.forecast.at, r.forecast.why, r.forecast.night
}

// code is with what the program ends.
func code(stop *Stop, counts map[checkpoint.Status]int) int {
	switch {
	case stop != nil:
		return stop.Code
	case counts[checkpoint.Pending]+counts[checkpoint.Sending] > 0:
		return CodeStopped
	case counts[checkpoint.Refused]+counts[checkpoint.Failed]+counts[checkpoint.InDoubt] > 0:
		return CodeIncomplete
	}
	return CodeDone
}
