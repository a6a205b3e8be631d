package checkpoint

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

// listOf is who may do what with a file.
func listOf(t *testing.T, path string) string {
	t.Helper()
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	return sd.String()
}

// TestPrivate: what is made is for this user, the system and administrators, and a
// file that is written anew stays for whom it was.
func TestPrivate(t *testing.T) {
	write := func(path string) {
		t.Helper()
		if err := WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	ours := filepath.Join(dir, "ours")
	write(ours)
	list := listOf(t, ours)
	if !strings.HasPrefix(list, "D:P") || strings.Count(list, "(A;") != 3 || !strings.Contains(list, ";SY)") || !strings.Contains(list, ";BA)") {
		t.Errorf("a new file has the list %s; want it for three, and nothing from above", list)
	}
	theirs := filepath.Join(dir, "theirs")
	if err := os.WriteFile(theirs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := listOf(t, theirs)
	write(theirs)
	if after := listOf(t, theirs); after != before {
		t.Errorf("a file that was there has the list %s; want %s, as before", after, before)
	}

	path := filepath.Join(dir, "c.db")
	open(t, path)
	for _, end := range []string{"", "-wal", "-shm"} {
		if list := listOf(t, path+end); !strings.HasPrefix(list, "D:P") {
			t.Errorf("c.db%s has the list %s; want nothing from above", end, list)
		}
	}
}
