package report

import (
	"os"

	"golang.org/x/sys/windows"
)

// ANSI makes the console understand ANSI codes and reports whether it does.
func ANSI(f *os.File) bool {
	h := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(h, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
