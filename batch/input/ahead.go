package input

import (
	"os"
	"sync"
)

// Rows are read ahead of the caller, in batches, so that on two processors the
// reading of a list and what is done with its rows go on at the same time.
const (
	batchRows    = 256
	batchesAhead = 4
)

// ahead is the rows that a goroutine of its own reads from a list.
type ahead struct {
	batches chan batch
	used    chan []Row // to be filled again: fresh memory is slow
	stopped chan struct{}
	once    sync.Once

	batch batch
	next  int   // the row of the batch that comes next
	err   error // what row returned, for good
}

// batch is some rows and, in the last batch, the error that comes after them.
type batch struct {
	rows     []Row
	err      error
	panicked any // in the reading goroutine; it goes on in the caller's
}

// readAhead begins to read. Until the list ends or stop is called, only the
// goroutine may touch what it reads from.
func readAhead(l *List) *ahead {
	a := &ahead{
		batches: make(chan batch, batchesAhead),
		used:    make(chan []Row, batchesAhead+1),
		stopped: make(chan struct{}),
	}
	go func() {
		for {
			b := a.fill(l)
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

// fill reads one batch.
func (a *ahead) fill(l *List) (b batch) {
	defer func() {
		if p := recover(); p != nil {
			b = batch{panicked: p}
		}
	}()
	select {
	case b.rows = <-a.used:
	default:
		b.rows = make([]Row, batchRows)
	}
	for i := range b.rows {
		if b.err = l.read(&b.rows[i]); b.err != nil {
			b.rows = b.rows[:i]
			break
		}
	}
	return b
}

// row returns the next row, or the error that ended the list, or os.ErrClosed
// after stop.
func (a *ahead) row() (Row, error) {
	for a.err == nil && a.next == len(a.batch.rows) {
		if a.err = a.batch.err; a.err != nil {
			break
		}
		if a.batch.panicked != nil {
			panic(a.batch.panicked)
		}
		a.giveBack()
		select {
		case a.batch = <-a.batches:
		case <-a.stopped:
			a.err = os.ErrClosed
		}
	}
	if a.err != nil {
		return Row{}, a.err
	}
	a.next++
	return a.batch.rows[a.next-1], nil
}

// giveBack lets the goroutine have the last batch's memory, if it wants it.
func (a *ahead) giveBack() {
	if a.batch.rows != nil {
		select {
		case a.used <- a.batch.rows:
		default:
		}
	}
	a.batch, a.next = batch{}, 0
}

// stop lets the goroutine end without reading on.
func (a *ahead) stop() { a.once.Do(func() { close(a.stopped) }) }
