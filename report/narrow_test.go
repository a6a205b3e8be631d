package report

import (
	"strings"
	"testing"

	"mde-offboard/batch/checkpoint"
)

// testNarrow shows on a phone all that a wide screen shows.
func testNarrow(t *testing.T, b *browser) {
	w := newWorld(t)
	small(w)
	p := b.tab(t)
	path := pageOf(t, w)
	for _, scheme := range []string{"light", "dark"} {
		p.media("screen", scheme)
		p.open(path, 400)
		if got := eval[[]string](p, `Array.from(document.querySelectorAll('.plain td.num, .counts .num'), e => { const r = document.createRange(); r.selectNodeContents(e); return [e.textContent, r.getBoundingClientRect().height] }).filter(x => x[1] > 32).map(x => x[0])`); len(got) > 0 {
			t.Errorf("%s: numbers are broken: %q", scheme, got)
		}
		if got := eval[int](p, `Array.from(document.querySelectorAll('.counts .means')).filter(e => e.getBoundingClientRect().height > 10).length`); got != len(statuses) {
			t.Errorf("%s: %d statuses are explained; want %d", scheme, got, len(statuses))
		}
		if got := eval[[]string](p, `['pending', 'in-progress', 'accepted'].map(c => getComputedStyle(document.querySelector('.actions .fill.' + c)).fill)`); got[0] == got[1] || got[1] == got[2] {
			t.Errorf("%s: actions that are pending, in progress and done have the colours %q; want three", scheme, got)
		}
	}
}

// testNarrowLarge reads a page of many devices on a phone: rows are as high as they
// must be, and more come as one scrolls on.
func testNarrowLarge(t *testing.T, b *browser) {
	w := newWorld(t)
	w.newBatch("b", false)
	all := listed(inDocument + 100)
	long := strings.Repeat("a-long-name.", 20) + "example"
	all[0].Name = long
	w.lines(all...)
	w.start("run", "--yes")
	w.append(checkpoint.Event{Kind: "outcome", Tasks: []checkpoint.TaskChange{{N: 1, Status: checkpoint.Accepted, Action: action(1, "Pending")}}})
	p := b.tab(t)
	p.open(pageOf(t, w), 400)
	drawn := func() int { return after[int](p, `document.querySelectorAll('#table tbody tr').length`) }
	down := func() {
		eval[bool](p, `(v => { v.scrollTop = v.scrollHeight; return true })(document.getElementById('viewport'))`)
	}
	if got := drawn(); got != 40 {
		t.Errorf("at first: %d rows; want 40", got)
	}
	if got := eval[int](p, `Array.from(document.querySelectorAll('#table tbody td > div, #table tbody td > div > *')).filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 || e.getBoundingClientRect().right > innerWidth).length`); got > 0 {
		t.Errorf("%d texts are cut", got)
	}
	if got := eval[[]float64](p, `Array.from(document.querySelectorAll('#table tbody tr')).slice(0, 2).map(e => e.getBoundingClientRect().height)`); got[0] < got[1]+100 || got[1] > 120 {
		t.Errorf("a row with a long name and one with a short one are %v high; want each as its texts are", got)
	}
	down()
	if got := drawn(); got != 80 {
		t.Errorf("scrolled on: %d rows; want 80", got)
	}
	p.click(`.filters button[data-status="0"]`)
	if got := drawn(); got != 1 {
		t.Errorf("filtered: %d rows; want 1", got)
	}
	p.click(`.filters button[data-status="-1"]`)
	down()
	p.size(1200)
	if got := after[[]int](p, rows); len(got) == 0 || len(got) > 60 {
		t.Errorf("turned: %d rows; want those in view", len(got))
	}
	p.size(400)
	if got := drawn(); got != 40 {
		t.Errorf("turned back: %d rows; want 40", got)
	}
	p.clean("narrow")
}
