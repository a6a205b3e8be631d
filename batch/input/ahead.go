package input

import (
	"io"
	"os"
	"sync"
)

// A list is read in two goroutines of its own, its text ahead of its rows and its
// rows ahead of the caller, in batches: so on two processors the reading of a list
// and what is done with its rows go on at the same time.
const (
	batchBytes   = 32 << 10
	batchRows    = 256
	batchesAhead = 4
)

// ahead is what a goroutine of its own makes ready for the one that takes it.
type ahead[T any] struct {
	batches chan batch[T]
	used    chan []T // to be filled again: fresh memory is slow
	stopped chan struct{}
	once    sync.Once

	rest  []T // of the batch at hand, not yet taken
	batch batch[T]
	err   error // for good
}

// batch is some items and, in the last batch, the error that comes after them.
type batch[T any] struct {
	items    []T
	err      error
	panicked any // in the goroutine; it goes on in the one that takes the batch
}

// readAhead begins to fill batches of a size. Until fill has returned an error or
// stop is called, only the goroutine may touch what it reads from.
func readAhead[T any](size int, fill func([]T) (int, error)) *ahead[T] {
	a := &ahead[T]{
		batches: make(chan batch[T], batchesAhead),
		used:    make(chan []T, batchesAhead+1),
		stopped: make(chan struct{}),
	}
	go func() {
		for {
			b := a.filled(size, fill)
			select {
			case a.batches <- b:
			case <-a.stopped:
				return
			}
			if b.err != nil || b.panicked != nil {
				return
			}
		}
	}()
	return a
}

// filled returns the next batch.
func (a *ahead[T]) filled(size int, fill func([]T) (int, error)) (b batch[T]) {
	defer func() {
		if p := recover(); p != nil {
			b = batch[T]{panicked: p}
		}
	}()
	select {
	case b.items = <-a.used:
	default:
		b.items = make([]T, size)
	}
	n, err := fill(b.items[:size])
	b.items, b.err = b.items[:n], err
	return b
}

// more sees to it that there is a rest, or returns the error that ended it all:
// os.ErrClosed after stop.
func (a *ahead[T]) more() error {
	for a.err == nil && len(a.rest) == 0 {
		if a.err = a.batch.err; a.err != nil {
			break
		}
		if a.batch.panicked != nil {
			panic(a.batch.panicked)
		}
		a.giveBack()
		select {
		case a.batch = <-a.batches:
			a.rest = a.batch.items
		case <-a.stopped:
			a.err = os.ErrClosed
		}
	}
	return a.err
}

// giveBack lets the goroutine have the last batch's memory, if it wants it.
func (a *ahead[T]) giveBack() {
	if a.batch.items != nil {
		select {
		case a.used <- a.batch.items:
		default:
		}
	}
	a.batch = batch[T]{}
}

// stop lets the goroutine end without reading on.
func (a *ahead[T]) stop() { a.once.Do(func() { close(a.stopped) }) }

// aheadText is a text that is read ahead once start was called.
type aheadText struct {
	r     io.Reader
	ahead *ahead[byte]
}

func (t *aheadText) start() {
	t.ahead = readAhead(batchBytes, func(p []byte) (int, error) {
		n, err := io.ReadFull(t.r, p)
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		return n, err
	})
}

// Read is io.Reader's.
func (t *aheadText) Read(p []byte) (int, error) {
	if t.ahead == nil {
		return t.r.Read(p)
	}
	if err := t.ahead.more(); err != nil {
		return 0, err
	}
	n := copy(p, t.ahead.rest)
	t.ahead.rest = t.ahead.rest[n:]
	return n, nil
}
