package batch

import (
	"errors"
	"fmt"
	"time"
)

// InventoryLife is how long an inventory serves after it was read.
const InventoryLife = time.Hour

// ErrNewPlan says that a run has ended so that its plan is made anew, since what it
// was judged by may have changed.
var ErrNewPlan = errors.New("the plan is made anew")

// judgedBy is what a plan was judged by that may change while a run of it waits.
type judgedBy struct {
	inventory time.Time // when it was read; zero: none was
	protects  bool      // there are protect files
}

func (p *Plan) judgedBy() (by judgedBy) {
	if inv := p.Request.Inventory; inv != nil {
		by.inventory = inv.At
	}
	by.protects = p.Request.Protect != nil
	return by
}

// outdated says why a plan serves no more, or nil; waited: for the hours, which is
// when people add to a protect file. What nothing was judged by is as it was.
func (by judgedBy) outdated(now time.Time, waited bool) *Stop {
	why := ""
	switch {
	case !by.inventory.IsZero() && now.Sub(by.inventory) > InventoryLife:
		why = fmt.Sprintf("the inventory is older than %v", InventoryLife)
	case waited && by.protects:
		why = "the hours were waited for"
	default:
		return nil
	}
	return &Stop{Why: why, Err: ErrNewPlan, Code: CodeStopped, Hint: "the same command goes on"}
}

// Outdated says why the plan must not be run any more, or nil: somebody may have
// thought about it for long.
func (p *Plan) Outdated(now time.Time) *Stop { return p.judgedBy().outdated(now, false) }
