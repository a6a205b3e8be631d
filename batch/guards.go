package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// percentFrom is beyond how many devices --max-percent is judged: a tenant of
// ten that retires five is no accident.
const percentFrom = 5

// Unusable says why the list can be no plan at all, or nil. It asks nothing of
// Defender or of earlier runs, so it can be known before anybody signs in.
func (p *Plan) Unusable() *Stop {
	switch {
	case p.Lines == 0:
		return &Stop{Why: p.List + " has no lines", Code: CodeUsage}
	case p.Bad > 0 && p.Told == p.Bad:
		return &Stop{Why: p.List + ": " + noLineHasOne, Code: CodeUsage, Hint: hintComment}
	case p.Bad > 0 && !p.Request.SkipInvalid:
		return &Stop{Why: fmt.Sprintf("%d of %d lines cannot be used", p.Bad, p.Lines), Code: CodeUsage,
			Hint: "correct them, or give --skip-invalid to leave them out"}
	}
	return nil
}

// Refused says why the plan must not be run as it is, or nil. The guards judge
// what is still to do, not what earlier runs did.
func (p *Plan) Refused() *Stop {
	if stop := p.Unusable(); stop != nil {
		return stop
	}
	req := &p.Request
	if p.unjudged != "" {
		return &Stop{Why: "--protect: " + p.unjudged, Code: CodeUsage, Hint: "leave --no-inventory out, or take the pattern out"}
	}
	if req.RecentlySeen > 0 && req.Inventory == nil && p.ToDo > 0 {
		return &Stop{Why: "--recently-seen cannot be judged without the inventory", Code: CodeUsage,
			Hint: "leave --no-inventory or --recently-seen out"}
	}
	if req.MaxDevices > 0 && p.ToDo > req.MaxDevices {
		return &Stop{Why: fmt.Sprintf("%d devices are to be offboarded, more than --max-devices %d allows", p.ToDo, req.MaxDevices), Code: CodeUsage,
			Hint: fmt.Sprintf("if the list is right, give --max-devices %d", p.ToDo)}
	}
	return p.tooLargeAShare()
}

// tooLargeAShare judges --max-percent. An inventory without any onboarded device
// is most likely another tenant's, and every share of it is too large.
func (p *Plan) tooLargeAShare() *Stop {
	most, inv := p.Request.MaxPercent, p.Request.Inventory
	if inv == nil || most <= 0 || most >= 100 || p.ToDo <= percentFrom || float64(p.ToDo)*100 <= most*float64(inv.Onboarded) {
		return nil
	}
	if inv.Onboarded == 0 {
		return &Stop{Why: fmt.Sprintf("%d devices are to be offboarded, and the inventory has no onboarded device: more than --max-percent %g allows", p.ToDo, most),
			Code: CodeUsage, Hint: "is this the right tenant? If it is, give --max-percent 100"}
	}
	share := math.Ceil(float64(p.ToDo) * 100 / float64(inv.Onboarded))
	return &Stop{Why: fmt.Sprintf("%d devices are to be offboarded, %g %% of the %d that are onboarded: more than --max-percent %g allows", p.ToDo, share, inv.Onboarded, most),
		Code: CodeUsage, Hint: fmt.Sprintf("is this the list of what is to go, or an export of the whole fleet? If it is right, give --max-percent %g", min(share, 100))}
}

// Target is whose devices an order is about, and where it is given.
type Target struct {
	Key  checkpoint.Key
	Host string
}

// Target is that of this session's plans. Of simulators each rehearsal has one with
// another port, and all are the same: a host would make each plan another one.
func (s *Session) Target() Target {
	if s.Simulated {
		return Target{Key: s.Key}
	}
	return Target{s.Key, s.Host}
}

// Digest names exactly this plan for this target: run --plan compares it. Its
// first half names the order: target, list and settings. The second names what
// that comes to now: what becomes of each line.
func (p *Plan) Digest(to Target) string {
	h := sha256.New()
	h.Write(p.todo.Sum(nil))
	if p.changes.sum != nil {
		h.Write(p.changes.sum.Sum(nil))
	}
	return p.order(to) + hex.EncodeToString(h.Sum(nil))[:halfDigest]
}

const halfDigest = 12 // characters

func (p *Plan) order(to Target) string {
	h, req := sha256.New(), &p.Request
	var protect []string
	if req.Protect != nil {
		protect = req.Protect.all
	}
	// None of these can fail to be written as JSON.
	json.NewEncoder(h).Encode([]any{to.Key, to.Host, req.Name, req.Comment, req.Again, req.Retry, req.SkipInvalid, req.MaxDevices, req.MaxPercent,
		req.RecentlySeen, protect, req.Canary, req.Settings, req.Inventory != nil, p.ListDigest, p.Columns})
	return hex.EncodeToString(h.Sum(nil))[:halfDigest]
}

// GoesOn says whether this is what is left of a plan that was agreed to by its
// digest: the order is the same, and nothing is to be done that was not then.
func (p *Plan) GoesOn(agreed string, to Target) bool {
	return p.ordered(agreed, to) && p.anew == 0
}

// ordered says whether an agreed plan was of the same order.
func (p *Plan) ordered(agreed string, to Target) bool {
	return len(agreed) == 2*halfDigest && strings.HasPrefix(agreed, p.order(to))
}

// Differs says in what this plan is another one than the one agreed to.
func (p *Plan) Differs(agreed string, to Target) string {
	if p.ordered(agreed, to) {
		return "target, list and flags are those of that plan; what is to be done with its devices has changed since"
	}
	return "the target, the list or a flag is another than that plan's"
}
