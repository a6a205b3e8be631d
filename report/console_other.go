//go:build !windows

package report

import (
	"os"

	"golang.org/x/term"
)

// ANSI reports whether the file is a terminal that understands ANSI codes.
func ANSI(f *os.File) bool { return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" }
