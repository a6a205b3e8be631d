//go:build !windows

package checkpoint

import "os"

// makePrivateDir makes a directory for this user alone, with those above it. One
// that is there is left as it is.
func makePrivateDir(dir string) error { return os.MkdirAll(dir, 0o700) }
