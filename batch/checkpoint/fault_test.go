package checkpoint

import (
	"context"
	"errors"
	"testing"
)

// TestPanicOfTheWriter has a panic outside of an operation reach the caller, who
// can end in order, and not end the process; the store goes on.
func TestPanicOfTheWriter(t *testing.T) {
	s := open(t, temp(t))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Update did not panic; want the writer's panic")
			}
		}()
		s.Update(func(tx *Tx) error {
			tx.s = nil // so that undoing it panics
			return errors.New("no")
		})
	}()
	start(t, s, "list", "d1")
	s.mustVerify(t)
}

// TestViewInterrupted has a View whose context ends on the way say so, and not
// what the database makes of it.
func TestViewInterrupted(t *testing.T) {
	s := open(t, temp(t))
	batch, _ := start(t, s, "list", "d1")
	ctx, cancel := context.WithCancel(t.Context())
	err := s.View(ctx, func(r Reader) (err error) {
		cancel()
		for err == nil { // until it has ended the transaction
			_, err = r.Batch(batch)
		}
		return err
	})
	if err != context.Canceled {
		t.Errorf("View = %v; want %v", err, context.Canceled)
	}
}
