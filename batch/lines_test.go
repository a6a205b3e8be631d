package batch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mde-offboard/batch/checkpoint"
)

// TestLines writes any lines and reads them again, in parts of any size, with any
// number of them in a file.
func TestLines(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aé\x00\"\n7f")), 0, 5, -1)
	line := rapid.Custom(func(t *rapid.T) checkpoint.Line {
		l := checkpoint.Line{N: rapid.Int64().Draw(t, "n"), Position: rapid.Int64().Draw(t, "position"),
			File: rapid.SampledFrom([]string{"", "a.csv", "b.csv"}).Draw(t, "file"), Line: rapid.Int().Draw(t, "line"),
			Device: rapid.OneOf(text, rapid.StringMatching("[0-9a-f]{40}"), rapid.StringMatching("[0-9A-Fg]{40}")).Draw(t, "device"),
			Name:   text.Draw(t, "name"), Comment: text.Draw(t, "comment"),
			Status: checkpoint.Status(text.Draw(t, "status")), Reason: text.Draw(t, "reason")}
		if extra := rapid.SliceOfN(text, 0, 3).Draw(t, "extra"); len(extra) > 0 {
			l.Extra = extra // none and an empty list are the same
		}
		return l
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(line, 0, 20).Draw(t, "lines")
		ls := lines{size: rapid.IntRange(1, 200).Draw(t, "size"), blocks: spool{most: rapid.IntRange(1, 5).Draw(t, "blocks")}}
		defer ls.close()
		for i := range want {
			ls.add(&want[i])
		}
		var got []checkpoint.Line
		most := rapid.IntRange(1, 25).Draw(t, "most")
		err := ls.parts(most, func(part []checkpoint.Line) error {
			if len(part) > most || len(part) == 0 {
				t.Errorf("a part of %d lines; want 1 to %d", len(part), most)
			}
			got = append(got, part...)
			return nil
		})
		if err != nil || len(got) != len(want) || len(want) > 0 && !cmp.Equal(got, want) {
			t.Errorf("lines.parts(%d) = %v, %v", most, cmp.Diff(want, got), err)
		}
	})
}

// TestLinesLong has lines that are longer than a block.
func TestLinesLong(t *testing.T) {
	slow(t)
	var ls lines
	long := checkpoint.Line{N: 1, Comment: string(make([]byte, 2*lineBlock))}
	for range 3 {
		ls.add(&long)
	}
	n := 0
	if err := ls.each(func(l *checkpoint.Line) error {
		if l.Comment != long.Comment {
			t.Errorf("a comment of %d bytes; want %d", len(l.Comment), len(long.Comment))
		}
		n++
		return nil
	}); err != nil || n != 3 {
		t.Errorf("lines.each gave %d lines, %v; want 3", n, err)
	}
}

// TestLongPlan plans more than is kept in memory: the rest is in a file that leaves
// nothing behind, and where there is no room for it there is no plan.
func TestLongPlan(t *testing.T) {
	text := "MachineId,Comment,Owner\n" + strings.Repeat(device("a")+",x,"+strings.Repeat("y", lineBlock)+"\n", spoolBlocks+3)
	dir := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, dir)
	}
	p := planOf(t, text, checkpoint.Batch{}, nil, Request{})
	n := 0
	err := p.changes.each(func(l *checkpoint.Line) error { n += len(l.Extra[0]); return nil })
	if err != nil || n != p.Lines*lineBlock || p.changes.blocks.file == nil {
		t.Errorf("%d bytes of %d lines, %v, file %v; want all of them, some from a file", n, p.Lines, err, p.changes.blocks.file)
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close() = %v; want nil", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left; want nothing", left, err)
	}
	if err := p.changes.parts(1, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("lines of a closed plan: %v; want %v", err, os.ErrClosed)
	}

	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, filepath.Join(dir, "none"))
	}
	if p, err := MakePlan(listed(t, text), "list.csv", checkpoint.Batch{}, nil, Request{}); p != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("MakePlan without a folder for its file = %v, %v; want no plan, %v", p, err, os.ErrNotExist)
	}
}
