package command

import (
	"fmt"
	"io"
	"strings"
	"time"

	"mde-offboard/report"
)

// live shows how something stands on standard error: drawn over and over on a
// terminal, a line now and then elsewhere.
type live struct {
	w        io.Writer
	terminal bool
	drawn    int           // lines that stand on the terminal
	every    time.Duration // between two lines where there is no terminal
	last     time.Time
}

// live makes one; where there is no terminal it writes a line at most so often.
func (a *app) live(every time.Duration) *live {
	l := &live{w: a.Stderr, terminal: report.ANSI(a.Stderr), every: every}
	if a.global.quiet || a.global.logFormat == "json" && a.global.logFile == "" {
		l.w = io.Discard
	}
	return l
}

// show draws frame, or writes line.
func (l *live) show(frame []string, line string) {
	if l.terminal {
		l.clear()
		fmt.Fprintln(l.w, strings.Join(frame, "\n"))
		l.drawn = len(frame)
		return
	}
	if !l.last.IsZero() && time.Since(l.last) < l.every {
		return
	}
	l.last = time.Now()
	fmt.Fprintln(l.w, line)
}

// clear takes away what stands on the terminal.
func (l *live) clear() {
	if l.drawn > 0 {
		fmt.Fprintf(l.w, "\x1b[%dA\x1b[J", l.drawn)
		l.drawn = 0
	}
}
