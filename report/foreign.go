package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// NoReport says that a folder holds something that is not of the batch's report, so
// that none is written into it.
type NoReport struct{ Dir, Holds string }

func (e *NoReport) Error() string { return fmt.Sprintf("the folder %s holds %s", e.Dir, e.Holds) }

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
			return &NoReport{dir, e.Name() + ", which is not of a report"}
		}
	}
	return nil
}

// checkOwner returns a *NoReport for a folder with the report of another batch: two
// customers' may have one name, and a rehearsal has that of what it rehearses. The
// report of a rehearsal gives way.
func checkOwner(dir string, b checkpoint.Batch) error {
	raw, err := readIn(dir, manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var m manifest
	if json.Unmarshal(raw, &m) != nil || m.Simulated { // what cannot be read proves nothing
		return nil
	}
	if m.Batch != b.Name || m.Cloud != b.Key.Cloud || m.TenantID != b.Key.Tenant || b.Simulated {
		return &NoReport{dir, fmt.Sprintf("the report of batch %q of tenant %s", m.Batch, m.TenantID)}
	}
	return nil
}
