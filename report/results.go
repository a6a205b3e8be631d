package report

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
)

// ResultOptions say how a result CSV is written.
type ResultOptions struct {
	Excel bool // begin with a byte order mark, so that Excel reads UTF-8
}

// Summary is what was counted while a result CSV was written.
type Summary struct {
	Path   string                    // where it is
	Beside string                    // why that is beside the path that was asked for; empty: it is there
	Lines  int                       // of the list
	Gone   int                       // tasks that are no longer in the list
	Counts map[checkpoint.Status]int // of all tasks, by the status that the file gives
	Open   int                       // of those that are accepted: the action is not over, as far as is known
}

// WriteResults writes the result CSV of a batch: one row for each line of the
// list, in its order, then one for each line that has left the list since. It
// is written beside path and moved there when it is whole. If path cannot be
// replaced because another program holds it open, as Excel does on Windows, the
// file is left beside it under a name with the time in it, and Summary says so.
// So is that of a rehearsal where there is any file at path but a rehearsal's: the
// results of a run may be all that is left of it.
//
// It returns an error, and leaves what was at path, if a line of the list has no
// row or the rows do not add up to what the checkpoint counts.
func WriteResults(ctx context.Context, s *checkpoint.Store, batch int64, path string, opt ResultOptions) (Summary, error) {
	var sum Summary
	beside := ""
	err := s.View(ctx, func(r checkpoint.Reader) error {
		b, err := r.Batch(batch)
		if err != nil {
			return err
		}
		to := path
		if b.Simulated && !free(path) {
			to, beside = besideName(path, time.Now()), "which no rehearsal has written"
		}
		if sum.Path, err = place(ctx, to, func(w io.Writer) (err error) {
			sum, err = writeResults(ctx, r, b, w, opt)
			return err
		}); err == nil && sum.Path != to {
			beside = "which another program holds open"
		}
		return err
	})
	if err != nil {
		return Summary{}, fmt.Errorf("results: %w", err)
	}
	sum.Beside = beside
	return sum, nil
}

// free says whether a rehearsal may write to path: nothing is there, or a result
// CSV whose first row is a rehearsal's, and then all are.
func free(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	rows := csv.NewReader(f)
	names, err := rows.Read()
	reason := slices.Index(names, "Reason")
	if err != nil || reason < 0 {
		return false
	}
	first, err := rows.Read()
	return err == nil && strings.HasPrefix(first[reason], simulatedMark)
}

// writeResults writes the rows and counts them.
func writeResults(ctx context.Context, r checkpoint.Reader, b checkpoint.Batch, w io.Writer, opt ResultOptions) (Summary, error) {
	sum := Summary{Counts: map[checkpoint.Status]int{}}
	sheet, err := newSheet(w, b.Columns, opt.Excel)
	if err != nil {
		return sum, err
	}
	if err := r.EachResult(b.ID, func(t checkpoint.Task, a checkpoint.Attempt) error {
		if err := sum.count(t); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return sheet.add(row(b, t, a), t.Extra)
	}); err != nil {
		return sum, err
	}
	if err := sum.check(r, b.ID); err != nil {
		return sum, err
	}
	return sum, sheet.close()
}

// count counts a task, and sees to it that no line of the list is left out.
func (s *Summary) count(t checkpoint.Task) error {
	s.Counts[told(t.Status)]++
	if t.Status == checkpoint.Accepted && acted(t) == stillOpen {
		s.Open++
	}
	if t.Position == 0 {
		s.Gone++
		return nil
	}
	s.Lines++
	if t.Position != int64(s.Lines) {
		return fmt.Errorf("the checkpoint has no task for place %d of the list, the next one is for place %d (line %d)",
			s.Lines, t.Position, t.Line)
	}
	return nil
}

// check holds the counts against those of the database.
func (s *Summary) check(r checkpoint.Reader, batch int64) error {
	counts, err := r.Counts(batch)
	if err != nil {
		return err
	}
	want := map[checkpoint.Status]int{}
	for status, n := range counts {
		want[told(status)] += n
	}
	total := 0
	for _, status := range statuses {
		if s.Counts[status] != want[status] {
			return fmt.Errorf("the counts do not add up: %d rows are %s, the checkpoint has %d", s.Counts[status], status, want[status])
		}
		total += want[status]
	}
	if total != s.Lines+s.Gone {
		return fmt.Errorf("the counts do not add up: %d by status, %d by line", total, s.Lines+s.Gone)
	}
	return nil
}
