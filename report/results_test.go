package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("..", "testdata", "report", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as it was (go test -update writes it); got:\n%s", path, got)
	}
}

func TestResultsGolden(t *testing.T) {
	w := newWorld(t)
	small(w)
	path := filepath.Join(t.TempDir(), "decommission.results.csv")
	sum, err := WriteResults(t.Context(), w.s, w.batch, path, ResultOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Path != path || sum.Lines != 11 || sum.Gone != 1 {
		t.Errorf("WriteResults = %+v; want 11 lines and 1 gone at %s", sum, path)
	}
	for status, want := range map[checkpoint.Status]int{checkpoint.Accepted: 3, checkpoint.AlreadyActive: 1, checkpoint.Refused: 2,
		checkpoint.Failed: 1, checkpoint.InDoubt: 1, checkpoint.Skipped: 3, checkpoint.Pending: 1, checkpoint.Sending: 0} {
		if got := sum.Counts[status]; got != want {
			t.Errorf("Counts[%s] = %d; want %d", status, got, want)
		}
	}
	got := read(t, path)
	golden(t, "results.csv", got)

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 && os.PathSeparator == '/' {
		t.Errorf("mode = %v; want 0600, the file names devices", got)
	}

	if _, err := WriteResults(t.Context(), w.s, w.batch, path, ResultOptions{Excel: true}); err != nil {
		t.Fatal(err)
	}
	if excel := read(t, path); !bytes.Equal(excel, append([]byte("\ufeff"), got...)) {
		t.Errorf("with Excel the file is not a byte order mark and the same file")
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The result is a list: reading it gives back the devices, comments and columns
// that went in, whatever they hold.
func TestResultsAreAList(t *testing.T) {
	cells := []struct{ cell, why string }{
		{"plain", "the usual"},
		{"", "nothing"},
		{"a,b;c\td", "delimiters"},
		{`say "hi"`, "quotes"},
		{"two\nlines", "a line break"},
		{"=1+1", "a formula"},
		{"'=1+1", "a formula that was defused before"},
		{"''@x", "two apostrophes before one"},
		{"-5", "a number"},
		{"＝1", "a wide equals sign"},
		{"<script>alert(1)</script>", "markup"},
		{"\u202egnp.exe", "right to left"},
		{"𝔘𝔫𝔦😀", "four-byte characters"},
	}
	w := newWorld(t)
	w.newBatch("hostile", false)
	w.plan(checkpoint.Plan{Columns: []string{"Status", "Cost, centre"}})
	var lines []checkpoint.Line
	for i, c := range cells {
		lines = append(lines, checkpoint.Line{N: int64(i + 1), Position: int64(i + 1), Line: i + 2, Device: device(i + 1),
			Name: "n", Comment: "c" + c.cell, Extra: []string{c.cell, c.cell + c.cell}})
	}
	w.lines(lines...)
	path := filepath.Join(t.TempDir(), "r.csv")
	if _, err := WriteResults(t.Context(), w.s, w.batch, path, ResultOptions{}); err != nil {
		t.Fatal(err)
	}

	l, err := input.Open(path, input.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Columns(); !slices.Equal(got, []string{"List Status", "Cost, centre"}) {
		t.Errorf("reading back the columns = %q", got)
	}
	for i, c := range cells {
		row, err := l.Next()
		if err != nil || row.Problem != nil {
			t.Fatalf("row %d (%s): %v %v", i, c.why, err, row.Problem)
		}
		got := strings.Join(append([]string{row.ID, row.Comment}, row.Extra...), "|")
		want := strings.Join([]string{device(i + 1), "c" + c.cell, c.cell, c.cell + c.cell}, "|")
		if got != want {
			t.Errorf("reading back %s = %q; want %q", c.why, got, want)
		}
	}
	if _, err := l.Next(); err != io.EOF {
		t.Errorf("after the last row: %v; want EOF", err)
	}
}

// TestListColumns: no name stands twice in a header, whatever a list calls its
// columns, and none changes again in results of results.
func TestListColumns(t *testing.T) {
	for _, tt := range []struct {
		why, columns, want string
	}{
		{"its own", "Site|Owner", "Site|Owner"},
		{"one of ours", "Status|Site|Line", "List Status|Site|List Line"},
		{"but for the case", "STATUS|error", "List STATUS|List error"},
		{"the second of several lists", "Site|Owner|site", "Site|Owner|List site"},
		{"the other name is there, too", "Status|List Status|Status", "List Status 2|List Status|List Status 3"},
		{"no name", "||Site", "||Site"},
	} {
		got := ListColumns(strings.Split(tt.columns, "|"))
		if again := ListColumns(got); strings.Join(got, "|") != tt.want || !slices.Equal(again, got) {
			t.Errorf("%s: ListColumns(%s) = %q, then %q; want %s both times", tt.why, tt.columns, got, again, tt.want)
		}
	}
}

// No cell of the file begins with what a spreadsheet would run.
func TestResultsHaveNoFormula(t *testing.T) {
	w := newWorld(t)
	w.newBatch("formulas", false)
	bad := "=cmd|' /C calc'!A0"
	w.plan(checkpoint.Plan{Columns: []string{bad}})
	w.lines(checkpoint.Line{N: 1, Position: 1, Line: 2, Device: bad, Name: bad, Comment: bad, Extra: []string{bad}})
	w.start("run", "--yes")
	w.call(1, 1, answer{http: 400, code: bad, message: bad, target: bad, status: checkpoint.Refused, reason: bad,
		action: &checkpoint.Action{ID: bad, Status: bad, Requestor: bad, Created: bad}})
	path := filepath.Join(t.TempDir(), "r.csv")
	if _, err := WriteResults(t.Context(), w.s, w.batch, path, ResultOptions{}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(read(t, path))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	defused := 0
	for _, row := range rows {
		for _, cell := range row {
			if strings.HasPrefix(cell, "=") {
				t.Errorf("cell %q would run", cell)
			}
			if cell == "'"+bad {
				defused++
			}
		}
	}
	if defused != 13 {
		t.Errorf("%d cells were defused; want 13", defused)
	}
}

func TestResultsThatDoNotAddUp(t *testing.T) {
	w := newWorld(t)
	w.newBatch("holes", false)
	w.lines(checkpoint.Line{N: 1, Position: 1, Line: 2, Device: device(1)}, checkpoint.Line{N: 2, Position: 3, Line: 4, Device: device(2)})
	path := filepath.Join(t.TempDir(), "r.csv")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := WriteResults(t.Context(), w.s, w.batch, path, ResultOptions{})
	if err == nil || !strings.Contains(err.Error(), "place 2 of the list") {
		t.Errorf("WriteResults with a hole in the list = %v; want an error that names it", err)
	}
	if got := string(read(t, path)); got != "old" {
		t.Errorf("the file was replaced: %q", got)
	}
}

// TestSummaryThatDoesNotAddUp: what was written is counted against the checkpoint.
func TestSummaryThatDoesNotAddUp(t *testing.T) {
	w := newWorld(t)
	w.newBatch("two", false)
	w.lines(listed(2)...)
	for _, tt := range []struct {
		reason string
		sum    Summary
		want   string // in the error; empty: none
	}{
		{"as it is", Summary{Lines: 2, Counts: map[checkpoint.Status]int{checkpoint.Pending: 2}}, ""},
		{"a row too few", Summary{Lines: 1, Counts: map[checkpoint.Status]int{checkpoint.Pending: 1}}, "1 rows are pending, the checkpoint has 2"},
		{"another status", Summary{Lines: 2, Counts: map[checkpoint.Status]int{checkpoint.Pending: 1, checkpoint.Accepted: 1}}, "1 rows are accepted, the checkpoint has 0"},
		{"a line too many", Summary{Lines: 3, Counts: map[checkpoint.Status]int{checkpoint.Pending: 2}}, "2 by status, 3 by line"},
	} {
		err := w.s.View(t.Context(), func(r checkpoint.Reader) error { return tt.sum.check(r, w.batch) })
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.reason, err, tt.want)
		}
	}
}

// TestRehearsalsResults: every row of a rehearsal says that it is one, and its file
// takes the place of no other.
func TestRehearsalsResults(t *testing.T) {
	write := func(simulated bool, path string) (Summary, []byte) {
		w := newWorld(t)
		w.newBatch("night", simulated)
		w.lines(checkpoint.Line{N: 1, Position: 1, Line: 2, Device: device(1)},
			checkpoint.Line{N: 2, Position: 2, Line: 3, Device: device(2), Status: checkpoint.Skipped, Reason: "duplicate of line 2"})
		sum, err := WriteResults(t.Context(), w.s, w.batch, path, ResultOptions{Excel: true})
		if err != nil {
			t.Fatal(err)
		}
		return sum, read(t, sum.Path)
	}
	dir := t.TempDir()
	_, ofRun := write(false, filepath.Join(dir, "run.csv"))
	_, ofRehearsal := write(true, filepath.Join(dir, "rehearsal.csv"))
	for _, tt := range []struct {
		why       string
		there     []byte
		simulated bool
		replaced  bool
	}{
		{"a rehearsal, where nothing is", nil, true, true},
		{"a rehearsal after another", ofRehearsal, true, true},
		{"a rehearsal after a run", ofRun, true, false},
		{"a rehearsal where a list is", []byte("MachineId,Reason\n"), true, false},
		{"a rehearsal where something else is", []byte("hello"), true, false},
		{"a run after a rehearsal", ofRehearsal, false, true},
		{"a run after a run", ofRun, false, true},
	} {
		path := filepath.Join(t.TempDir(), "night.results.csv")
		if tt.there != nil {
			if err := os.WriteFile(path, tt.there, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		sum, got := write(tt.simulated, path)
		if (sum.Path == path) != tt.replaced || (sum.Beside == "") != tt.replaced {
			t.Errorf("%s: written to %s, %q; want it in place: %v", tt.why, sum.Path, sum.Beside, tt.replaced)
		}
		if !tt.replaced && !bytes.Equal(read(t, path), tt.there) {
			t.Errorf("%s: what was there has changed", tt.why)
		}
		for _, reason := range []string{",pending,SIMULATED,", ",skipped,SIMULATED; duplicate of line 2,"} {
			if bytes.Contains(got, []byte(reason)) != tt.simulated {
				t.Errorf("%s: %q in the rows: %v\n%s", tt.why, reason, !tt.simulated, got)
			}
		}
	}
}

func TestPlaceBesideAFileThatIsHeldOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "list.results.csv")
		// A folder with something in it cannot be replaced by a rename either.
		if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		fill := func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }
		yes := func(error) bool { return true }
		start := time.Now()
		got, err := placeUnless(t.Context(), path, fill, yes)
		if err != nil || filepath.Dir(got) != dir || !strings.HasPrefix(filepath.Base(got), "list.results-2000010") || filepath.Ext(got) != ".csv" {
			t.Fatalf("place = %q, %v; want a name beside %s", got, err, path)
		}
		if string(read(t, got)) != "new" {
			t.Errorf("the file beside is not what was to be written")
		}
		if waited := time.Since(start); waited < 500*time.Millisecond {
			t.Errorf("gave up after %v; want a few tries", waited)
		}
		no := func(error) bool { return false }
		if _, err := placeUnless(t.Context(), path, fill, no); err == nil {
			t.Errorf("place where nothing is held open = nil; want the error of the rename")
		}
		broken := errors.New("broken")
		if _, err := placeUnless(t.Context(), path, func(io.Writer) error { return broken }, yes); !errors.Is(err, broken) {
			t.Errorf("place with a broken source = %v; want %v", err, broken)
		}
	})
}
