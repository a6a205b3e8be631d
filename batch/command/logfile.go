package command

import (
	"errors"
	"io/fs"

	"gopkg.in/natefinch/lumberjack.v2"
)

// logFile is a log file that tells of the first record that it could not take, as
// on a full disk: a run goes on without its log, and whoever reads that has to know.
// Records that come after one of which a part was written begin on a line of their
// own.
type logFile struct {
	*lumberjack.Logger
	missed func(error)
	told   bool
	torn   bool // the file does not end with a line's end
}

// Write is called by one at a time, as slog's handlers do.
func (f *logFile) Write(record []byte) (int, error) {
	if f.torn {
		record = append([]byte{'\n'}, record...)
	}
	n, err := f.Logger.Write(record)
	if n > 0 {
		f.torn = n < len(record)
	}
	if err != nil && !f.told {
		f.told = true
		var failed *fs.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		f.missed(err)
	}
	return n, err
}
