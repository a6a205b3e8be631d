package input

import (
	"io"
	"strings"
	"testing"
)

// brokenReader panics when its text has been read.
type brokenReader struct{ *strings.Reader }

func (r brokenReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		panic("boom")
	}
	return n, err
}

// TestPanicWhileReadingAhead has a panic of the goroutine that reads ahead go on
// in the caller's, where it can be dealt with, and not end the process.
func TestPanicWhileReadingAhead(t *testing.T) {
	text := "MachineId,Comment\n" + strings.Repeat(strings.Repeat("a", 40)+",retired\n", 50_000)
	l, err := NewList("list.csv", brokenReader{strings.NewReader(text)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer func() {
		if got := recover(); got != "boom" {
			t.Errorf("panic of the caller = %v; want boom", got)
		}
	}()
	for {
		if _, err := l.Next(); err != nil {
			t.Fatalf("Next = %v; want a panic", err)
		}
	}
}
