//go:build !windows

package report

// heldOpen reports whether a rename was refused because the target is open,
// which is no reason outside Windows.
func heldOpen(error) bool { return false }
