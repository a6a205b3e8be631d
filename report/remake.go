package report

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// remake makes every file of a folder again from the checkpoint and compares
// its hash. Who changes a file and the manifest with it, but not the checkpoint,
// is found out here.
//
// What the folder depended on besides the batch's chain is taken from the folder
// itself, and nothing else is: whether it is for Excel; when a run that has no
// end was last seen, which goes on without an event; what the calls of other
// batches, which may have been forgotten since, did to the quota. The last of
// these and another version of the program change audit.html in a way that
// cannot be made again: then it is left out, and Checked.Unmade says so.
func (m *manifest) remake(ctx context.Context, r checkpoint.Reader, b checkpoint.Batch, dir, program string, c *Checked) error {
	a, err := gather(ctx, r, b.ID)
	if err != nil {
		return err
	}
	said := m.said(dir)
	if a.lastSeen(said.Runs) {
		attempts, err := r.Attempts(b.ID)
		if err != nil {
			return err
		}
		if a.schedule, err = newSchedule(r, a, attempts); err != nil {
			return err
		}
	}
	doc := a.doc()
	if doc.Quota.others(said.Quota) {
		c.Unmade = "the calls of other batches at the time (in the quota of audit.json, and audit.html), which it does not have as they were"
	} else if m.Program != program {
		c.Unmade = fmt.Sprintf("audit.html, which version %q of the program wrote, and this is %q", m.Program, program)
	}
	var sum Summary
	files := a.files(ctx, r, m.forExcel(dir), doc, &sum)
	for i, f := range files {
		if i >= len(m.Files) || !isNamed(m.Files[i].Name, f.name) {
			return &Mismatch{f.name, "it is not in the manifest"}
		}
		if c.Unmade != "" && f.name == "audit.html" {
			continue
		}
		again := newCounting(io.Discard)
		if err := f.fill(again); err != nil {
			return err
		}
		if again.insides(m.Files[i].Name) != m.Files[i] {
			return &Mismatch{m.Files[i].Name, "it is not what the checkpoint gives"}
		}
	}
	if len(m.Files) > len(files) {
		return &Mismatch{m.Files[len(files)].Name, "it is not one of the files of a report"}
	}
	c.Remade = true
	return nil
}

// isNamed says whether a file has a name, or the one that place gave it instead.
func isNamed(name, want string) bool {
	ext := filepath.Ext(want)
	return name == want || strings.HasPrefix(name, strings.TrimSuffix(want, ext)+"-") && filepath.Ext(name) == ext
}

// forExcel says whether the CSV files begin with Excel's mark, as the first does
// or does not.
func (m *manifest) forExcel(dir string) bool {
	if len(m.Files) == 0 {
		return false
	}
	f, err := os.Open(filepath.Join(dir, m.Files[0].Name))
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, len(excelMark))
	_, err = io.ReadFull(f, begin)
	return err == nil && string(begin) == excelMark
}

// said reads from audit.json what it says before its devices of the runs and the
// quota. What cannot be read stays empty: the comparison finds that.
func (m *manifest) said(dir string) (doc auditDoc) {
	i := slices.IndexFunc(m.Files, func(f fileInsides) bool { return isNamed(f.Name, "audit.json") })
	if i < 0 {
		return doc
	}
	f, err := os.Open(filepath.Join(dir, m.Files[i].Name))
	if err != nil {
		return doc
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for _, err = dec.Token(); err == nil && dec.More(); {
		var name json.Token
		if name, err = dec.Token(); err != nil || name == "devices" {
			return doc
		}
		var rest json.RawMessage
		switch name {
		case "runs":
			err = dec.Decode(&doc.Runs)
		case "quota":
			err = dec.Decode(&doc.Quota)
		default:
			err = dec.Decode(&rest)
		}
	}
	return doc
}

// lastSeen takes runs that have no end back to when the folder says that they
// were last seen, if they can have been.
func (a *audit) lastSeen(said []runDoc) (changed bool) {
	for i := range min(len(a.runs), len(said)) {
		run := &a.runs[i]
		at, err := time.Parse(time.RFC3339, said[i].LastSign)
		if err == nil && run.Ended.IsZero() && at.Before(run.Alive) && !at.Before(run.Started) {
			run.Alive, changed = at, true
		}
	}
	return changed
}

// others takes over what a folder says of the calls of other batches, and
// reports whether the checkpoint says something else.
func (q *quotaDoc) others(said quotaDoc) (changed bool) {
	if q.OtherCalls == 0 && said.OtherCalls == 0 || len(q.Windows) != len(said.Windows) {
		return false
	}
	changed = q.OtherCalls != said.OtherCalls
	q.OtherCalls = said.OtherCalls
	for i := range q.Windows {
		w, s := &q.Windows[i], said.Windows[i]
		changed = changed || w.Most != s.Most || w.MostAt != s.MostAt
		w.Most, w.MostAt = s.Most, s.MostAt
	}
	return changed
}
