package checkpoint

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile writes a file for this user alone beside path and moves it there when
// it is whole and on the disk: a reader sees the old content or the new.
func WriteFile(path string, fill func(io.Writer) error) error {
	return writeFile(path, fill, func(f *os.File) error { // made with mode 0600
		if !makeLike(f.Name(), path) {
			MakePrivate(f.Name())
		}
		return nil
	})
}

// WritePublic is WriteFile for a file that others may read, where its directory
// lets them.
func WritePublic(path string, fill func(io.Writer) error) error {
	return writeFile(path, fill, func(f *os.File) error { return f.Chmod(0o644) })
}

func writeFile(path string, fill func(io.Writer) error, give func(*os.File) error) (err error) {
	// Moving a file over a device would take it from everybody: as root, /dev/null.
	if old, err := os.Stat(path); err == nil && !old.IsDir() && !old.Mode().IsRegular() {
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("it is a device or a pipe, and no file")}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := give(f); err != nil { // before there is anything in it
		return err
	}
	if err := fill(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable where the system lets a directory be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
