package batch

import (
	"cmp"
	"slices"

	"mde-offboard/batch/checkpoint"
)

// matcher finds the task of a line: that of the same device, the first for its
// first line, the second for a duplicate.
type matcher struct {
	byDevice map[string][]*checkpoint.Task
	next     int64
	resumed  bool
	order    []string
	late     []checkpoint.Line // that get what the others leave
	waits    map[string]bool   // devices of these
}

func newMatcher(have []checkpoint.Task) *matcher {
	m := &matcher{byDevice: map[string][]*checkpoint.Task{}, waits: map[string]bool{}, resumed: len(have) > 0}
	for i := range have {
		t := &have[i]
		if m.byDevice[t.Device] == nil {
			m.order = append(m.order, t.Device)
		}
		m.byDevice[t.Device] = append(m.byDevice[t.Device], t)
		m.next = max(m.next, t.N)
	}
	for _, ts := range m.byDevice {
		// The task that was or would be sent comes first, the skipped ones after,
		// alike ones in the order of the list, and then what is not in it any more.
		slices.SortStableFunc(ts, func(a, b *checkpoint.Task) int {
			return cmp.Or(weight(a)-weight(b), cmp.Compare(uint64(a.Position-1), uint64(b.Position-1)))
		})
	}
	return m
}

func weight(t *checkpoint.Task) int {
	switch {
	case t.Attempt != 0 || t.Action.ID != "":
		return 0
	case t.Status != checkpoint.Skipped:
		return 1
	}
	return 2
}

// noTask is that of a line that no earlier run knew.
var noTask checkpoint.Task

func (m *matcher) take(device string) (*checkpoint.Task, bool) {
	ts := m.byDevice[device]
	if len(ts) == 0 {
		return &noTask, false
	}
	m.byDevice[device] = ts[1:]
	return ts[0], true
}

// wait puts off a line that is bad, and what follows of its device and is not to
// be sent either, until all lines are read: the device's task belongs to its good
// line, wherever that stands.
func (m *matcher) wait(l *checkpoint.Line, bad bool) bool {
	if l.Status == "" || !m.waits[l.Device] && (!bad || len(m.byDevice[l.Device]) == 0) {
		return false
	}
	m.waits[l.Device] = true
	m.late = append(m.late, *l)
	return true
}

func (m *matcher) fresh() int64 { m.next++; return m.next }

// rest are the tasks that no line was found for, in their order.
func (m *matcher) rest() (left []*checkpoint.Task) {
	for _, device := range m.order {
		left = append(left, m.byDevice[device]...)
	}
	slices.SortFunc(left, func(a, b *checkpoint.Task) int { return int(a.N - b.N) })
	return left
}
