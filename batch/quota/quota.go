// Package quota answers one question: when may the next call go?
//
// It is arithmetic over a history of calls. It reads no clock, waits for
// nothing and keeps nothing; the checkpoint keeps the history, and the runner
// waits.
//
// # Rule
//
// A server counts a call when it arrives, somewhere between the moment it was
// reserved and the moment it is known to be over. So a call holds its slot
// from its reservation until one window after it is over, and a call may be
// reserved at r only if, for each window of L calls in P, fewer than L calls
// are unfinished or were over after r − P − margin.
//
// # Proof
//
// Take any L+1 calls, and of them the one that was reserved last, at r. At r
// fewer than L of the others were unfinished or over after r − P, so at least
// one of them was over, and therefore had arrived, by r − P, while this one
// arrives at r or later. The two are P apart, so no window of length P, sliding
// or fixed, holds all L+1. Latency does not enter, nor does the setting of the
// two clocks; only their rates do, and the margin covers those.
//
// # Cost
//
// One round trip and one margin for each window, which is the least that a
// client can pay who does not know when its calls arrive.
//
// Token buckets cannot do this: with a burst of L and a refill of L in P they
// let through nearly 2L in one window, and safe ones (evenly spaced calls)
// need an hour for what the rule does in fourteen minutes.
package quota

import (
	"fmt"
	"slices"
	"time"
)

// Window allows Limit calls in any span of length Per.
type Window struct {
	Limit int
	Per   time.Duration
}

// Margin is what is added to Per before a slot counts as free: 0.1 % of the
// window, as two clocks that NTP slews by up to 500 ppm each can differ by as
// much, and at least 100 ms.
func (w Window) Margin() time.Duration {
	return max(100*time.Millisecond, w.Per/1000)
}

// Held is how long a call that is over still holds its slot.
func (w Window) Held() time.Duration { return w.Per + w.Margin() }

// String is for people: "100 in 1m0s".
func (w Window) String() string { return fmt.Sprintf("%d in %v", w.Limit, w.Per) }

// History is what is known of the calls of one budget. Its zero value is an
// empty history. It is not safe for use by several goroutines.
type History struct {
	open int
	over []time.Time // ascending
}

// Reserve adds a call that is not over.
func (h *History) Reserve() { h.open++ }

// Over says that one of the unfinished calls was over at t.
func (h *History) Over(t time.Time) {
	h.open--
	i := len(h.over)
	for i > 0 && h.over[i-1].After(t) {
		i--
	}
	h.over = slices.Insert(h.over, i, t)
}

// Unsent takes back a reservation whose call never left.
func (h *History) Unsent() { h.open-- }

// Open is the number of calls that are not over.
func (h *History) Open() int { return h.open }

// Forget drops calls that were over before t. Only calls that no window holds
// any more may be forgotten.
func (h *History) Forget(t time.Time) {
	i, _ := slices.BinarySearchFunc(h.over, t, time.Time.Compare)
	h.over = slices.Delete(h.over, 0, i)
}

// held is the number of slots of w that are taken at now.
func (h *History) held(w Window, now time.Time) int {
	free := now.Add(-w.Held())
	i, _ := slices.BinarySearchFunc(h.over, free, func(a, b time.Time) int {
		if a.After(b) {
			return 1
		}
		return -1
	})
	return h.open + len(h.over) - i
}

// next is the earliest moment from now on at which w has a free slot; ok is
// false if that depends on a call that is not over.
func (h *History) next(w Window, now time.Time) (at time.Time, ok bool) {
	// The slot that must come free is that of the Limit-th newest call, the
	// unfinished ones being newer than all others.
	nth := w.Limit - h.open // counted among those that are over, newest first
	if nth <= 0 {
		return time.Time{}, false
	}
	if nth > len(h.over) {
		return now, true
	}
	at = h.over[len(h.over)-nth].Add(w.Held())
	if at.Before(now) {
		at = now
	}
	return at, true
}

// Usage is how full one window is.
type Usage struct {
	Window Window
	Used   int // of its slots: never more than it has
}

