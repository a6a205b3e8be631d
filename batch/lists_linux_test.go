package batch

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// TestPipes reads a list from a pipe twice, and waits for no writer longer than it
// may.
func TestPipes(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeLists(t, "MachineId\n")[0]
	go os.WriteFile(fifo, []byte("MachineId\n"+device("a")+"\n"), 0)
	kept, remove, err := Spool(t.Context(), []string{file, fifo, "-"}, strings.NewReader("MachineId\n"))
	if err != nil || len(kept) != 2 {
		t.Fatalf("Spool = %v, %v; want the pipe and standard input, and no file", kept, err)
	}
	for range 2 {
		ls, err := OpenSpooled([]string{file, fifo, "-"}, kept, input.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if row, err := ls.Next(); err != nil || row.ID != device("a") || row.File != fifo {
			t.Errorf("Next() = %+v, %v; want the device, from the pipe", row, err)
		}
		ls.Close()
	}
	remove()
	if _, err := os.Stat(kept[fifo]); err == nil {
		t.Error("what was kept of the pipe is still there")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Spool(ctx, []string{fifo}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Spool of a pipe that nobody writes = %v; want the end of its context", err)
	}
	go os.WriteFile(fifo, nil, 0) // lets go whoever was left behind
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
