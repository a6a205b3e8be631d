package report

import (
	"context"
	"fmt"
	"io"

	"mde-offboard/batch/checkpoint"
)

// ResultOptions say how a result CSV is written.
type ResultOptions struct {
	Excel bool // begin with a byte order mark, so that Excel reads UTF-8
}

// Summary is what was counted while a result CSV was written.
type Summary struct {
	Path   string                    // where it is, which may be beside the path that was asked for
	Lines  int                       // of the list
	Gone   int                       // tasks that are no longer in the list
	Counts map[checkpoint.Status]int // of all tasks, by the status that the file gives
}

// WriteResults writes the result CSV of a batch: one row for each line of the
// list, in its order, then one for each line that has left the list since. It
// is written beside path and moved there when it is whole. If path cannot be
// replaced because another program holds it open, as Excel does on Windows, the
// file is left beside it under a name with the time in it, and Summary.Path
// says so.
//
// It returns an error, and leaves what was at path, if a line of the list has no
// row or the rows do not add up to what the checkpoint counts.
func WriteResults(ctx context.Context, s *checkpoint.Store, batch int64, path string, opt ResultOptions) (Summary, error) {
	var sum Summary
	err := s.View(ctx, func(r checkpoint.Reader) (err error) {
		sum.Path, err = place(ctx, path, func(w io.Writer) (err error) {
			sum, err = writeResults(ctx, r, batch, w, opt)
			return err
		})
		return err
	})
	if err != nil {
		return Summary{}, fmt.Errorf("results: %w", err)
	}
	return sum, nil
}

// writeResults writes the rows and counts them.
func writeResults(ctx context.Context, r checkpoint.Reader, batch int64, w io.Writer, opt ResultOptions) (Summary, error) {
	sum := Summary{Counts: map[checkpoint.Status]int{}}
	b, err := r.Batch(batch)
	if err != nil {
		return sum, err
	}
	sheet, err := newSheet(w, b.Columns, opt.Excel)
	if err != nil {
		return sum, err
	}
	if err := r.EachResult(batch, func(t checkpoint.Task, a checkpoint.Attempt) error {
		if err := sum.count(t); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return sheet.add(row(t, a, b.Key.Tenant), t.Extra)
	}); err != nil {
		return sum, err
	}
	if err := sum.check(r, batch); err != nil {
		return sum, err
	}
	return sum, sheet.close()
}

// count counts a task, and sees to it that no line of the list is left out.
func (s *Summary) count(t checkpoint.Task) error {
	s.Counts[told(t.Status)]++
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
