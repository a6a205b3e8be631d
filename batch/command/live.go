package command

import (
	"fmt"
	"io"
	"sync"
	"time"

	"mde-offboard/report"
)

// live shows how something stands on standard error: drawn over and over on a
// terminal, a line now and then elsewhere.
type live struct {
	w     io.Writer
	frame *report.Frame // nil where there is no terminal
	every time.Duration // between two lines there
	last  time.Time
	done  func()
}

// live makes one; where there is no terminal it writes a line at most so often.
func (a *app) live(every time.Duration) *live {
	l := &live{w: a.picture(), every: every, done: func() {}}
	if a.draws() {
		l.frame = report.NewFrame(l.w, a.width)
		l.done = a.above.through(l.frame)
	}
	return l
}

// show draws frame, or writes line.
func (l *live) show(frame []string, line string) {
	if l.frame != nil {
		l.frame.Show(frame)
		return
	}
	if !l.last.IsZero() && time.Since(l.last) < l.every {
		return
	}
	l.last = time.Now()
	fmt.Fprintln(l.w, printable(line))
}

// close takes away what stands on the terminal.
func (l *live) close() {
	if l.frame != nil {
		l.frame.Clear()
	}
	l.done()
}

// picture is where progress is shown: nowhere where only errors or records are
// wanted.
func (a *app) picture() io.Writer {
	if a.hushed() {
		return io.Discard
	}
	return a.Stderr
}

func (a *app) hushed() bool {
	return a.global.quiet || a.global.logFormat == "json" && a.global.logFile == ""
}

// draws says whether progress is drawn over and over.
func (a *app) draws() bool { return !a.hushed() && report.ANSI(a.Stderr) }

// above is standard error for lines of text: while something is drawn there, they
// go above it.
type above struct {
	mu      sync.Mutex
	picture io.Writer // nil: nothing is drawn
}

// through sends lines through what is drawn, until it is undone.
func (w *above) through(picture io.Writer) (undo func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.picture = picture
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.picture = nil
	}
}

// Write writes whole lines for people.
func (a *app) Write(p []byte) (int, error) {
	a.above.mu.Lock()
	w := a.above.picture
	a.above.mu.Unlock()
	if w == nil {
		w = a.Stderr
	}
	return w.Write(p)
}
