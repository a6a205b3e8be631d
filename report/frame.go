package report

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Frame is lines on a terminal that are drawn over and over. Its methods may be
// called from several goroutines.
type Frame struct {
	w     io.Writer
	width func() int

	mu    sync.Mutex
	lines []string // that stand there
}

// NewFrame makes one on a terminal of a width that is asked before each drawing.
func NewFrame(w io.Writer, width func() int) *Frame { return &Frame{w: w, width: width} }

// Columns is how long a line may be now: the last column makes some terminals
// wrap.
func (f *Frame) Columns() int { return max(20, f.width()-1) }

// Show puts lines in the place of those that stand there. The cursor stays at
// the beginning of the line below.
func (f *Frame) Show(lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draw(nil, lines)
}

// Write writes something else, such as a log, above the frame: whole lines only.
func (f *Frame) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lines) == 0 {
		return f.w.Write(p)
	}
	if err := f.draw(p, f.lines); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Clear takes the lines away.
func (f *Frame) Clear() { f.Show(nil) }

// Leave lets the lines stand for good.
func (f *Frame) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = nil
}

// draw takes away what stands there and writes other text and then lines, all in
// one, so that nothing flickers.
func (f *Frame) draw(above []byte, lines []string) error {
	var b bytes.Buffer
	f.erase(&b)
	b.Write(above)
	columns := f.Columns()
	f.lines = make([]string, len(lines))
	for i, line := range lines {
		f.lines[i] = Cut(Plain(line), columns)
		fmt.Fprintf(&b, "%s\x1b[K\n", f.lines[i])
	}
	_, err := f.w.Write(b.Bytes())
	return err
}

// erase goes back to where the frame begins and clears it. A terminal that has
// been made narrower since has broken its lines.
func (f *Frame) erase(b *bytes.Buffer) {
	up, width := 0, max(1, f.width())
	for _, line := range f.lines {
		up += 1 + max(0, cells(line)-1)/width
	}
	if up > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", up)
	}
}
