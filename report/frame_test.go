package report

import (
	"fmt"
	"strings"
	"testing"
)

// TestFrame draws what is too long, what is not text, and fewer lines than
// before; writes above it; and takes it away.
func TestFrame(t *testing.T) {
	s := &screen{width: 30}
	f := NewFrame(s, func() int { return s.width })
	check := func(why, want string) {
		t.Helper()
		if got := s.String(); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", why, got, want)
		}
	}
	fmt.Fprintln(f, "before")
	f.Show([]string{"a line that is longer than the terminal is wide", "two", "three"})
	check("a long line", "before\na line that is longer than th\ntwo\nthree")
	f.Show([]string{"Pen\x1b[2Jding\u202e", "two"})
	check("no text, and fewer lines", "before\nPen[2Jding\ntwo")
	fmt.Fprintln(f, "above")
	check("a line above", "before\nabove\nPen[2Jding\ntwo")
	f.Show([]string{strings.Repeat("x", 29)})
	broken := append(append([]string{}, s.rows[:2]...), strings.Repeat("x", 25), "xxxx")
	s.width, s.rows, s.row, s.col = 25, broken, 4, 0
	f.Show([]string{"narrow"})
	check("a terminal that got narrower", "before\nabove\nnarrow")
	f.Clear()
	fmt.Fprintln(f, "after")
	check("taken away", "before\nabove\nafter")
	f.Show([]string{"stays"})
	f.Leave()
	f.Show([]string{"next"})
	check("left", "before\nabove\nafter\nstays\nnext")
}
