package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mde-offboard/batch/checkpoint"
)

func TestPage(t *testing.T) {
	b := startBrowser(t)
	t.Run("rendered", func(t *testing.T) { testRendered(t, b) })
	t.Run("used", func(t *testing.T) { testUsed(t, b) })
	t.Run("hostile", func(t *testing.T) { testHostile(t, b) })
	t.Run("narrow", func(t *testing.T) { testNarrow(t, b) })
	t.Run("narrow, many devices", func(t *testing.T) { testNarrowLarge(t, b) })
	t.Run("without JavaScript and in print", func(t *testing.T) { testStatic(t, b) })
	t.Run("100,000 rows", func(t *testing.T) { testLarge(t, b) })
	if *update {
		screenshot(t, b)
	}
}

// screenshot makes the picture of the page that the README shows.
func screenshot(t *testing.T, b *browser) {
	w := newWorld(t)
	paced(w, 4500, 2600, 1890)
	p := b.tab(t)
	p.must("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "light"}}}, nil)
	p.open(pageOf(t, w), 1280)
	p.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": 1280, "height": 1640, "deviceScaleFactor": 1, "mobile": false}, nil)
	var shot struct {
		Data []byte `json:"data"`
	}
	p.must("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	if err := os.WriteFile(filepath.Join("..", "testdata", "report", "audit.png"), shot.Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	overflow = `document.documentElement.scrollWidth - innerWidth`
	rows     = `Array.from(document.querySelectorAll('#table tbody tr:not([hidden]):not(.space)'), tr => parseInt(tr.cells[0].textContent))`
	height   = `(s => document.querySelector(s).getBoundingClientRect().height)`
	shownNow = `document.getElementById('shown').textContent`
)

// overlaps names the labels of the chart that lie on one another.
const overlaps = `(() => { const r = Array.from(document.querySelectorAll('.chart text')).map(e => [e.getBoundingClientRect(), e.textContent]).filter(r => r[0].width > 0);
	const bad = []; r.forEach(([a, x], i) => r.slice(i + 1).forEach(([b, y]) => { if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4) bad.push(x + ' on ' + y) })); return bad })()`

func testRendered(t *testing.T, b *browser) {
	w := newWorld(t)
	paced(w, 400, 250, 100)
	middle := pageOf(t, w)
	w = newWorld(t)
	small(w)
	few := pageOf(t, w)
	w = newWorld(t)
	w.newBatch("nothing yet", true)
	none := pageOf(t, w)
	p := b.tab(t)
	for _, tt := range []struct {
		path, media, scheme, why string
		width                    int
	}{
		{middle, "screen", "light", "many devices, narrow", 400},
		{middle, "screen", "dark", "many devices, wide and dark", 1600},
		{middle, "print", "light", "many devices on A4", 690},
		{few, "screen", "light", "few devices, narrow", 400},
		{few, "screen", "light", "few devices, wide", 1600},
		{few, "print", "dark", "few devices on A4", 690},
		{none, "screen", "light", "no device, narrow", 400},
		{none, "screen", "dark", "no device, wide and dark", 1600},
	} {
		p.media(tt.media, tt.scheme)
		p.open(tt.path, tt.width)
		if got := eval[int](p, overflow); got > 0 {
			t.Errorf("%s: the page is %d pixels wider than the window", tt.why, got)
		}
		if got := eval[[]string](p, overlaps); len(got) > 0 {
			t.Errorf("%s: labels of the chart lie on others: %q", tt.why, got)
		}
		if tt.width == 400 {
			// The result of a device is in view with it, under it.
			if got := eval[int](p, `Array.from(document.querySelectorAll('#table tbody tr:not(.space)')).filter(tr => tr.cells[2].getBoundingClientRect().right > innerWidth ||
				tr.cells[2].getBoundingClientRect().top < tr.cells[1].getBoundingClientRect().bottom - 1).length`); got > 0 {
				t.Errorf("%s: %d devices do not have their result under them", tt.why, got)
			}
			if got := eval[int](p, `(v => v.scrollWidth - v.clientWidth)(document.getElementById('viewport'))`); got > 0 {
				t.Errorf("%s: the devices are %d pixels wider than their box", tt.why, got)
			}
		}
		for _, s := range []string{"h1", ".lede", "#result .counts", ".meaning", "#schedule .body", "#reasons .body", "#runs .body", "#particulars .facts"} {
			if h := eval[float64](p, fmt.Sprintf("%s(%q)", height, s)); h < 15 {
				t.Errorf("%s: %s is %v high", tt.why, s, h)
			}
		}
		p.clean(tt.why)
	}
	p.open(none, 800)
	if got := eval[string](p, `document.querySelector('.simulated').innerText + document.title`); strings.Count(got, "SIMULATED") != 2 {
		t.Errorf("a simulated batch says %q; want SIMULATED in the banner and in the title", got)
	}
}

func testUsed(t *testing.T, b *browser) {
	w := newWorld(t)
	small(w)
	p := b.tab(t)
	p.open(pageOf(t, w), 1200)
	all := []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
	expect := func(why string, want []int, shown string) {
		t.Helper()
		if got := after[[]int](p, rows); !slices.Equal(got, want) {
			t.Errorf("%s: lines %v; want %v", why, got, want)
		}
		if got := eval[string](p, shownNow); got != shown {
			t.Errorf("%s: %q; want %q", why, got, shown)
		}
	}
	expect("at first", all, "12 devices")
	p.click(`.filters button[data-status="2"]`)
	expect("filtered to refused", []int{5, 8}, "2 of 12 devices shown")
	if got := eval[string](p, `document.querySelector('.filters [aria-pressed=true]').textContent`); got != "refused 2" {
		t.Errorf("the pressed filter is %q; want the one that was clicked", got)
	}
	p.write("#q", "RESOURCENOTFOUND")
	expect("and searched, without regard to case", []int{8}, "1 of 12 devices shown")
	p.click(`.filters button[data-status="-1"]`)
	p.write("#q", device(6))
	expect("searched for a device id", []int{7}, "1 of 12 devices shown")
	p.write("#q", "no such thing")
	expect("searched in vain", []int{}, "0 of 12 devices shown")
	p.write("#q", "")
	p.click(`.filters button[data-fate="1"]`)
	expect("filtered to actions that succeeded", []int{2}, "1 of 12 devices shown")
	p.click(`.filters button[data-fate="-1"]`)
	p.click(`.filters button[data-status="2"]`)
	expect("refused and without an action", []int{5, 8}, "2 of 12 devices shown")
	p.click(`.filters button[data-fate="-2"]`)
	p.click(`.filters button[data-status="-1"]`)
	p.write("#q", device(6))
	p.media("print", "light")
	if got := eval[int](p, `Array.from(document.querySelectorAll('#table tbody tr')).filter(e => e.getBoundingClientRect().height > 0).length`); got != 12 {
		t.Errorf("printed after a search: %d rows; want all 12", got)
	}
	p.media("", "light")
	p.write("#q", "")
	expect("all again", all, "12 devices")

	sort := func(column int) string { return fmt.Sprintf("#table thead th:nth-child(%d) button", column) }
	p.click(sort(1))
	slices.Reverse(all)
	expect("sorted by line, once more", all, "12 devices")
	if got := eval[string](p, `document.querySelector('#table th').getAttribute('aria-sort')`); got != "descending" {
		t.Errorf("aria-sort = %q; want descending", got)
	}
	p.click(sort(6))
	expect("sorted by when they were called, those that were not last", []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, "12 devices")
	p.click(sort(6))
	expect("and the other way", []int{9, 8, 7, 6, 5, 4, 3, 2, 10, 11, 12, 13}, "12 devices")
	p.click(sort(3))
	expect("sorted by result", []int{2, 3, 6, 4, 9, 7, 12, 5, 8, 10, 11, 13}, "12 devices")

	link := eval[string](p, `Array.from(document.querySelectorAll('#table a'), a => a.href).find(h => h.includes('`+device(1)+`'))`)
	if want := "https://security.microsoft.com/machines/v2/" + device(1) + "/overview"; link != want {
		t.Errorf("link = %q; want %q", link, want)
	}
	p.clean("after use")
}

// nasty texts want to be markup, script, a formula or something else than they are.
var nasty = []string{
	`<script>window.pwned=1</script>`, `"><img src=x onerror="window.pwned=1">`, `</script><script>window.pwned=1</script>`, `<!--<script>`,
	`'-alert(1)-'`, "{{.Name}}", `=cmd|' /C calc'!A0`, "\u202egnp.exe\u202c", "𝔇𝔢𝔳𝔦𝔠𝔢 😀", "]]>&amp;&lt;", "a\u2028b\u2029c", "\x00\x1b[31mred", `\u003cscript\u003e`, "javascript:alert(1)", "z" + strings.Repeat("\u0335\u0489", 20),
}

// nastyWorld has such texts in everything that comes from outside.
func nastyWorld(t *testing.T, devices int) *world {
	w := newWorld(t)
	w.key.Tenant, w.key.Application, w.key.Cloud = nasty[0], nasty[1], nasty[2]
	w.newBatch(nasty[2], false)
	w.plan(checkpoint.Plan{List: nasty[1], ListDigest: nasty[0], PlanDigest: nasty[1], Columns: nasty, Options: `{"windows":["<script>window.pwned=1</script>"],"<img src=x onerror=window.pwned=1>":"</script>"}`})
	var lines []checkpoint.Line
	for n := range devices {
		bad := nasty[n%len(nasty)]
		lines = append(lines, checkpoint.Line{N: int64(n + 1), Position: int64(n + 1), File: bad, Line: n + 2, Device: bad, Name: bad, Comment: bad, Extra: nasty})
	}
	w.lines(lines...)
	w.run = w.append(checkpoint.Event{Kind: "run", Start: &checkpoint.RunStart{What: nasty[1], Who: nasty[0], Host: nasty[1], Version: nasty[2], Agreed: nasty[0]}})
	for n, bad := range nasty {
		w.call(int64(n+1), 1, answer{outcome: bad, http: 400, code: bad, message: bad, target: bad, status: checkpoint.Refused, reason: bad + "!",
			action: &checkpoint.Action{ID: bad, Type: bad, Status: bad, Requestor: bad, Created: bad, Updated: bad, Error: bad}, hold: 1})
	}
	w.end(nasty[1], 4)
	return w
}

func testHostile(t *testing.T, b *browser) {
	for _, devices := range []int{len(nasty), inDocument + 50} {
		w := nastyWorld(t, devices)
		p := b.tab(t)
		p.open(pageOf(t, w), 1600)
		why := fmt.Sprintf("hostile list of %d", devices)
		if eval[bool](p, `'pwned' in window`) {
			t.Errorf("%s: a text was run", why)
		}
		if got := eval[int](p, `document.querySelectorAll('img, iframe, object, embed, [onerror], form, base').length`); got != 0 {
			t.Errorf("%s: %d elements came from texts", why, got)
		}
		if got := eval[int](p, `document.querySelectorAll('script').length`); got != 1 {
			t.Errorf("%s: %d scripts; want our own alone", why, got)
		}
		if got := eval[int](p, `document.querySelectorAll('#table a').length`); got != 0 {
			t.Errorf("%s: %d links to what is no device id", why, got)
		}
		names := eval[[]string](p, `Array.from(document.querySelectorAll('#table .name'), e => e.textContent)`)
		for i, bad := range nasty {
			if want := visible(bad); !slices.Contains(names, want) {
				t.Errorf("%s: %q (%d) is not shown as it is; names are %q", why, want, i, names)
			}
		}
		if got := eval[string](p, `document.body.innerText`); strings.ContainsAny(got, "\u202e\x1b\x00") {
			t.Errorf("%s: a character that is not seen changes what is seen", why)
		}
		if got := eval[[]string](p, `Array.from(document.querySelectorAll('#table tbody tr:not(.space) td'), td => [td.textContent.slice(0, 20), td.scrollHeight - td.clientHeight]).filter(x => x[1] > 3).map(x => x[0])`); len(got) > 0 {
			t.Errorf("%s: texts leave their cells: %q", why, got)
		}
		for _, width := range []int{400, 320} {
			p.open(pageOf(t, w), width)
			if over := eval[int](p, overflow); over > 0 {
				t.Errorf("%s: the page is %d px wider than a window of %d", why, over, width)
			}
		}
		p.clean(why)
	}
}

func testStatic(t *testing.T, b *browser) {
	w := newWorld(t)
	small(w)
	few := pageOf(t, w)
	many := pageOf(t, crowd(t, inDocument+500))
	for _, tt := range []struct {
		path, why string
		rows      int
	}{{few, "few", 12}, {many, "many", 502}} { // 502: those that were not accepted
		p := b.tab(t)
		p.must("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
		p.open(tt.path, 1000)
		// The page's script is off, ours is not.
		if got := eval[int](p, `Array.from(document.querySelectorAll('.devices tbody tr')).filter(e => e.getBoundingClientRect().height > 0).length`); got != tt.rows {
			t.Errorf("%s without JavaScript: %d rows; want %d", tt.why, got, tt.rows)
		}
		if eval[float64](p, height+`('.tools')`) != 0 {
			t.Errorf("%s without JavaScript: there are controls that do nothing", tt.why)
		}
		p.clean(tt.why + " without JavaScript")

		p = b.tab(t)
		p.open(tt.path, 1000)
		p.media("print", "dark")
		if got := eval[int](p, `Array.from(document.querySelectorAll('.devices tbody tr:not(.space)')).filter(e => e.getBoundingClientRect().height > 0).length`); got != tt.rows {
			t.Errorf("%s in print: %d rows; want %d", tt.why, got, tt.rows)
		}
		if eval[float64](p, height+`('.tools')`)+eval[float64](p, height+`('nav')`) != 0 {
			t.Errorf("%s in print: there are controls on paper", tt.why)
		}
		if got := eval[string](p, `getComputedStyle(document.documentElement).backgroundColor`); got != "rgb(255, 255, 255)" {
			t.Errorf("%s in print: the paper is %s", tt.why, got)
		}
		p.media("", "light")
		var pdf struct {
			Data []byte `json:"data"`
		}
		p.must("Page.printToPDF", map[string]any{"preferCSSPageSize": true}, &pdf)
		if len(pdf.Data) < 10000 || !strings.HasPrefix(string(pdf.Data), "%PDF") {
			t.Errorf("%s in print: %d bytes of PDF", tt.why, len(pdf.Data))
		}
	}
	testHeadings(t, b)
	if text := string(read(t, many)); !strings.Contains(text, "all of them, with every column, are in results.csv") {
		t.Errorf("the page of many devices does not say where the CSV is")
	}
}

// crowd is a batch of many devices of which nearly all have an action: every
// fifth one is refused, the last three are pending.
func crowd(t *testing.T, devices int) *world {
	t.Helper()
	w := newWorld(t)
	w.newBatch("crowd", false)
	w.plan(checkpoint.Plan{List: "crowd.csv", ListDigest: strings.Repeat("c", 64), Options: settings})
	lines := listed(devices)
	for i := range lines {
		lines[i].Comment = fmt.Sprintf("%s, room %d, ordered by %s", lines[i].Comment, i, device(i))
	}
	for len(lines) > 0 {
		n := min(5000, len(lines))
		w.lines(lines[:n]...)
		lines = lines[n:]
	}
	w.start("run", "--yes")
	why := "OsPlatformNotSupported"
	var changes []checkpoint.TaskChange
	for n := 1; n <= devices-3; n++ {
		c := checkpoint.TaskChange{N: int64(n), Status: checkpoint.Accepted, Action: action(n, "Pending")}
		if n%5 == 0 {
			c = checkpoint.TaskChange{N: int64(n), Status: checkpoint.Refused, Reason: &why}
		}
		changes = append(changes, c)
	}
	for len(changes) > 0 {
		n := min(5000, len(changes))
		w.append(checkpoint.Event{Kind: "outcome", Tasks: changes[:n]})
		changes = changes[n:]
	}
	w.end("the number of calls was used up", 4)
	return w
}

func testLarge(t *testing.T, b *browser) {
	if testing.Short() {
		t.Skip("making a batch of 100,000 devices takes seconds")
	}
	const devices = 100_000
	path := pageOf(t, crowd(t, devices))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Size(); got > 60<<20 {
		t.Errorf("the page of %d devices has %d bytes; want at most 60 MB", devices, got)
	}
	p := b.tab(t)
	p.open(path, 1600)
	// What takes long with so many rows is to make and lay them out, so what was
	// made since the last look is counted, and not the time.
	eval[bool](p, `(window.made = 0, new MutationObserver(all => all.forEach(m => made += m.addedNodes.length)).observe(document.querySelector('#table tbody'), {childList: true}), true)`)
	inDoc := func(why string) {
		t.Helper()
		if n := eval[int](p, `document.querySelectorAll('#table tbody tr').length`); n > 60 {
			t.Errorf("%s: %d rows are in the document; want those in view", why, n)
		}
		if n := after[int](p, `[made, made = 0][0]`); n > 4*60 { // two clicks, each drawn again where rows turn out higher
			t.Errorf("%s: %d rows were made; want those in view", why, n)
		}
	}
	see := func(why string, line int) {
		t.Helper()
		if got := after[[]int](p, rows); !slices.Contains(got, line) {
			t.Errorf("%s: line %d is not in view, but %v", why, line, got)
		}
		inDoc(why)
	}
	see("at first", 2)
	eval[bool](p, `(v => { v.scrollTop = v.scrollHeight / 2; return true })(document.getElementById('viewport'))`)
	see("in the middle", devices/2)
	eval[bool](p, `(v => { v.scrollTop = v.scrollHeight; return true })(document.getElementById('viewport'))`)
	see("at the end", devices+1)
	p.click(`.filters button[data-status="2"]`)
	see("filtered to refused", 6)
	if got := eval[string](p, shownNow); got != "19,999 of 100,000 devices shown" {
		t.Errorf("filtered to refused: %q", got)
	}
	p.click(`.filters button[data-status="-1"]`)
	p.write("#q", device(77_777))
	// The search waits until nobody types any more.
	eval[bool](p, `new Promise(ok => { const e = document.getElementById('shown'); (function look() { e.textContent.startsWith('2 of') ? ok(true) : requestAnimationFrame(look) })() })`)
	if got := eval[[]int](p, rows); !slices.Equal(got, []int{77_778, 77_779}) {
		t.Errorf("searched for a device, that is also in a comment: lines %v; want 77778 and 77779", got)
	}
	inDoc("searched")
	p.write("#q", "")
	eval[bool](p, `new Promise(ok => { const e = document.getElementById('shown'); (function look() { e.textContent === '100,000 devices' ? ok(true) : requestAnimationFrame(look) })() })`)
	p.click("#table thead th:nth-child(2) button")
	p.click("#table thead th:nth-child(2) button")
	see("sorted by name, backwards", devices) // lap-99999, before lap-100000
	p.clean("large")
}
