package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mde-offboard/batch/checkpoint"
)

// FolderOptions say how a report folder is written.
type FolderOptions struct {
	Excel bool    // the CSV files begin with a byte order mark
	Key   *Signer // signs the manifest; nil: it is not signed
	// Program is the version of the program, for the manifest: another one may
	// give audit.html another look.
	Program string
}

// Folder is a report folder that was written.
type Folder struct {
	Dir     string
	Files   []string // names, in the order of the manifest, then the manifest and its signature
	Summary Summary  // of results.csv
	Head    string   // of the batch's chain, which the manifest names
	Left    []string // names of what could not be removed of earlier reports
}

// WriteFolder writes the report of a batch into a folder, which it makes if it
// is not there: results.csv; failed.csv with what was refused or has failed, or
// whose action has, and pending.csv with what is still to be sent or in doubt, both lists that can be
// run; audit.json; audit.html; and manifest.json, which names them all. Into a
// folder that holds anything else, or the report of another batch that was no
// rehearsal, it writes nothing and returns a *NoReport.
//
// All of it is of one moment of the checkpoint. The manifest is taken away first
// and written last, so a folder that has one is complete. What earlier reports have
// left under other names goes before that, but for what another program holds open.
func WriteFolder(ctx context.Context, s *checkpoint.Store, batch int64, dir string, opt FolderOptions) (Folder, error) {
	f := Folder{Dir: dir}
	err := s.View(ctx, func(r checkpoint.Reader) error {
		b, err := r.Batch(batch)
		if err != nil {
			return err
		}
		if err := checkFolder(dir); err != nil {
			return err
		}
		return checkOwner(dir, b)
	})
	if err != nil {
		return Folder{}, fmt.Errorf("report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Folder{}, fmt.Errorf("report: %w", err)
	}
	for _, name := range []string{manifestName, signatureName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Folder{}, fmt.Errorf("report: %w", err)
		}
	}
	err = s.View(ctx, func(r checkpoint.Reader) error {
		a, err := gather(ctx, r, batch)
		if err != nil {
			return err
		}
		return f.write(ctx, r, a, opt)
	})
	if err != nil {
		return Folder{}, fmt.Errorf("report: %w", err)
	}
	return f, nil
}

// write fills the folder.
func (f *Folder) write(ctx context.Context, r checkpoint.Reader, a *audit, opt FolderOptions) error {
	b := a.batch
	m := &manifest{Format: manifestFormat, Version: manifestVersion, Program: opt.Program, Simulated: b.Simulated, Batch: b.Name,
		Cloud: b.Key.Cloud, TenantID: b.Key.Tenant, List: listDigest{b.List, b.ListDigest}, Chain: chainDoc{b.Events, b.Head}}
	for _, file := range a.files(ctx, r, opt.Excel, a.doc(), &f.Summary) {
		if err := f.add(ctx, m, file.name, file.fill); err != nil {
			return err
		}
	}
	f.Summary.Path = filepath.Join(f.Dir, f.Files[0])
	f.Head = b.Head
	if err := f.sweep(os.Remove); err != nil {
		return err
	}
	return f.seal(m, opt.Key)
}

// sweep removes the files of earlier reports that no file of this one has replaced:
// one of them was held open by another program, and the other was left beside it.
func (f *Folder) sweep(remove func(path string) error) error {
	entries, err := os.ReadDir(f.Dir)
	for _, e := range entries {
		stale := slices.Contains(reportFiles, untimed(e.Name())) && !slices.Contains(f.Files, e.Name())
		if stale && remove(filepath.Join(f.Dir, e.Name())) != nil {
			f.Left = append(f.Left, e.Name())
		}
	}
	return err
}

// folderFile is a file of a report folder and what writes it.
type folderFile struct {
	name string
	fill func(io.Writer) error
}

// files are those of a report folder, in the order of its manifest. sum is that
// of results.csv once it is written.
func (a *audit) files(ctx context.Context, r checkpoint.Reader, excel bool, doc auditDoc, sum *Summary) []folderFile {
	some := func(wanted func(*checkpoint.Task) bool) func(io.Writer) error {
		return func(w io.Writer) error { return writeSome(r, a.batch, w, excel, wanted) }
	}
	return []folderFile{
		{"results.csv", func(w io.Writer) (err error) {
			*sum, err = writeResults(ctx, r, a.batch, w, ResultOptions{Excel: excel})
			return err
		}},
		{"failed.csv", some(hasFailed)},
		{"pending.csv", some(isLeft)},
		{auditName, func(w io.Writer) error { return a.writeJSON(w, r, doc) }},
		{pageName, func(w io.Writer) error { return a.writePage(w, r) }},
	}
}

// add writes one file and puts it into the manifest under the name that it got.
func (f *Folder) add(ctx context.Context, m *manifest, name string, fill func(io.Writer) error) error {
	var c *counting
	path, err := place(ctx, filepath.Join(f.Dir, name), func(w io.Writer) error {
		c = newCounting(w)
		return fill(c)
	})
	if err != nil {
		return err
	}
	name = filepath.Base(path)
	m.Files = append(m.Files, c.insides(name))
	f.Files = append(f.Files, name)
	return nil
}

// seal writes the manifest and, with a key, its signature, which stands there
// first: a signed folder never looks like an unsigned one.
func (f *Folder) seal(m *manifest, key *Signer) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	files := map[string][]byte{manifestName: b}
	names := []string{manifestName}
	if key != nil {
		if files[signatureName], err = key.sign(b); err != nil {
			return err
		}
		names = []string{signatureName, manifestName}
	}
	for _, name := range names {
		if err := checkpoint.WriteFile(filepath.Join(f.Dir, name), func(w io.Writer) error {
			_, err := w.Write(files[name])
			return err
		}); err != nil {
			return err
		}
		f.Files = append(f.Files, name)
	}
	return nil
}

// hasFailed says whether a device is to be looked at: it was refused or has failed,
// or its action has.
func hasFailed(t *checkpoint.Task) bool {
	switch t.Status {
	case checkpoint.Refused, checkpoint.Failed:
		return true
	case checkpoint.Accepted, checkpoint.AlreadyActive:
		return t.Action.Failed()
	}
	return false
}

// isLeft says whether a device is still to be sent or in doubt.
func isLeft(t *checkpoint.Task) bool { return !t.Status.Final() }

// writeSome writes the rows of the result CSV that have one of some statuses.
func writeSome(r checkpoint.Reader, b checkpoint.Batch, w io.Writer, excel bool, wanted func(*checkpoint.Task) bool) error {
	sheet, err := newSheet(w, b.Columns, excel)
	if err != nil {
		return err
	}
	if err := r.EachResult(b.ID, func(t checkpoint.Task, a checkpoint.Attempt) error {
		if !wanted(&t) {
			return nil
		}
		return sheet.add(row(b, t, a), t.Extra)
	}); err != nil {
		return err
	}
	return sheet.close()
}
