package batch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mde-offboard/batch/input"
)

// writeLists writes lists into a folder and returns their paths.
func writeLists(t *testing.T, texts ...string) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		files = append(files, filepath.Join(dir, fmt.Sprintf("%04d.csv", i)))
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestListsAsOne reads lists with different columns as one.
func TestListsAsOne(t *testing.T) {
	files := writeLists(t,
		"MachineId,Site,Owner\n"+device("a")+",berlin,kim\n"+device("b")+"\n",
		"Owner,MachineId,Site,Site\nkim,"+device("c")+",paris,2nd floor\n")
	ls, err := OpenLists(files, input.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	if diff := cmp.Diff([]string{"Site", "Owner", "Site"}, ls.Columns()); diff != "" {
		t.Errorf("Columns() (-want +got):\n%s", diff)
	}
	var got []string
	for {
		row, err := ls.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s:%d %s", filepath.Base(row.File), row.Line, strings.Join(row.Extra, "+")))
	}
	if diff := cmp.Diff([]string{"0000.csv:2 berlin+kim", "0000.csv:3 ", "0001.csv:2 paris+kim+2nd floor"}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if len(ls.Digest()) != 64 {
		t.Errorf("Digest() = %q; want a SHA-256", ls.Digest())
	}
}

// TestListsNotes says once what is so of several lists, and of which.
func TestListsNotes(t *testing.T) {
	plain, other := "MachineId,Comment\n", "MachineId;Note\n"
	files := writeLists(t, plain, other, other, "Comment,DeviceId\n")
	ls, err := OpenLists(files, input.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	for _, tc := range []struct {
		reason string
		parts  []part
		want   []string
	}{
		{"all are alike", ls.parts[1:3], []string{"cells are separated by semicolons", `device id: column "MachineId"`, "no column holds comments"}},
		{"they are not", ls.parts, []string{
			files[0] + ` and 2 more: device id: column "MachineId"`, files[0] + ` and 1 more: comment: column "Comment"`,
			files[1] + " and 1 more: cells are separated by semicolons", files[1] + " and 1 more: no column holds comments",
			files[3] + `: device id: column "DeviceId"`}},
	} {
		if diff := cmp.Diff(tc.want, (&Lists{parts: tc.parts}).Notes()); diff != "" {
			t.Errorf("%s: Notes() (-want +got):\n%s", tc.reason, diff)
		}
	}
}

// TestListsRefused shows what is wrong with lists only together.
func TestListsRefused(t *testing.T) {
	wide := func(prefix string) string {
		var b strings.Builder
		for i := range 600 {
			fmt.Fprintf(&b, "%s%d,", prefix, i)
		}
		return b.String() + "MachineId\n"
	}
	p := new(input.Problem)
	if _, err := OpenLists(writeLists(t, wide("a"), wide("b")), input.Options{}); !errors.As(err, &p) || p.Text != "with its columns the lists have 1200, the most is 1000" {
		t.Errorf("OpenLists of 1,200 columns in two lists = %v; want a problem", err)
	}

	files := writeLists(t, "MachineId\n", "MachineId,Site\n"+device("a")+",x\n")
	ls, err := OpenLists(files, input.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	if err := os.WriteFile(files[1], []byte("MachineId,Site,Owner\n"+device("a")+",x,y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ls.Next(); !errors.As(err, &p) || p.Text != "its columns were changed while the lists were read" {
		t.Errorf("Next() of a list with other columns than before = %v; want a problem", err)
	}
}
