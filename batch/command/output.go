package command

import (
	"errors"
	"io"
	"runtime"
	"syscall"
)

// output is standard output whose reader may go away, as head does when it has
// seen enough: what is written after that is lost, and nothing else.
type output struct{ io.Writer }

// Write says of a reader that is gone that it took all.
func (o output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if readerGone(err) {
		return len(p), nil
	}
	return n, err
}

// readerGone says whether a write failed because nobody reads any more.
func readerGone(err error) bool {
	if runtime.GOOS == "windows" {
		const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232)
		return errors.Is(err, brokenPipe) || errors.Is(err, noData)
	}
	return errors.Is(err, syscall.EPIPE)
}
