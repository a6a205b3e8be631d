//go:build !linux

package defender_test

import "testing"

// fullListener is for Linux, where the length of a listener's queue is known.
func fullListener(*testing.T) string { return "" }
