package batch

import (
	"os"

	"golang.org/x/sys/windows"
)

// passingFile makes a file that is gone once it is closed, also by the system when
// the process is killed. It is opened a second time since os.CreateTemp takes no
// flags; a kill between the two leaves it, empty.
func passingFile(pattern string) (*os.File, error) {
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return os.OpenFile(f.Name(), os.O_RDWR|windows.O_FILE_FLAG_DELETE_ON_CLOSE, 0o600)
}
