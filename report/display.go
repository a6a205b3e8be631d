package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"mde-offboard/batch"
)

// DisplayOptions say where and how progress is shown. The zero value is for a
// file or a pipe.
type DisplayOptions struct {
	Terminal bool           // the writer is a terminal that understands ANSI codes
	Width    func() int     // of the terminal, asked before each frame; nil: 80
	Unicode  bool           // the writer can show more than ASCII
	Zone     *time.Location // of the clock times; nil: the local one
}

const (
	frameEvery = 100 * time.Millisecond // at most so often is a terminal drawn anew
	lineEvery  = 30 * time.Second       // so often a line is written where there is none
)

// Display shows the progress of a run: three lines that are drawn over and over
// on a terminal; elsewhere one line at the start, one every 30 s and one at the
// end. Its methods may be called from several goroutines.
//
// It shows what it is given and computes no forecast: progress is as fast as the
// quota allows, so the past rate, which progress bars extrapolate, says nothing.
//
// A display never fails: a run must not end because nobody can watch it.
type Display struct {
	w   io.Writer
	opt DisplayOptions

	mu     sync.Mutex
	last   batch.Progress
	any    bool      // last was set
	shown  time.Time // when something was drawn or written
	stale  bool      // last has not been drawn
	frame  []string  // what stands on the terminal
	bar    bar
	closed bool
}

// NewDisplay makes a display on w, which should be standard error.
func NewDisplay(w io.Writer, opt DisplayOptions) *Display {
	if opt.Width == nil {
		opt.Width = func() int { return 80 }
	}
	if opt.Zone == nil {
		opt.Zone = time.Local
	}
	return &Display{w: w, opt: opt}
}

// Show takes the newest state of the run. It should come once a second, also
// while nothing happens.
func (d *Display) Show(p batch.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	first := !d.any
	d.last, d.any, d.stale = p, true, true
	every := lineEvery
	if d.opt.Terminal {
		every = frameEvery
	}
	if first || time.Since(d.shown) >= every {
		d.draw()
	}
}

// Close shows the last state, if it was not shown, and leaves it standing.
func (d *Display) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stale && !d.closed {
		d.draw()
	}
	d.closed, d.frame = true, nil
}

// Write writes something else, such as a log, to the display's writer without
// tearing the picture: whole lines only.
func (d *Display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.frame) == 0 {
		return d.w.Write(p)
	}
	var b bytes.Buffer
	d.erase(&b, d.opt.Width())
	b.Write(p)
	d.frame = nil
	d.paint(&b)
	if _, err := d.w.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// draw shows the last state.
func (d *Display) draw() {
	d.shown, d.stale = time.Now(), false
	if !d.opt.Terminal {
		v := view{d.last, d.opt, d.shown}
		io.WriteString(d.w, v.line()+"\n")
		return
	}
	var b bytes.Buffer
	d.paint(&b)
	d.w.Write(b.Bytes())
}

// paint draws the frame over the one before it, in one write, so that nothing
// flickers. The cursor stays at the beginning of the line below.
func (d *Display) paint(b *bytes.Buffer) {
	width := max(20, d.opt.Width()-1) // the last column makes some terminals wrap
	v := view{d.last, d.opt, d.shown}
	lines := []string{d.bar.line(v, width), v.counts(width), v.state(width)}
	d.erase(b, width+1)
	for _, line := range lines {
		fmt.Fprintf(b, "%s\x1b[K\n", line)
	}
	d.frame = lines
}

// erase goes back to where the frame begins and clears it. A terminal that has
// been made narrower since has broken its lines.
func (d *Display) erase(b *bytes.Buffer, width int) {
	up := 0
	for _, line := range d.frame {
		up += 1 + max(0, cells(line)-1)/max(1, width)
	}
	if up > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", up)
	}
}

// UTF8 reports whether the environment of a Unix program asks for UTF-8.
func UTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}
