package batch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// Lists is one list or several, read one after the other as one. Columns that
// are not ours are those of all of them, in the order in which they come up. One
// list at a time is open: a pattern can match more files than a process may have
// open.
type Lists struct {
	opt     input.Options
	spooled Spooled
	parts   []part
	columns []string
	current int         // of parts
	list    *input.List // the current one, if it is open
}

// part is one of several lists.
type part struct {
	file   string
	names  []string // of its columns
	places []int    // of them among all
	notes  []string
	digest string // when it is read
}

// OpenLists opens lists by their files.
func OpenLists(files []string, opt input.Options) (*Lists, error) {
	return OpenSpooled(files, nil, opt)
}

// OpenSpooled is OpenLists where some names stand for what Spool has kept of
// them: a list goes by its own name, since what is kept has another one each time.
func OpenSpooled(files []string, spooled Spooled, opt input.Options) (*Lists, error) {
	ls := &Lists{opt: opt, spooled: spooled}
	for _, f := range files {
		l, err := ls.open(f)
		if err != nil {
			return nil, errors.Join(err, ls.Close())
		}
		if ls.add(f, l); len(ls.parts) == 1 {
			ls.list = l // stays open: it is read next, and may be a pipe
		} else if err := l.Close(); err != nil {
			return nil, errors.Join(err, ls.Close())
		}
		if n := len(ls.columns); n > input.MaxColumns {
			return nil, errors.Join(&input.Problem{File: f, Kind: input.KindFile, Text: fmt.Sprintf("with its columns the lists have %d, the most is %d", n, input.MaxColumns),
				Hint: "leave out the columns that are not needed"}, ls.Close())
		}
	}
	return ls, nil
}

func (ls *Lists) open(file string) (*input.List, error) {
	return input.OpenAs(file, cmp.Or(ls.spooled[file], file), ls.opt)
}

func (ls *Lists) add(file string, l *input.List) {
	p := part{file: file, names: l.Columns(), notes: l.Notes()}
	for _, c := range p.names {
		i := slices.Index(ls.columns, c)
		if i < 0 || slices.Contains(p.places, i) { // a second column of that name
			i = len(ls.columns)
			ls.columns = append(ls.columns, c)
		}
		p.places = append(p.places, i)
	}
	ls.parts = append(ls.parts, p)
}

// Next reads the next row of all lists; io.EOF after the last.
func (ls *Lists) Next() (*input.Row, error) {
	for ls.current < len(ls.parts) {
		p := &ls.parts[ls.current]
		if ls.list == nil {
			if err := ls.reopen(p); err != nil {
				return nil, err
			}
		}
		row, err := ls.list.Next()
		if err == io.EOF {
			p.notes, p.digest = ls.list.Notes(), ls.list.Digest()
			if err := ls.Close(); err != nil {
				return nil, err
			}
			ls.current++
			continue
		}
		if err == nil && len(ls.parts) > 1 {
			row.Extra = p.placed(row.Extra)
		}
		return row, err
	}
	return nil, io.EOF
}

// reopen opens a list for reading whose columns are known.
func (ls *Lists) reopen(p *part) (err error) {
	if ls.list, err = ls.open(p.file); err != nil {
		return err
	}
	if !slices.Equal(ls.list.Columns(), p.names) {
		return &input.Problem{File: p.file, Kind: input.KindColumn, Text: "its columns were changed while the lists were read", Hint: "give the command again"}
	}
	return nil
}

// placed puts the cells of a row where its columns are among those of all lists,
// in a row no longer than it has to be.
func (p *part) placed(cells []string) (placed []string) {
	if len(cells) == 0 {
		return nil
	}
	placed = make([]string, 1+slices.Max(p.places[:len(cells)]))
	for i, cell := range cells {
		placed[p.places[i]] = cell
	}
	return placed
}

// Columns are the names of the columns that are not ours.
func (ls *Lists) Columns() []string { return ls.columns }

// Notes are what there is to say of how the lists were read, each thing once, and
// of which, if not of all. They are complete when all is read.
func (ls *Lists) Notes() (notes []string) {
	of := map[string][]string{} // note → files
	for _, p := range ls.parts {
		for _, note := range p.notes {
			if of[note] == nil {
				notes = append(notes, note)
			}
			of[note] = append(of[note], p.file)
		}
	}
	for i, note := range notes {
		switch n := len(of[note]); n {
		case len(ls.parts):
		case 1:
			notes[i] = of[note][0] + ": " + note
		default:
			notes[i] = fmt.Sprintf("%s and %d more: %s", of[note][0], n-1, note)
		}
	}
	return notes
}

// Digest is the SHA-256 of the file, or over those of the files. It is valid
// when all is read.
func (ls *Lists) Digest() string {
	if len(ls.parts) == 1 {
		return ls.parts[0].digest
	}
	h := sha256.New()
	for _, p := range ls.parts {
		fmt.Fprintln(h, p.digest)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Close closes the list that is open.
func (ls *Lists) Close() error {
	if ls.list == nil {
		return nil
	}
	l := ls.list
	ls.list = nil
	return l.Close()
}

// Spooled is where lists are kept that cannot be read again, by their names.
type Spooled map[string]string

// Spool keeps what comes from standard input, called "-", and from pipes in files
// of its own, since a plan is made of lists that can be read again; remove takes
// these away. It waits for whoever writes a list, but no longer than ctx lasts.
func Spool(ctx context.Context, files []string, stdin io.Reader) (kept Spooled, remove func(), err error) {
	once := slices.DeleteFunc(slices.Clone(files), isThere)
	if len(once) == 0 {
		return nil, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "mde-offboard-list-*") // 0700
	if err != nil {
		return nil, nil, err
	}
	remove, kept = func() { os.RemoveAll(dir) }, Spooled{}
	for i, name := range once {
		kept[name] = filepath.Join(dir, fmt.Sprint(i))
		if err := keep(ctx, kept[name], name, stdin); err != nil {
			remove()
			return nil, nil, err
		}
	}
	return kept, remove, nil
}

// isThere says whether a list can be read again, as far as that can be told.
func isThere(name string) bool {
	if name == "-" {
		return false
	}
	fi, err := os.Stat(name)
	return err != nil || fi.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) == 0
}

// keep copies a list into a file.
func keep(ctx context.Context, path, name string, stdin io.Reader) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	checkpoint.MakePrivate(path)
	// After a reader that was left behind has its file closed under it, it can
	// write no more.
	err = Unless(ctx, func() error {
		from := stdin
		if name != "-" {
			pipe, err := os.Open(name) // waits for a writer
			if err != nil {
				return err
			}
			defer pipe.Close()
			from = pipe
		}
		_, err := io.Copy(to, from)
		return err
	})
	if err != nil && name == "-" {
		err = fmt.Errorf("standard input: %w", err)
	}
	return errors.Join(err, to.Close())
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

// stem is a file's name without folder and extension. A result CSV is a list like
// any other and has a batch of its own: taken for its batch's list, one that was
// filtered would withdraw what is not in it.
func stem(path string) string {
	path = path[strings.LastIndexAny(path, `/\`)+1:]
	if i := strings.LastIndex(path, "."); i > 0 {
		path = path[:i]
	}
	return path
}

// Defuse is input.Defuse, for whoever writes a list.
func Defuse(cell string) string { return input.Defuse(cell) }
