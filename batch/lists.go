package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mde-offboard/batch/input"
)

// Lists is one list or several, read one after the other as one. Columns that
// are not ours are those of all of them, in the order in which they come up.
type Lists struct {
	lists   []*input.List
	closers []io.Closer // of what the lists do not close themselves
	columns []string
	places  [][]int // of each list's columns among all
	current int
}

// OpenLists opens lists by their files.
func OpenLists(files []string, opt input.Options) (*Lists, error) {
	return OpenSpooled(files, "", opt)
}

// OpenSpooled is OpenLists where "-" stands for what Spool has put into a file:
// it goes by that name, since the file has another one each time.
func OpenSpooled(files []string, spooled string, opt input.Options) (*Lists, error) {
	ls := &Lists{}
	for _, f := range files {
		var l *input.List
		var err error
		if f == "-" {
			l, err = ls.openSpooled(spooled, opt)
		} else {
			l, err = input.Open(f, opt)
		}
		if err != nil {
			return nil, errors.Join(err, ls.Close())
		}
		ls.add(l)
	}
	return ls, nil
}

func (ls *Lists) openSpooled(path string, opt input.Options) (*input.List, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	ls.closers = append(ls.closers, f)
	return input.NewList("-", f, opt)
}

func (ls *Lists) add(l *input.List) {
	place := make([]int, 0, len(l.Columns()))
	for _, c := range l.Columns() {
		i := slices.Index(ls.columns, c)
		if i < 0 || slices.Contains(place, i) { // a second column of that name
			i = len(ls.columns)
			ls.columns = append(ls.columns, c)
		}
		place = append(place, i)
	}
	ls.lists, ls.places = append(ls.lists, l), append(ls.places, place)
}

// Next reads the next row of all lists; io.EOF after the last.
func (ls *Lists) Next() (input.Row, error) {
	for ls.current < len(ls.lists) {
		row, err := ls.lists[ls.current].Next()
		if err == io.EOF {
			ls.current++
			continue
		}
		if err != nil || len(ls.lists) == 1 {
			return row, err
		}
		extra := make([]string, len(ls.columns))
		for i, cell := range row.Extra {
			extra[ls.places[ls.current][i]] = cell
		}
		row.Extra = extra
		return row, nil
	}
	return input.Row{}, io.EOF
}

// Columns are the names of the columns that are not ours.
func (ls *Lists) Columns() []string { return ls.columns }

// Notes are what there is to say of how the lists were read.
func (ls *Lists) Notes() (notes []string) {
	for _, l := range ls.lists {
		notes = append(notes, l.Notes()...)
	}
	return notes
}

// Digest is the SHA-256 of the file, or over those of the files. It is valid
// when all is read.
func (ls *Lists) Digest() string {
	if len(ls.lists) == 1 {
		return ls.lists[0].Digest()
	}
	h := sha256.New()
	for _, l := range ls.lists {
		fmt.Fprintln(h, l.Digest())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Close closes the files.
func (ls *Lists) Close() error {
	var errs []error
	for _, l := range ls.lists {
		errs = append(errs, l.Close())
	}
	for _, c := range ls.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Spool keeps a list that comes from a pipe in a file of its own, since a plan
// is made of a list that can be read again. It is removed by remove.
func Spool(r io.Reader) (path string, remove func(), err error) {
	f, err := os.CreateTemp("", "mde-offboard-list-*") // 0600
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.Remove(f.Name()) }
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		remove()
		return "", nil, err
	}
	return f.Name(), remove, nil
}

// Named says what a batch and its list are called: by the file's name without
// extension, if there is one file.
func Named(files []string, batch string) (name, list string, err error) {
	list = strings.Join(files, ", ")
	switch {
	case batch != "":
		return batch, list, nil
	case len(files) == 1 && files[0] != "-":
		return stem(files[0]), list, nil
	case len(files) == 1:
		return "", "", errors.New("a list from standard input needs a name: --batch NAME")
	}
	return "", "", fmt.Errorf("%d lists in one batch need a name: --batch NAME", len(files))
}

// stem is a file's name without folder and extension; of a result CSV, the name
// of its batch.
func stem(path string) string {
	path = path[strings.LastIndexAny(path, `/\`)+1:]
	if i := strings.LastIndex(path, "."); i > 0 {
		path = path[:i]
	}
	return path
}

// Defuse is input.Defuse, for whoever writes a list.
func Defuse(cell string) string { return input.Defuse(cell) }
