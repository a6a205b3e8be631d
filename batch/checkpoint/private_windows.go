package checkpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// File modes mean little on Windows, where access lists say who may read. What
// is here was compiled and vetted, and not run.

// makePrivateDir makes a directory for this user, the system and administrators,
// with those above it. One that is there is left as it is. What is made in the
// directory, SQLite's files included, inherits its list.
func makePrivateDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	sd, err := private("OICI") // passed on to files and directories
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	err = windows.CreateDirectory(name, sa)
	if errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return nil // another process was faster
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// private is a list with full access for this user, the system, and
// administrators, who are to Windows what root is elsewhere. It is protected:
// nothing comes down from above.
func private(inherit string) (*windows.SECURITY_DESCRIPTOR, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, err
	}
	list := "D:P"
	for _, who := range []string{user.User.Sid.String(), "SY", "BA"} {
		list += "(A;" + inherit + ";FA;;;" + who + ")"
	}
	return windows.SecurityDescriptorFromString(list)
}

// MakePrivate takes a file that this process has made from all others, whatever
// its directory lets them read. Where lists cannot be set, as on some shares,
// those of the directory stay: the file is where somebody wanted it.
func MakePrivate(path string) {
	if sd, err := private(""); err == nil {
		setList(path, sd)
	}
}

// makeLike gives a file the list of another, which it replaces or stands beside,
// and says whether there is that other. A list of a file that is there is somebody's
// will: an administrator who writes it anew by hand must not shut out the account
// that does so every night.
func makeLike(path, other string) bool {
	sd, err := windows.GetNamedSecurityInfo(other, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil || sd == nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	setList(path, sd)
	return true
}

func setList(path string, sd *windows.SECURITY_DESCRIPTOR) {
	dacl, _, err := sd.DACL()
	if err != nil {
		return
	}
	what := windows.SECURITY_INFORMATION(windows.DACL_SECURITY_INFORMATION | windows.UNPROTECTED_DACL_SECURITY_INFORMATION)
	if control, _, err := sd.Control(); err == nil && control&windows.SE_DACL_PROTECTED != 0 {
		what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	}
	windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, what, nil, nil, dacl, nil)
}
