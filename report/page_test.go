package report

import (
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mde-offboard/batch/checkpoint"
)

// pageOf writes the audit page of a batch, and nothing else.
func pageOf(t *testing.T, w *world) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.html")
	if err := w.s.View(t.Context(), func(r checkpoint.Reader) error {
		a, err := gather(t.Context(), r, w.batch)
		if err != nil {
			return err
		}
		return checkpoint.WriteFile(path, func(out io.Writer) error { return a.writePage(out, r) })
	}); err != nil {
		t.Fatal(err)
	}
	return path
}

// The policy in the page lets in exactly the style and the script that are there.
func TestPagePolicy(t *testing.T) {
	w := newWorld(t)
	small(w)
	html := string(read(t, pageOf(t, w)))
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(html)[1]
	for _, element := range []string{"style", "script"} {
		m := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(html, -1)
		if len(m) != 1 {
			t.Fatalf("%d <%s>; want 1", len(m), element)
		}
		want := strings.ReplaceAll(sourceHash(m[0][1]), "'", "&#39;")
		if !strings.Contains(strings.ReplaceAll(policy, "&#43;", "+"), want) {
			t.Errorf("policy %s has not %s of the <%s>", policy, want, element)
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src &#39;none&#39;") {
		t.Errorf("policy = %s; want nothing but what is named", policy)
	}
	for _, foreign := range []string{"<link rel=\"stylesheet", "src=", "@import", " style=", " onclick="} {
		if strings.Contains(html, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
}

// A batch that was taken back says so first, and promises no more calls.
func TestPageOfClosedBatch(t *testing.T) {
	for _, tt := range []struct{ closed, want, pending string }{
		{"", "Of 12 devices, 3 accepted", "Not called yet, or without an answer that counts so far."},
		{"cancelled by anna on OPS-07 at 2026-11-23T07:00:00Z",
			"This batch is closed, cancelled by anna on OPS-07 at 23 Nov 2026, 07:00:00 UTC. Of 12 devices, 3 accepted", "Not called, or without an answer that counts. The batch is closed."},
		{"cancel of some devices is under way, begun by anna", "Of 12 devices, 3 accepted", "Not called yet, or without an answer that counts so far."},
	} {
		w := newWorld(t)
		small(w)
		why := "turned away while others are answered: a page"
		w.append(checkpoint.Event{Kind: "turned-away", Tasks: []checkpoint.TaskChange{{N: 11, Reason: &why}}})
		if tt.closed != "" {
			w.append(checkpoint.Event{Kind: "close", Closed: &tt.closed})
		}
		page := string(read(t, write(t, w, FolderOptions{})+"/audit.html"))
		closed, _, _ := strings.Cut(tt.closed, " at ")
		if !strings.Contains(page, `<p class="lede">`+tt.want) || !strings.Contains(page, closed) || strings.Contains(page, "T07:00:00Z") {
			t.Errorf("the page of a batch closed %q does not begin with %q", tt.closed, tt.want)
		}
		if !strings.Contains(page, `<td class="means">`+tt.pending+`</td>`) {
			t.Errorf("the page of a batch closed %q does not say of what is pending: %q", tt.closed, tt.pending)
		}
		if !strings.Contains(page, `<span class="chip pending">pending</span></td><td><bdi>`+why+`</bdi>`) {
			t.Errorf("the page of a batch closed %q does not say among the reasons that a device was turned away", tt.closed)
		}
	}
}

// A page of many devices has up to 2,000 of those that were not accepted as they
// are, and no more.
func TestPageStaticRows(t *testing.T) {
	for _, tt := range []struct{ devices, want int }{{inDocument, inDocument}, {inDocument + 1, inDocument}, {inDocument + 100, inDocument}} {
		w := newWorld(t)
		w.newBatch("b", false)
		w.lines(listed(tt.devices)...)
		if got := strings.Count(string(read(t, pageOf(t, w))), "<tr data-status="); got != tt.want {
			t.Errorf("the page of %d devices, all pending, has %d rows; want %d", tt.devices, got, tt.want)
		}
	}
}

// What is accepted is told by what became of its actions since.
func TestPageOfFates(t *testing.T) {
	const before = "Defender recorded a machine action. "
	for _, tt := range []struct {
		statuses    []string // of the actions
		lede, means string
		followed    bool // nobody has to be told to track
	}{
		{[]string{"Pending", "InProgress", "Paused", ""}, "4 accepted.", before + "The device acts on it when it next comes online.", false},
		{[]string{"Cancelled", "Canceled"}, "2 accepted (2 cancelled since).", before + "Of these, 2 cancelled since: none is open.", true},
		{[]string{"Succeeded", "Failed", "TimeOut", "Cancelled", "Pending"}, "5 accepted (1 succeeded, 2 failed or timed out and 1 cancelled since).",
			before + "Of these, 1 succeeded, 2 failed or timed out and 1 cancelled since. 1 is open: its device acts when it next comes online.", false},
	} {
		w := newWorld(t)
		w.newBatch("b", false)
		w.plan(checkpoint.Plan{Options: settings})
		w.lines(listed(len(tt.statuses))...)
		w.start("run", "--yes")
		for i, status := range tt.statuses {
			a := accepted(i + 1)
			a.action.Status = status
			w.call(int64(i+1), 1, a)
		}
		page := string(read(t, pageOf(t, w)))
		if !strings.Contains(page, tt.lede+"</p>") || !strings.Contains(page, ">"+tt.means+"</td>") {
			t.Errorf("the page of actions %q does not say %q and %q", tt.statuses, tt.lede, tt.means)
		}
		if got := !strings.Contains(page, "They have not been followed up since"); got != tt.followed {
			t.Errorf("the page of actions %q says they were followed up or need not be: %v; want %v", tt.statuses, got, tt.followed)
		}
	}
}

// What is not seen but changes what is seen is shown.
func TestVisible(t *testing.T) {
	for _, tt := range []struct{ in, want, why string }{
		{"lap-0001\n\tÅse ❤️", "lap-0001\n\tÅse ❤️", "nothing is hidden, the selector of an emoji included"},
		{"a\u202eb", "a[U+202E]b", "the other direction"},
		{"soft\u00adhyphen", "soft[U+00AD]hyphen", "shown at the end of a line only"},
		{"a\u2028b\u2029c", "a[U+2028]b[U+2029]c", "line and paragraph"},
		{"a\ufff9b\ufffac\ufffb", "a[U+FFF9]b[U+FFFA]c[U+FFFB]", "annotations"},
		{"\u115f\u1160\u3164\uffa0", "[U+115F][U+1160][U+3164][U+FFA0]", "letters without a shape"},
		{"a\U000e0041\U000e007f\U000e0100", "a[U+E0041][U+E007F][U+E0100]", "tags and selectors, in which a text can be hidden"},
		{"\u0600١", "\u0600١", "a sign before a number is seen"},
		{"e\u0302\u0301\u0323\u0331", "e\u0302\u0301\u0323\u0331", "as many marks as a script may need"},
		{"z" + strings.Repeat("\u0335", 9) + "ap", "z" + strings.Repeat("\u0335", 4) + "[5 more marks]ap", "marks that pile up"},
		{strings.Repeat("\u0489", 5), strings.Repeat("\u0489", 4) + "[1 more marks]", "marks that enclose, on nothing"},
	} {
		if got := visible(tt.in); got != tt.want {
			t.Errorf("visible(%q) = %q; want %q (%s)", tt.in, got, tt.want, tt.why)
		}
	}
}

func TestPortal(t *testing.T) {
	for _, tt := range []struct {
		cloud, device string
		simulated     bool
		want          string
	}{
		{"api.security.microsoft.com", device(1), false, "https://security.microsoft.com/machines/v2/" + device(1) + "/overview"},
		{"api-gcc.securitycenter.microsoft.us", device(1), false, "https://security.microsoft.com/machines/v2/" + device(1) + "/overview"},
		{"api-gov.securitycenter.microsoft.us", device(1), false, ""},
		{"commercial", device(1), true, ""},
		{"commercial", "javascript:alert(1)", false, ""},
		{"commercial", strings.Repeat("\"", 40), false, ""},
	} {
		a := &audit{batch: checkpoint.Batch{Key: checkpoint.Key{Cloud: tt.cloud}, Simulated: tt.simulated}}
		if got := a.portal(tt.device); got != tt.want {
			t.Errorf("portal(%q) in %s, simulated %v = %q; want %q", tt.device, tt.cloud, tt.simulated, got, tt.want)
		}
	}
}

// The rows of a large page are what the script expects.
func TestCompactRows(t *testing.T) {
	w := crowd(t, inDocument+1)
	html := string(read(t, pageOf(t, w)))
	m := regexp.MustCompile(`(?s)<script type="application/json" id="rows">(.*?)</script>`).FindStringSubmatch(html)
	if m == nil {
		t.Fatal("the page has no rows")
	}
	var data struct {
		Rows     [][]any  `json:"rows"`
		Statuses []string `json:"statuses"`
		Portal   string   `json:"portal"`
		Strings  []string `json:"strings"`
	}
	if err := json.Unmarshal([]byte(m[1]), &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Rows) != inDocument+1 || data.Statuses[0] != "accepted" || data.Strings[0] != "" || !strings.Contains(data.Portal, "{id}") {
		t.Errorf("%d rows, statuses %v, portal %q; want %d rows", len(data.Rows), data.Statuses, data.Portal, inDocument+1)
	}
	if row := data.Rows[0]; len(row) != 13 || row[12] != 0.0 || row[0] != 2.0 || row[1] != device(1) || row[2] != "lap-00001.corp.example" || row[3] != 0.0 {
		t.Errorf("first row = %v", row)
	}
}
