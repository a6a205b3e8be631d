package report

import (
	"bytes"
	"compress/zlib"
	"io"
	"strings"
	"testing"
)

// testHeadings prints a table of several pages: each has the headings of its
// columns, whatever the script made of them, and no heading stands alone.
func testHeadings(t *testing.T, b *browser) {
	w := newWorld(t)
	paced(w, 150, 100)
	p := b.tab(t)
	p.open(pageOf(t, w), 1000)
	// What is drawn in a colour of its own is found in a PDF.
	eval[int](p, `document.styleSheets[0].insertRule('@media print{.devices thead th{color:#f0f!important}.devices tbody .name{color:#0ff!important}}', document.styleSheets[0].cssRules.length)`)
	var pdf struct {
		Data []byte `json:"data"`
	}
	p.must("Page.printToPDF", map[string]any{"preferCSSPageSize": true}, &pdf)
	pages, headed := 0, 0
	for _, page := range drawings(pdf.Data) {
		heads, names := strings.Contains(page, " 1 0 1 rg"), strings.Contains(page, " 0 1 1 rg")
		if heads || names {
			pages++
		}
		if heads && names {
			headed++
		}
	}
	if pages < 3 || headed != pages {
		t.Errorf("printed: %d of %d pages with devices have the headings above them; want all of at least 3", headed, pages)
	}
}

// drawings are what a PDF draws, page by page.
func drawings(pdf []byte) (all []string) {
	for _, part := range bytes.Split(pdf, []byte("stream\n"))[1:] {
		r, err := zlib.NewReader(bytes.NewReader(part))
		if err != nil {
			continue
		}
		if raw, err := io.ReadAll(r); err == nil {
			all = append(all, string(raw))
		}
	}
	return all
}
