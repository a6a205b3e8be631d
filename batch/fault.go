package batch

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"mde-offboard/batch/defender"
)

// Fault is a panic in a goroutine of a run, as an error: left alone it would end
// the process with a code that says that nothing was sent.
type Fault struct {
	Value any
	At    string // file and line
}

func (f *Fault) Error() string {
	return fmt.Sprintf("a fault of the program itself: %s (%s)", defender.Redact(fmt.Sprint(f.Value)), f.At)
}

// guarded calls fn and makes a panic of it a *Fault.
func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Fault{Value: p, At: panickedAt()}
		}
	}()
	return fn()
}

// Unless does what may wait for somebody who never comes, such as the writer of a
// pipe: it returns what fn does, or the error of ctx when that ends first. fn is
// left behind then, with nobody to hear of it.
func Unless(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- guarded(fn) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// panickedAt is where the panic began that is being recovered from.
func panickedAt() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for panicking := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}
