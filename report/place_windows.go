package report

import (
	"errors"

	"golang.org/x/sys/windows"
)

// heldOpen reports whether a rename was refused because the target is open.
func heldOpen(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) ||
		errors.Is(err, windows.ERROR_ACCESS_DENIED)
}
