//go:build !darwin && !linux && !windows

package command

// stayAwake does nothing: the system offers no way.
func stayAwake() (release func()) { return func() {} }
