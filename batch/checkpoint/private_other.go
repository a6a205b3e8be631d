//go:build !windows

package checkpoint

import "os"

// makePrivateDir makes a directory for this user alone, with those above it. One
// that is there is left as it is.
func makePrivateDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// MakePrivate has nothing to do: a file is private by the mode with which it is made.
func MakePrivate(string) {}

// makeLike has nothing to do either.
func makeLike(path, other string) bool { return true }
