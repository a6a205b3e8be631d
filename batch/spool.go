package batch

import (
	"cmp"
	"fmt"
	"os"
	"slices"
)

// spool keeps blocks of bytes in their order: the first ones in memory, the others
// in a temporary file of this user's, which the system removes when it is closed,
// also by a kill.
type spool struct {
	memory [][]byte
	most   int      // of them; 0: spoolBlocks
	file   *os.File // nil: there are no others
	sizes  []int    // of those in the file
	closed bool
}

// spoolBlocks are 8 MiB: most lists leave nothing on a disk.
const spoolBlocks = 32

// add keeps a block and returns memory for the next one.
func (s *spool) add(block []byte) ([]byte, error) {
	if len(s.memory) < cmp.Or(s.most, spoolBlocks) {
		s.memory = append(s.memory, block)
		return make([]byte, 0, lineBlock), nil
	}
	err := error(nil)
	if s.file == nil {
		s.file, err = passingFile("mde-offboard-plan-*")
	}
	if err == nil {
		_, err = s.file.Write(block)
	}
	if err != nil {
		return block, fmt.Errorf("the temporary file of a long plan: %w", err)
	}
	s.sizes = append(s.sizes, len(block))
	return block[:0], nil
}

// each gives the blocks back, until fn returns an error. fn keeps none of them.
func (s *spool) each(fn func([]byte) error) error {
	if s.closed { // half a plan must not be taken for one
		return os.ErrClosed
	}
	for _, block := range s.memory {
		if err := fn(block); err != nil {
			return err
		}
	}
	var buf []byte
	at := int64(0)
	for _, size := range s.sizes {
		buf = slices.Grow(buf[:0], size)[:size]
		if _, err := s.file.ReadAt(buf, at); err != nil {
			return fmt.Errorf("the temporary file of a long plan: %w", err)
		}
		if err := fn(buf); err != nil {
			return err
		}
		at += int64(size)
	}
	return nil
}

// close drops the blocks.
func (s *spool) close() error {
	file := s.file
	if *s = (spool{closed: true}); file == nil {
		return nil
	}
	return file.Close()
}
