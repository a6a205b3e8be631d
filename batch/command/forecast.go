package command

import (
	"fmt"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
)

// outlook is what a plan says of the calls to come: all of them under both windows,
// with what was called before and within the hours that are allowed, and those of
// one run.
type outlook struct {
	quota.Forecast             // InTime: of the run
	now, from, until time.Time // as of hours.span
	night            int       // in which of the allowed hours the last call goes; 0: there are none
	calls            int       // of the run
}

// outlook works it out, if there is any call.
func (a *app) outlook(j *job, s *connected, p *batch.Plan) (o outlook, ok bool) {
	if p.ToDo == 0 || s.Store == nil {
		return o, false
	}
	o.now = s.Clock.Now()
	o.from, o.until = j.hours.span(o.now, &j.opt)
	b := checkpoint.Budget{Key: s.Key, Kind: batch.CallOffboard, Shared: j.opt.SharedBudget, Windows: j.opt.Windows}
	var err error
	if o.Forecast, err = s.Store.Forecast(b, s.Clock.Now, p.ToDo, o.until, j.opt.Allowed); err != nil {
		return o, false
	}
	if !j.hours.parsed.Always() {
		o.night = j.hours.night(o.now, o.Last)
	}
	o.calls = min(o.InTime, j.most(p))
	return o, true
}

// most is how many calls one run may make of a plan, whatever the time.
func (j *job) most(p *batch.Plan) int {
	n := p.ToDo
	if j.opt.Limit > 0 {
		n = min(n, j.opt.Limit)
	}
	if first := p.CanaryLeft(); first > 0 && j.agreedAhead() {
		n = min(n, first)
	}
	return n
}

// forecast says how many calls there will be and when the last one goes, and where
// that is not in this run, how many it makes.
func (a *app) forecast(j *job, s *connected, p *batch.Plan) {
	o, ok := a.outlook(j, s, p)
	if !ok {
		return
	}
	a.say("Calls       %d, %s", p.ToDo, a.lastGoes(p.ToDo, o.Forecast, o.now)+j.hours.inNight(o.night))
	if o.calls < p.ToDo {
		a.say("            %s", a.ofTheRun(&o))
	}
}

// lastGoes says when the last of n calls goes.
func (a *app) lastGoes(n int, f quota.Forecast, now time.Time) string {
	when := "at once"
	if d := f.Last.Sub(now); d > time.Second {
		when = fmt.Sprintf("by %s, in %s (%s)", clockIn(f.Last, a.zone), short(d), f.Why)
	}
	if n == 1 {
		return when
	}
	return "the last one " + when
}

// ofTheRun says how many calls a run makes that does not make them all.
func (a *app) ofTheRun(o *outlook) string {
	run := "this run"
	if o.from.After(o.now) {
		run = "a run from " + clockIn(o.from, a.zone) + " on"
	}
	if o.calls < o.InTime { // by --limit or a canary, to the call
		return fmt.Sprintf("%s makes %d of them", run, o.calls)
	}
	some := "none"
	if o.calls > 0 {
		some = fmt.Sprintf("about %d", o.calls)
	}
	return fmt.Sprintf("%s makes %s of them, until %s", run, some, clockIn(o.until, a.zone))
}
