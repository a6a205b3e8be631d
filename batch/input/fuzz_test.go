package input

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// FuzzList holds for every input: it is read to its end without a panic, the
// lines of its rows go up, no row has more cells than columns, and what was read, written as our
// result CSV is, reads the same.
func FuzzList(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(inputs, "*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
		f.Add(data, true)
	}
	f.Add([]byte("sep=;\nid;Comment\n"+idA+";'=x\n"+idB+";\"a\r\nb\r\"\n"), false)
	f.Add([]byte(strings.Join(resultColumns, ",")+",Line\n,"+idA+",'+x,''=y\n"), false)
	f.Fuzz(func(t *testing.T, data []byte, namesOK bool) {
		rows, l, err := readAll(bytes.NewReader(data), Options{NamesOK: namesOK})
		line := 0
		for _, row := range rows {
			if row.Line <= line {
				t.Fatalf("a row on line %d comes after line %d", row.Line, line)
			}
			if line = row.Line; len(row.Extra) > len(l.Columns()) {
				t.Fatalf("line %d has %d cells that travel; want %d at most", line, len(row.Extra), len(l.Columns()))
			}
			if row.ID != "" && !isID(row.ID) || row.ID == "" && row.Problem == nil && !namesOK {
				t.Fatalf("line %d has the id %q and the problem %v", line, row.ID, row.Problem)
			}
		}
		if err == nil {
			again(t, l, rows)
		}
	})
}

// again writes the rows that can be used as report writes a result, reads them,
// and compares.
func again(t *testing.T, l *List, rows []Row) {
	var file bytes.Buffer
	w := csv.NewWriter(&file)
	w.UseCRLF = true
	defused := func(cells []string) {
		for i := range cells {
			cells[i] = Defuse(cells[i])
		}
		w.Write(cells)
	}
	defused(append(slices.Clone(resultColumns), l.Columns()...))
	var want []Row
	for _, row := range rows {
		if row.Problem != nil || row.ID == "" {
			continue
		}
		cells := make([]string, len(resultColumns))
		cells[0], cells[1], cells[2], cells[3], cells[4] = "7", row.ID, row.Name, row.Comment, "failed"
		defused(append(cells, row.Extra...))
		row.Line, row.EntraID = 0, ""
		want = append(want, row)
	}
	if w.Flush(); w.Error() != nil {
		t.Fatal(w.Error())
	}
	got, back, err := readAll(&file, Options{})
	if err != nil {
		t.Fatalf("reading it again: %v", err)
	}
	for i := range got {
		got[i].Line, got[i].EntraID = 0, ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("it reads differently again (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(l.Columns(), back.Columns()); diff != "" {
		t.Fatalf("its columns read differently again (-want +got):\n%s", diff)
	}
}

// FuzzWide compares our UTF-16 with the decoder that it relieves, in blocks of
// any size.
func FuzzWide(f *testing.F) {
	f.Add([]byte("a\x00b\x00\xe4\x00\x3d\xd8\x00\xdec\x00"), 3, 3)
	f.Add([]byte("\x3d\xd8a\x00\x00\xde\x3d"), 8, 4)
	f.Add([]byte("a\x00\x3d\xd8"), 3, 3)
	f.Fuzz(func(t *testing.T, data []byte, in, out int) {
		for _, e := range []unicode.Endianness{unicode.LittleEndian, unicode.BigEndian} {
			want, _, err := transform.Bytes(unicode.UTF16(e, unicode.IgnoreBOM).NewDecoder(), data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := inBlocks(newWide(e), data, 4+in&15, 4+out&15)
			if half := newWide(e).isHalf(data); errors.Is(err, errHalf) != half || err != nil && !half || !bytes.Equal(got, want) {
				t.Fatalf("decoding %x = %q, %v; want %q", data, got, err, want)
			}
		}
	})
}

// inBlocks transforms data with buffers of the given sizes.
func inBlocks(tr transform.Transformer, data []byte, in, out int) (got []byte, err error) {
	dst := make([]byte, out)
	for end := min(in, len(data)); ; {
		n, used, err := tr.Transform(dst, data[:end], end == len(data))
		got, data, end = append(got, dst[:n]...), data[used:], end-used
		switch {
		case err == transform.ErrShortDst && n > 0:
		case (err == nil || err == transform.ErrShortSrc) && end < len(data):
			end = min(end+in, len(data))
		case err == nil && len(data) == 0:
			return got, nil
		case err == nil:
			return got, io.ErrNoProgress
		default:
			return got, err
		}
	}
}
