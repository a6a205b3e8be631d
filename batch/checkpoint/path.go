package checkpoint

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// DefaultPath is where the checkpoint of this user lies: in the state directory
// of the system, which never roams between machines. It is "" where nothing says
// where that is: in the current folder another run would not find it, and what it
// knows of the quota.
func DefaultPath(getenv func(string) string, home string) string {
	dir := filepath.Join(home, ".local", "state")
	switch {
	case runtime.GOOS == "windows" && getenv("LOCALAPPDATA") != "":
		dir = getenv("LOCALAPPDATA")
	case runtime.GOOS == "darwin":
		dir = filepath.Join(home, "Library", "Application Support")
	case getenv("XDG_STATE_HOME") != "":
		dir = getenv("XDG_STATE_HOME")
	}
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "mde-offboard", "checkpoint.db")
}

// Files are those of a checkpoint, whether they are there or not, but for the locks
// of its batches.
func Files(path string) []string {
	if real, err := linked(path); err == nil {
		path = real
	}
	return []string{path, path + "-wal", path + "-shm", headFile(path), path + "-lock"}
}

// patience is for how long another process may write before the wait for it is
// an error. A plan is one transaction, so that a crash leaves the old one or the
// new one, and with a million lines on a slow disk it takes minutes.
const patience = 10 * time.Minute

// dsn names a database file to the driver. The pragmas hold for each connection.
func dsn(path string, more ...string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // C:/… on Windows
	}
	q := append([]string{
		fmt.Sprintf("_pragma=busy_timeout(%d)", patience.Milliseconds()),
		"_pragma=synchronous(FULL)", // a commit is on the disk when it returns
		"_pragma=fullfsync(1)",      // on macOS too
		"_pragma=foreign_keys(1)",
	}, more...)
	return "file://" + (&url.URL{Path: p}).EscapedPath() + "?" + strings.Join(q, "&")
}