// Verdict says when the next call may go.
type Verdict struct {
	// Free is how many calls may be reserved at this moment.
	Free int
	// At is the earliest moment at which a call may be reserved, if no other
	// call comes in between. It is zero while that depends on calls that are
	// not over.
	At time.Time
	// Why names what is waited for: the window, or the hold. Empty if Free > 0.
	Why string
	// Usage has an entry for each window, in the order given.
	Usage []Usage
}

// Waiting for calls in flight, as Verdict.Why gives it.
const InFlight = "calls in flight"

// Hold is the Why of a wait that the server asked for.
const Hold = "hold"

// Judge says when the next call may go, at the moment now, under all windows
// and not before hold. A window with a limit below one never opens.
func (h *History) Judge(now time.Time, windows []Window, hold time.Time) Verdict {
	v := Verdict{At: now, Free: int(^uint(0) >> 1)}
	known := true
	for _, w := range windows {
		used := h.held(w, now)
		// After a start, or with a smaller limit than before, more calls may be held
		// against a window than it has slots.
		v.Usage = append(v.Usage, Usage{w, min(used, w.Limit)})
		v.Free = min(v.Free, max(0, w.Limit-used))
		at, ok := h.next(w, now)
		switch {
		case !ok && known:
			known, v.Why = false, InFlight
		case ok && known && at.After(v.At):
			v.At, v.Why = at, w.name()
		}
	}
	if !known {
		v.At = time.Time{}
	}
	if hold.After(now) {
		v.Free = 0
		if known && hold.After(v.At) {
			v.At, v.Why = hold, Hold
		}
	}
	return v
}

// name is the word for a window of the usual lengths.
func (w Window) name() string {
	switch w.Per {
	case time.Minute:
		return "minute window"
	case time.Hour:
		return "hour window"
	}
	return fmt.Sprintf("window of %v", w.Per)
}

// Forecast says how calls to come will go.
type Forecast struct {
	Last   time.Time // when the last one goes
	Why    string    // which Why held the last wait
	InTime int       // how many go before the end that was asked about
}

// Forecast says how n calls will go if each goes as early as it may from now on
// and takes no time, and how many of them before end; a zero end is none. allowed
// maps a moment to the first one from it on at which calling is allowed at all;
// nil allows always.
func (h *History) Forecast(now time.Time, windows []Window, hold time.Time, n int, end time.Time, allowed func(time.Time) time.Time) (f Forecast) {
	f.Last = now
	if n <= 0 {
		return f
	}
	if hold.After(now) {
		f.Last, f.Why = hold, Hold
	}
	// over holds when each call, past and to come, is over, in order.
	over := slices.Clone(h.over)
	for range h.open {
		over = append(over, f.Last)
	}
	most := 1
	for _, w := range windows {
		most = max(most, w.Limit)
	}
	for range n {
		at, reason := f.Last, ""
		for _, w := range windows {
			if w.Limit < 1 || len(over) < w.Limit {
				continue
			}
			if free := over[len(over)-w.Limit].Add(w.Held()); free.After(at) {
				at, reason = free, w.name()
			}
		}
		if allowed != nil {
			if open := allowed(at); open.After(at) {
				at, reason = open, "allowed hours"
			}
		}
		if reason != "" {
			f.Why = reason
		}
		f.Last = at
		if end.IsZero() || at.Before(end) {
			f.InTime++
		}
		// No window looks further back than its limit: a forecast of a million
		// calls needs no more memory than one of some thousands.
		if len(over) > 2*most {
			over = over[:copy(over, over[len(over)-most:])]
		}
		over = append(over, at)
	}
	return f
}

// Ideal is the least time in which n calls can go under windows, counted from
// the first: what no schedule can beat.
func Ideal(windows []Window, n int) time.Duration {
	at := make([]time.Duration, n)
	for i := range at {
		if i > 0 {
			at[i] = at[i-1]
		}
		for _, w := range windows {
			if i >= w.Limit {
				at[i] = max(at[i], at[i-w.Limit]+w.Per)
			}
		}
	}
	if n < 1 {
		return 0
	}
	return at[n-1]
}
