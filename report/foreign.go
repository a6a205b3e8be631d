package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// NoReport says that a folder holds something that is not of a report, so that
// none is written into it.
type NoReport struct{ Dir, File string }

func (e *NoReport) Error() string {
	return fmt.Sprintf("the folder %s holds %s, which is not of a report", e.Dir, e.File)
}

// reportFiles are the files that a manifest names, in its order.
var reportFiles = []string{"results.csv", "failed.csv", "pending.csv", auditName, pageName}

// ours are the names in a report folder. A crash may have left any of them
// without a manifest.
var ours = append(slices.Clone(reportFiles), manifestName, signatureName)

// timed is what besideName puts into a name.
var timed = regexp.MustCompile(`-[0-9]{8}T[0-9]{6}Z$`)

// unfinished is what a crash leaves of a file that was being written.
var unfinished = regexp.MustCompile(`^\.(.+)-[0-9]+$`)

// untimed is a name without what besideName puts into it.
func untimed(name string) string {
	ext := filepath.Ext(name)
	return timed.ReplaceAllString(strings.TrimSuffix(name, ext), "") + ext
}

// leftBehind says whether a file of this name is what a file manager, an office
// program or a crash leaves in a report folder.
func leftBehind(name string) bool {
	if slices.Contains([]string{".DS_Store", "Thumbs.db", "desktop.ini"}, name) || strings.HasPrefix(name, ".~lock.") || strings.HasPrefix(name, "~$") {
		return true
	}
	m := unfinished.FindStringSubmatch(name)
	return m != nil && slices.Contains(ours, untimed(m[1]))
}

// ofReport says whether a file of this name may stand in a report folder: one
// of ours, or what was left there.
func ofReport(name string) bool { return leftBehind(name) || slices.Contains(ours, untimed(name)) }

// checkFolder returns a *NoReport for a folder that is something else.
func checkFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || !ofReport(e.Name()) {
			return &NoReport{dir, e.Name()}
		}
	}
	return nil
}
