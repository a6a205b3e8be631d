package input

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// TestEncodings reads one list in every encoding, whole and byte by byte.
func TestEncodings(t *testing.T) {
	text := "MachineId,Comment,Site\r\n" + idA + ",Gerät,Zürich\r\n" + strings.Repeat(idB+",réformé à l’été,Genève\r\n", 300)
	le, be := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	encode := func(s string, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want, _, err := readAll(strings.NewReader(text), Options{})
	if err != nil || len(want) != 301 {
		t.Fatalf("reading UTF-8 = %d rows, %v; want 301", len(want), err)
	}
	for _, tc := range []struct{ name, text, note string }{
		{"UTF-8 with a mark", "\ufeff" + text, ""},
		{"UTF-16LE", encode(le.NewEncoder().String(text)), "read as UTF-16LE"},
		{"UTF-16BE", encode(be.NewEncoder().String(text)), "read as UTF-16BE"},
		{"Windows-1252", encode(charmap.Windows1252.NewEncoder().String(text)), "read as Windows-1252, since it is not valid UTF-8"},
	} {
		for how, r := range map[string]io.Reader{
			"whole":        strings.NewReader(tc.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tc.text)),
			"in halves":    iotest.HalfReader(strings.NewReader(tc.text)),
		} {
			got, l, err := readAll(r, Options{})
			if err != nil {
				t.Errorf("%s %s: %v", tc.name, how, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s differs from UTF-8 (-want +got):\n%s", tc.name, how, diff)
			}
			if tc.note != "" && !slices.Contains(l.Notes(), tc.note) {
				t.Errorf("%s %s: Notes() = %q; want %q among them", tc.name, how, l.Notes(), tc.note)
			}
			sum := sha256.Sum256([]byte(tc.text))
			if want := hex.EncodeToString(sum[:]); l.Digest() != want {
				t.Errorf("%s %s: Digest() = %s; want %s", tc.name, how, l.Digest(), want)
			}
		}
	}
}

// TestLateTurn finds Windows-1252 far behind the sample, with an accent on
// every possible place of a block.
func TestLateTurn(t *testing.T) {
	for shift := range 9 {
		text := "MachineId,Comment\n" + strings.Repeat(idA+",x\n", 9000) + idB + "," + strings.Repeat("-", shift) + "\xe4\xf6\xfc\n"
		rows, l, err := readAll(strings.NewReader(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := rows[len(rows)-1].Comment, strings.Repeat("-", shift)+"äöü"; got != want {
			t.Errorf("with %d before it, the last comment = %q; want %q", shift, got, want)
		}
		if !slices.Contains(l.Notes(), "read as Windows-1252, since it is not valid UTF-8") {
			t.Errorf("Notes() = %q; want the encoding", l.Notes())
		}
	}
}

func TestClose(t *testing.T) {
	long := strings.Repeat(idA+"\n", 100_000)
	path := filepath.Join(t.TempDir(), "ids.txt")
	if err := os.WriteFile(path, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Next(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close() = %v; want nil", err)
	}
	for range 10 * batchRows * batchesAhead {
		if _, err = l.Next(); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("Next() after Close() = %v in the end; want %v", err, os.ErrClosed)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.csv"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of no file = %v; want %v", err, os.ErrNotExist)
	}
}

// TestNotes shows what is said of how a list is understood.
func TestNotes(t *testing.T) {
	for _, tc := range []struct {
		why, in string
		opt     Options
		want    []string
	}{
		{"nothing to say but the columns", "MachineId,Comment\n" + idA, Options{}, []string{`device id: column "MachineId"`, `comment: column "Comment"`}},
		{"a first row that may have been meant as data", "lap-1\n" + idA, Options{},
			[]string{`the first row is taken for the header and left out, though none of its names is known: "lap-1"`, `device id: column "lap-1"`, "no column holds comments"}},
		{"a first row that may have been meant as data, though it has a known name", "lap-1,comment\n" + idA + ",x", Options{},
			[]string{`the first row is taken for the header and left out: "lap-1", "comment"`, `device id: column "lap-1"`, `comment: column "comment"`}},
		{"resolve: a name may be a column's or a device's", "mailhub,host\nfileserver,x", Options{NamesOK: true},
			[]string{`the first row is taken for the header and left out: "mailhub", "host"`, `name: column "host"`, "no column holds comments"}},
		{"resolve: all names are known", "Host,Comment\nlap-1,x", Options{NamesOK: true}, []string{`name: column "Host"`, `comment: column "Comment"`}},
		{"letters that are lost where they are not ours", "MachineId,Site,Owner\n" + idA + ",Gerät,x\n" + idB + ",Ger\xe4t,\xe4\n", Options{},
			[]string{`device id: column "MachineId"`, "no column holds comments", "the list mixes encodings, UTF-8 and another: letters are lost in other columns, in 2 cells, the first on line 3"}},
		{"how it is written", "#TYPE X\nsep=|\n" + idA + "|x", Options{},
			[]string{"the first line (#TYPE) is left out", `cells are separated by '|'`, "the first row is data, the list has no header", `device id: column "Column1"`, "no column holds comments"}},
	} {
		_, l, err := readAll(strings.NewReader(tc.in), tc.opt)
		if err != nil {
			t.Errorf("%s: %v", tc.why, err)
			continue
		}
		if diff := cmp.Diff(tc.want, l.Notes()); diff != "" {
			t.Errorf("%s: Notes() (-want +got):\n%s", tc.why, diff)
		}
	}
}

// TestFormulas tells of ids that are formulas, in quotes or not, what they are.
func TestFormulas(t *testing.T) {
	const form = `="` + idA + `"`
	for _, tc := range []struct{ why, in, want string }{
		{"as they are typed", "MachineId,Comment\n" + form + ",x\n" + form + ",y", `list.csv:2:2: a quote (") in the middle of a cell: device ids of the list are formulas (="…")`},
		{"in a cell with quotes", "MachineId\n\"" + strings.ReplaceAll(form, `"`, `""`) + "\"", "is a formula around a device id"},
	} {
		rows, _, err := readAll(strings.NewReader(tc.in), Options{})
		if err != nil || len(rows) == 0 || rows[0].Problem == nil {
			t.Errorf("%s: %v, %v; want rows with problems", tc.why, rows, err)
			continue
		}
		if p := rows[0].Problem; !strings.Contains(p.Error(), tc.want) || p.Hint != hintFormula {
			t.Errorf("%s: %s (%s); want …%s…", tc.why, p, p.Hint, tc.want)
		}
	}
}

// TestMoreThanAnID tells of an id with something beside it what to leave out, and not
// to look it up as a name.
func TestMoreThanAnID(t *testing.T) {
	rows, _, err := readAll(strings.NewReader("MachineId\n"+idA+"\n"+idA+" "+idB), Options{})
	if err != nil || len(rows) != 2 || rows[1].Problem == nil {
		t.Fatalf("reading = %q, %v; want two rows, the second with a problem", short(rows), err)
	}
	if p := rows[1].Problem; !strings.Contains(p.Text, "is more than a device id") || p.Hint != "write the id alone, and one a line" {
		t.Errorf("two ids in a cell: %s (%s)", p, p.Hint)
	}
}

// TestInstead shows that what stands in the id column is kept where it is no id.
func TestInstead(t *testing.T) {
	rows, _, err := readAll(strings.NewReader("MachineId\n"+strings.ToUpper(idA)+"\n lap-1\n{"+idG+"}\n"), Options{NamesOK: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, row.Instead)
	}
	if diff := cmp.Diff([]string{"", " lap-1", "{" + idG + "}"}, got); diff != "" {
		t.Errorf("Instead (-want +got):\n%s", diff)
	}
}

// TestCell shows that a problem keeps the cell that it is about.
func TestCell(t *testing.T) {
	rows, _, err := readAll(strings.NewReader("MachineId\n"+idA+"\n lap-0001 \n1,23E+39\n"), Options{})
	if err != nil || len(rows) != 3 || rows[1].Problem == nil || rows[2].Problem == nil {
		t.Fatalf("reading = %q, %v; want three rows, the second and third with a problem", short(rows), err)
	}
	if got, want := rows[2].Problem.Cell, "1,23E+39"; got != want {
		t.Errorf("Cell = %q; want %q", got, want)
	}
	if p := rows[2].Problem; !strings.HasPrefix(p.Text, `"1,23E+39" is what a spreadsheet makes`) || !strings.Contains(p.Hint, "import the column as text") {
		t.Errorf("a number in two cells is told as %q, %q; want a damaged one", p.Text, p.Hint)
	}
	if got, want := rows[1].Problem.Cell, " lap-0001 "; got != want {
		t.Errorf("Cell = %q; want %q", got, want)
	}
}

// TestColumns shows that what travels is told apart by position.
func TestColumns(t *testing.T) {
	_, l, err := readAll(strings.NewReader("Site,MachineId,Site, Owner ,\na,"+idA+",b,c,d\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.Columns(), []string{"Site", "Site", "Owner", ""}; !slices.Equal(got, want) {
		t.Errorf("Columns() = %q; want %q", got, want)
	}
}

// TestSample shows that a list is begun without being read.
func TestSample(t *testing.T) {
	src := &counted{r: io.MultiReader(strings.NewReader("MachineId\n"), io.LimitReader(repeated(idA+"\n"), 100<<20))}
	l, err := NewList("list.csv", src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if src.n > 2*sampleBytes {
		t.Errorf("NewList read %d bytes; want no more than %d", src.n, 2*sampleBytes)
	}
}

// TestShortRows shows that a row costs what is in it, however wide its list is.
func TestShortRows(t *testing.T) {
	const most, rows = 8 << 20, 2000
	in := "MachineId" + strings.Repeat(",", MaxColumns-1) + "\n" + strings.Repeat(idA+"\n", rows)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, _, err := readAll(strings.NewReader(in), Options{})
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != rows {
		t.Fatalf("reading %d short rows = %d rows, %v", rows, len(got), err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > most {
		t.Errorf("reading %d short rows of %d columns took %d bytes; want %d at most", rows, MaxColumns, n, most)
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// repeated is a text over and over.
type repeated string

func (r repeated) Read(p []byte) (int, error) {
	n := 0
	for len(p)-n >= len(r) {
		n += copy(p[n:], r)
	}
	if n == 0 {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}
