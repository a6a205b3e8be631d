package report

import (
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
	frame  *Frame    // nil where there is no terminal
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
	d := &Display{w: w, opt: opt}
	if opt.Terminal {
		d.frame = NewFrame(w, opt.Width)
	}
	return d
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
	d.closed = true
	if d.frame != nil {
		d.frame.Leave()
	}
}

// Write writes something else, such as a log, to the display's writer without
// tearing the picture: whole lines only.
func (d *Display) Write(p []byte) (int, error) {
	if d.frame != nil {
		return d.frame.Write(p)
	}
	return d.w.Write(p)
}

// draw shows the last state.
func (d *Display) draw() {
	d.shown, d.stale = time.Now(), false
	v := view{d.last, d.opt, d.shown}
	if d.frame == nil {
		io.WriteString(d.w, v.line()+"\n")
		return
	}
	width := d.frame.Columns()
	d.frame.Show([]string{d.bar.line(v, width), v.counts(width), v.state(width)})
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
