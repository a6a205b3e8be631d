//go:build !windows

package batch

import (
	"errors"
	"os"
)

// passingFile makes a file that is gone once it is closed. It has no name from the
// start: what has none goes with the process, however that ends.
func passingFile(pattern string) (*os.File, error) {
	f, err := os.CreateTemp("", pattern) // 0600
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
