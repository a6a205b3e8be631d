package batch

import (
	"io"
	"os"
	"testing"

	"mde-offboard/batch/input"
)

// TestListsOpen reads more lists than it would have files open: a process may have
// about 1,000.
func TestListsOpen(t *testing.T) {
	const lists = 300
	texts := make([]string, lists)
	for i := range texts {
		texts[i] = "MachineId\n" + device("a") + "\n"
	}
	files := writeLists(t, texts...)
	ls, err := OpenLists(files, input.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	for n := 0; ; n++ {
		if open := openFiles(t); open > lists/2 {
			t.Fatalf("%d files are open after %d rows of %d lists; want few", open, n, lists)
		}
		if _, err := ls.Next(); err == io.EOF {
			if n != lists {
				t.Errorf("%d rows; want %d", n, lists)
			}
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
