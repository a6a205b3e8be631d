package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// place writes a file to path, or beside it if path is held open by a program
// that lets nobody replace it. It returns where the file is.
func place(ctx context.Context, path string, fill func(io.Writer) error) (string, error) {
	return placeUnless(ctx, path, fill, heldOpen)
}

// placeUnless is place with the test for a file that is held open.
func placeUnless(ctx context.Context, path string, fill func(io.Writer) error, held func(error) bool) (string, error) {
	err := checkpoint.WriteFile(path, fill)
	// Virus scanners and indexers hold a file for a moment, people in front of
	// Excel for longer.
	for pause := 100 * time.Millisecond; isHeld(err, held) && pause < time.Second; pause *= 2 {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(pause):
		}
		err = checkpoint.WriteFile(path, fill)
	}
	if !isHeld(err, held) {
		return path, err
	}
	beside := besideName(path, time.Now())
	if err := checkpoint.WriteFile(beside, fill); err != nil {
		return "", fmt.Errorf("%s is held open by another program, and beside it: %w", path, err)
	}
	return beside, nil
}

// isHeld tells a rename that was not allowed from every other error.
func isHeld(err error, held func(error) bool) bool {
	var link *os.LinkError
	return errors.As(err, &link) && link.Op == "rename" && held(link.Err)
}

// besideName puts a time into the name of a file, before its extension.
func besideName(path string, now time.Time) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + now.UTC().Format("20060102T150405Z") + ext
}
