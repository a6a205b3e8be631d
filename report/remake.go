package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mde-offboard/batch/checkpoint"
)

// remake makes every file of a folder again and compares its hash: from then, the
// batch as its chain had made it when the folder was written. Who changes a file
// and the manifest with it, but not the checkpoint, is found out here.
//
// What the folder depended on besides the batch's chain is taken from the folder
// itself, as far as it can have been so, and nothing else is: whether it is for
// Excel; when a run that had no end was last seen, which goes on without an event;
// what the calls of other batches, which may have been forgotten since, did to
// the quota. The last of these changes the schedule in audit.html, and another
// version of the program all of that page, in a way that cannot be made again:
// then it is left out, and Checked.Unmade says so.
func (v *verification) remake(ctx context.Context, r, then checkpoint.Reader, b checkpoint.Batch) error {
	a, err := gather(ctx, then, b.ID)
	if err != nil {
		return err
	}
	attempts, err := then.Attempts(b.ID)
	if err != nil {
		return err
	}
	runs, err := r.Runs(b.ID)
	if err != nil {
		return err
	}
	a.lastSeen(runs, v.said.Runs, attempts)
	// Then has this batch alone; what others have done is in the checkpoint.
	if a.schedule, err = newSchedule(r, a, attempts); err != nil {
		return err
	}
	doc := a.doc()
	others := v.takeOthers(a, &doc)
	var sum Summary
	for i, f := range a.files(ctx, then, v.forExcel(), doc, &sum) {
		again := newCounting(io.Discard)
		if err := f.fill(again); err != nil {
			return err
		}
		want := v.m.Files[i]
		if again.insides(want.Name) == want {
			continue
		}
		if f.name == pageName {
			others, err = v.excuse(f, others)
		} else {
			err = &Mismatch{want.Name, "it is not what the checkpoint gives"}
		}
		if err != nil {
			return err
		}
	}
	if others {
		v.Unmade = append(v.Unmade, "what the calls of other batches did to the quota ("+auditName+", and the schedule in "+pageName+"), as it does not have them as they were")
	}
	v.Remade = true
	return nil
}

// path is where a file of a report lies in the folder.
func (v *verification) path(name string) string {
	return filepath.Join(v.dir, v.m.Files[slices.Index(reportFiles, name)].Name)
}

// forExcel says whether the CSV files begin with Excel's mark, as the first does
// or does not.
func (v *verification) forExcel() bool {
	f, err := os.Open(v.path(reportFiles[0]))
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, len(excelMark))
	_, err = io.ReadFull(f, begin)
	return err == nil && string(begin) == excelMark
}

// readSaid reads from audit.json what it says before its devices of what it is
// about, the runs and the quota.
func readSaid(path string) (doc auditDoc, err error) {
	f, err := os.Open(path)
	if err != nil {
		return doc, err
	}
	defer f.Close()
	into := map[string]any{"simulated": &doc.Simulated, "batch": &doc.Batch, "runs": &doc.Runs, "quota": &doc.Quota}
	dec := json.NewDecoder(f)
	for _, err = dec.Token(); err == nil && dec.More(); {
		var name json.Token
		if name, err = dec.Token(); err != nil || name == "devices" {
			break
		}
		var rest json.RawMessage
		to := any(&rest)
		if text, _ := name.(string); into[text] != nil {
			to = into[text]
		}
		err = dec.Decode(to)
	}
	return doc, err
}

// lastSeen gives the runs their last signs of life, which are no events. That of a
// run which had ended is as it is now. Of one that had no end the folder says when
// it was last seen, which cannot have been before its last reservation, nor after
// what is known now.
func (a *audit) lastSeen(now []checkpoint.Run, said []runDoc, attempts []checkpoint.Attempt) {
	for i := range min(len(a.runs), len(now)) {
		run := &a.runs[i]
		least := run.Started
		for _, at := range attempts {
			if at.Run == run.ID && at.Reserved.After(least) {
				least = at.Reserved
			}
		}
		run.Alive = now[i].Alive
		if !run.Ended.IsZero() || i >= len(said) {
			continue
		}
		if at, err := time.Parse(time.RFC3339, said[i].LastSign); err == nil && !at.Before(least) && at.Before(run.Alive) {
			run.Alive = at
		}
	}
}

// takeOthers takes over what the folder says of the quota if that is not what the
// checkpoint says and can have been, with calls of other batches.
func (v *verification) takeOthers(a *audit, doc *auditDoc) (taken bool) {
	said, now := v.said.Quota, doc.Quota
	said.Explanation = now.Explanation
	if said.OtherCalls == now.OtherCalls && slices.Equal(said.Windows, now.Windows) || !said.canBe(a.schedule.alone()) {
		return false
	}
	doc.Quota = said
	return true
}

// alone is what the schedule says without the calls of other batches.
func (s *schedule) alone() quotaDoc {
	own := schedule{}
	for _, b := range s.budgets {
		mine := budget{kind: b.kind, own: b.own}
		for _, l := range b.levels {
			mine.levels = append(mine.levels, levelOf(l.Window, b.own))
		}
		own.budgets = append(own.budgets, mine)
	}
	return own.doc()
}

// canBe says whether calls of other batches can have made a quota of what it is
// without them: with them no window holds fewer calls, and none more than there
// are of them.
func (q quotaDoc) canBe(alone quotaDoc) bool {
	if q.Shared != alone.Shared || q.Calls != alone.Calls || q.OtherCalls < 0 || len(q.Windows) != len(alone.Windows) {
		return false
	}
	for i, w := range q.Windows {
		l := alone.Windows[i]
		if w.Call != l.Call || w.Limit < l.Limit || w.Seconds != l.Seconds || w.Most < l.Most || w.Most > l.Most+q.OtherCalls {
			return false
		}
	}
	return true
}

// excuse says why audit.html may be other than the checkpoint gives it: another
// version has written it, or what is other is in its schedule and may come from
// the calls of other batches.
func (v *verification) excuse(page folderFile, others bool) (bool, error) {
	if v.m.Program != v.program {
		v.Unmade = append(v.Unmade, fmt.Sprintf("%s, which version %q of the program wrote, and this is %q", pageName, v.m.Program, v.program))
		return others, nil
	}
	if v.said.Quota.OtherCalls > 0 || others {
		// Both are held in memory here, and only here.
		have, err := os.ReadFile(v.path(pageName))
		if err != nil {
			return others, err
		}
		var again bytes.Buffer
		if err := page.fill(&again); err != nil {
			return others, err
		}
		if bytes.Equal(withoutSchedule(have), withoutSchedule(again.Bytes())) {
			return true, nil
		}
	}
	return others, &Mismatch{filepath.Base(v.path(pageName)), "it is not what the checkpoint gives"}
}

// withoutSchedule is a page without its section on the schedule. No text of a list
// or an answer can look like its bounds: it is never markup.
func withoutSchedule(page []byte) []byte {
	begin, rest, _ := bytes.Cut(page, []byte(`<section id="schedule"`))
	_, end, _ := bytes.Cut(rest, []byte("</section>"))
	return slices.Concat(begin, []byte("<section>"), end)
}
