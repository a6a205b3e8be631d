package input

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// inputs are lists as people have them.
const inputs = "../../testdata/inputs"

// TestGolden shows what is read of every list of testdata/inputs, or with what
// words it is refused, for run and for resolve.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(inputs, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob(%q) = %v, %v; want some files", inputs, files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			fmt.Fprintln(&b, "# run")
			tell(&b, file, Options{})
			fmt.Fprintln(&b, "\n# resolve")
			tell(&b, file, Options{NamesOK: true})
			golden(t, filepath.Join("testdata", "golden", name+".txt"), b.String())
		})
	}
}

// golden compares got with a golden file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), -update writes it anew:\n%s", file, diff)
	}
}

// tell writes all that a caller can learn of a list.
func tell(w io.Writer, file string, opt Options) {
	f, err := os.Open(file)
	if err != nil {
		fmt.Fprintln(w, err)
		return
	}
	defer f.Close()
	l, err := NewList(filepath.Base(file), f, opt)
	if err != nil {
		tellError(w, err)
		return
	}
	var rows []Row
	for {
		row, err := l.Next()
		if err != nil {
			if err != io.EOF {
				tellError(w, err)
			}
			break
		}
		rows = append(rows, *row)
	}
	for _, note := range l.Notes() {
		fmt.Fprintln(w, "note:", note)
	}
	fmt.Fprintf(w, "columns that travel: %s\n", quoteAll(l.Columns()))
	for _, row := range rows {
		if row.Problem != nil {
			tellError(w, row.Problem)
			continue
		}
		fmt.Fprintf(w, "%d: id=%s name=%q comment=%q entra=%q extra=%q\n", row.Line, row.ID, row.Name, row.Comment, row.EntraID, row.Extra)
	}
}

func tellError(w io.Writer, err error) {
	fmt.Fprintln(w, "error:", err)
	if p := new(Problem); errors.As(err, &p) {
		fmt.Fprintf(w, "hint: %s\nkind: %s\n", p.Hint, p.Kind)
	}
}
