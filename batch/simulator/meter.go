package simulator

import (
	"fmt"
	"time"
)

// meter counts the arrivals of one quota key: it is the judge of what arrived and the server's own
// limiter in one. An arrival that is refused counts like any other.
type meter struct {
	arrivals []time.Time
	windows  [2]window
	until    time.Time // the hold: calls before it are refused whatever the windows say
}

// window is one rule of a quota, and the densest stretch of its length that was seen.
type window struct {
	per     time.Duration
	limit   int
	tail    int // arrivals before it are out of the sliding window
	densest int
	start   time.Time // of the fixed window
	inFixed int
}

func newMeter(o *Options) *meter {
	return &meter{windows: [2]window{{per: o.Minute, limit: o.PerMinute}, {per: o.Hour, limit: o.PerHour}}}
}

// arrive counts an arrival. Two calls that are exactly one window apart are not in the same window.
func (m *meter) arrive(now time.Time) {
	m.arrivals = append(m.arrivals, now)
	for i := range m.windows {
		w := &m.windows[i]
		for !m.arrivals[w.tail].Add(w.per).After(now) {
			w.tail++
		}
		w.densest = max(w.densest, len(m.arrivals)-w.tail)
		if start := now.Truncate(w.per); start.Equal(w.start) {
			w.inFixed++
		} else {
			w.start, w.inFixed = start, 1
		}
	}
}

// over says whether the arrival that was counted last is one too many, by which window, and when the
// next call is allowed.
func (m *meter) over(fixed bool, now time.Time) (*window, time.Time) {
	var full *window
	free := m.until
	for i := range m.windows {
		w := &m.windows[i]
		var opens time.Time
		switch n := len(m.arrivals); {
		case fixed && w.inFixed > w.limit:
			opens = w.start.Add(w.per)
		case !fixed && n-w.tail > w.limit:
			opens = m.arrivals[n-w.limit].Add(w.per)
		default:
			continue
		}
		if full == nil || opens.After(free) {
			full = w
		}
		if opens.After(free) {
			free = opens
		}
	}
	if full == nil && now.Before(m.until) {
		full = &m.windows[0]
	}
	return full, free
}

// String names the window as the API's own message does: 100 per 00:01:00.
func (w *window) String() string {
	s := int(w.per / time.Second)
	return fmt.Sprintf("%d per %02d:%02d:%02d", w.limit, s/3600, s/60%60, s%60)
}
