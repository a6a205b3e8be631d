package batch

import (
	"log/slog"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// The events of a run, as Options.Log gets them: one record each, under these
// names and with attributes whose names are a promise too. They are written
// after what they tell of is on the disk, and hold no secret: no token, no
// comment, no tag.
const (
	LogStart   = "start"   // batch, what, tenant, application, host, agreed, simulated, version, pid
	LogOutcome = "outcome" // of one call: batch, file, line, machineId, status, reason, outcome, attempt, httpStatus, errorCode, machineActionId, requestId
	LogSettle  = "settle"  // a device that was in doubt: batch, file, line, machineId, status, reason, machineActionId
	LogAction  = "action"  // what became of a machine action: batch, file, line, machineId, status, reason, machineActionId, actionStatus
	LogHold    = "hold"    // Defender asked to wait: until, reason
	LogWait    = "wait"    // nothing is sent for now: reason; until, where it is known
	LogOutage  = "outage"  // no answer of Defender's: until, reason, hint
)

// logger is where the events of a run go.
func (o *Options) logger() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// logStart tells of a run that begins.
func (s *Session) logStart(opt *Options, batch, what, how string) {
	opt.logger().Info(LogStart, "batch", batch, "what", what, "tenant", s.Key.Tenant, "application", s.Key.Application, "host", s.Host,
		"agreed", how, "simulated", s.Simulated, "version", s.Version, "pid", s.PID)
}

// logOutcome tells what became of a call that is the n-th for its task.
func (c *caller) logOutcome(batch string, t *checkpoint.Task, n int, x defender.Exchange, out checkpoint.Outcome) {
	attrs := []any{"outcome", out.Outcome, "attempt", n, "httpStatus", x.Status}
	if out.Code != "" {
		attrs = append(attrs, "errorCode", out.Code)
	}
	if x.RequestID != "" {
		attrs = append(attrs, "requestId", x.RequestID)
	}
	c.opt.logger().Info(LogOutcome, append(c.standing(batch, t), attrs...)...)
}

// standing are the attributes that name a task and how it stands. Of several lists a
// line alone names no task.
func (c *caller) standing(batch string, t *checkpoint.Task) []any {
	attrs := []any{"batch", batch}
	if c.lists > 1 {
		attrs = append(attrs, "file", t.File)
	}
	attrs = append(attrs, "line", t.Line, "machineId", t.Device, "status", string(t.Status))
	if t.Reason != "" {
		attrs = append(attrs, "reason", t.Reason)
	}
	if t.Action.ID != "" {
		attrs = append(attrs, "machineActionId", t.Action.ID)
	}
	return attrs
}

// logAction tells what was read of an action, or that it was given up.
func (w *watcher) logAction(c change) {
	if c.to.Action != nil || c.to.Reason != nil {
		w.opt.logger().Info(LogAction, append(w.standing(w.about.Name, c.task), "actionStatus", c.task.Action.Status)...)
	}
}

// logWait tells of a wait when it begins.
func (r *Runner) logWait() {
	r.keepWait()
	if r.waitFor == r.waitLogged {
		return
	}
	r.waitLogged, r.waitKind, r.waitSince = r.waitFor, r.waitIs, r.clock.Now()
	if r.waitFor != "" {
		r.opt.logger().Info(LogWait, until([]any{"batch", r.name, "reason", r.waitFor}, r.waitTill)...)
	}
}

// logOutage tells of an outage, and until when it is waited at least.
func (c *caller) logOutage(batch string, err error, t time.Time) {
	attrs := until([]any{"batch", batch, "reason", err.Error()}, t)
	if hint := hint(err); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	c.opt.logger().Warn(LogOutage, attrs...)
}

// logHold tells of a hold, once of one that many calls in flight ran into.
func (c *caller) logHold(h *checkpoint.HoldSet) {
	ends := h.Until.UnixNano()
	if known := c.held.Load(); ends-known > int64(time.Second) && c.held.CompareAndSwap(known, ends) {
		c.opt.logger().Warn(LogHold, until([]any{"reason", h.Why}, h.Until)...)
	}
}

// until adds the end of a wait, if it is known.
func until(attrs []any, t time.Time) []any {
	if t.IsZero() {
		return attrs
	}
	return append(attrs, "until", t.UTC().Truncate(time.Second))
}
