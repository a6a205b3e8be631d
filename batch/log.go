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
	LogOutcome = "outcome" // of one call: line, machineId, status, reason, attempt, httpStatus, errorCode, machineActionId, requestId
	LogSettle  = "settle"  // a device that was in doubt: line, machineId, status, reason, machineActionId
	LogHold    = "hold"    // Defender asked to wait: until, reason
	LogWait    = "wait"    // nothing is sent for now: until, reason
	LogOutage  = "outage"  // no answer of Defender's: until, reason, hint
)

// logger is where the events of a run go.
func (o *Options) logger() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// logOutcome tells what became of a call.
func (r *Runner) logOutcome(w *work, v verdict, x defender.Exchange, out checkpoint.Outcome) {
	attrs := []any{"outcome", v.word, "attempt", w.requests, "httpStatus", x.Status}
	if out.Code != "" {
		attrs = append(attrs, "errorCode", out.Code)
	}
	if x.RequestID != "" {
		attrs = append(attrs, "requestId", x.RequestID)
	}
	r.opt.logger().Info(LogOutcome, append(r.task(w), attrs...)...)
}

// task are the attributes that name a task and how it stands.
func (r *Runner) task(w *work) []any {
	attrs := []any{"batch", r.name, "line", w.Line, "machineId", w.Device, "status", string(w.Status)}
	if w.Reason != "" {
		attrs = append(attrs, "reason", w.Reason)
	}
	if w.Action.ID != "" {
		attrs = append(attrs, "machineActionId", w.Action.ID)
	}
	return attrs
}

// logWait tells of a wait when it begins.
func (r *Runner) logWait() {
	r.keepWait()
	if r.waitFor == r.waitLogged {
		return
	}
	r.waitLogged, r.waitKind, r.waitSince = r.waitFor, r.kindOfWait(), r.clock.Now()
	if r.waitFor != "" {
		r.opt.logger().Info(LogWait, until([]any{"batch", r.name, "reason", r.waitFor}, r.waitTill)...)
	}
}

// logOutage tells of an outage, and until when it is waited at least.
func (r *Runner) logOutage(err error, t time.Time) {
	attrs := until([]any{"batch", r.name, "reason", err.Error()}, t)
	if hint := hint(err); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	r.opt.logger().Warn(LogOutage, attrs...)
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
