package report

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// Mismatch is the first thing in a report folder that does not fit.
type Mismatch struct {
	File string // within the folder
	What string
}

func (m *Mismatch) Error() string { return m.File + ": " + m.What }

// Checked is what a report folder was found to be about.
type Checked struct {
	Batch     string
	Simulated bool
	Files     int
	Head      string // of the batch's chain when the report was made
	Signed    bool   // the signature was checked
	Unknown   bool   // the checkpoint does not have the batch
	// Remade says that the chain was found in the checkpoint and that its events up
	// to the manifest's give every file as it is.
	Remade bool
	Since  int64 // how many events the checkpoint has beyond those
	// Unmade says what of a folder that was remade could not be compared, and why.
	Unmade []string
	// Stale are files under names of a report that the manifest does not have: an
	// earlier report may have left them, while another program held one open. They
	// are not checked.
	Stale []string
}

// verification is a folder that is checked.
type verification struct {
	m       *manifest
	dir     string
	program string   // the version that checks
	said    auditDoc // what audit.json says before its devices
	Checked
}

// VerifyFolder checks a report folder: that every file of a report is in its
// manifest and as it was written, that nothing else is there but what an earlier
// report may have left, and that the manifest and audit.json are about the same;
// with a key, that the manifest is signed with it; with a checkpoint, that the chain
// which the manifest names is the beginning of the batch's chain there and that its
// events give every file as it is, whatever has happened since. A batch that the
// checkpoint does not have is no mismatch: it may have been forgotten since. program
// is the version that verifies. The first thing that does not fit comes back as a
// *Mismatch.
//
// Without a key or a checkpoint this proves that the folder is whole, not who
// made it.
func VerifyFolder(ctx context.Context, dir string, s *checkpoint.Store, key *Verifier, program string) (Checked, error) {
	raw, err := readIn(dir, manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return Checked{}, &Mismatch{manifestName, "it is missing"}
	}
	if err != nil {
		return Checked{}, err
	}
	m, err := parseManifest(raw)
	if err != nil {
		return Checked{}, &Mismatch{manifestName, err.Error()}
	}
	v := &verification{m: m, dir: dir, program: program,
		Checked: Checked{Batch: m.Batch, Simulated: m.Simulated, Files: len(m.Files), Head: m.Chain.Head}}
	err = v.check(ctx, raw, s, key)
	return v.Checked, err
}

func (v *verification) check(ctx context.Context, raw []byte, s *checkpoint.Store, key *Verifier) error {
	if key != nil {
		if err := checkSignature(v.dir, raw, key); err != nil {
			return err
		}
		v.Signed = true
	}
	if err := v.checkFiles(); err != nil {
		return err
	}
	if err := v.checkSaid(); err != nil || s == nil {
		return err
	}
	return s.View(ctx, func(r checkpoint.Reader) error { return v.checkChain(ctx, r) })
}

func checkSignature(dir string, raw []byte, key *Verifier) error {
	sig, err := readIn(dir, signatureName)
	if errors.Is(err, fs.ErrNotExist) {
		return &Mismatch{signatureName, "it is missing: the manifest is not signed"}
	}
	if err != nil {
		return err
	}
	if err := key.check(raw, sig); err != nil {
		return &Mismatch{signatureName, err.Error()}
	}
	return nil
}

// checkFiles holds the folder against the manifest, which must name the files of
// a report, all of them and no other.
func (v *verification) checkFiles() error {
	known := []string{manifestName, signatureName}
	for i, name := range reportFiles {
		if i >= len(v.m.Files) || untimed(v.m.Files[i].Name) != name {
			return &Mismatch{name, "it is not in the manifest"}
		}
	}
	for i, want := range v.m.Files {
		if i >= len(reportFiles) {
			return &Mismatch{want.Name, "it is not one of the files of a report"}
		}
		if err := checkFile(v.dir, want); err != nil {
			return err
		}
		known = append(known, want.Name)
	}
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case e.IsDir():
			return &Mismatch{name, "it is not in the manifest"}
		case slices.Contains(known, name), leftBehind(name):
		case slices.Contains(reportFiles, untimed(name)):
			v.Stale = append(v.Stale, name)
		default:
			return &Mismatch{name, "it is not in the manifest"}
		}
	}
	return nil
}

// checkFile holds a file against what the manifest says of it.
func checkFile(dir string, want fileInsides) error {
	have, err := insidesOf(dir, want.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Mismatch{want.Name, "it is missing"}
	case err != nil:
		return err
	case have.Bytes != want.Bytes:
		return &Mismatch{want.Name, fmt.Sprintf("it has %d bytes, the manifest says %d", have.Bytes, want.Bytes)}
	case have.SHA256 != want.SHA256:
		return &Mismatch{want.Name, "it is not what was written: its SHA-256 does not fit the manifest"}
	}
	return nil
}

// checkSaid holds the manifest against audit.json, which says again what it is
// about: a manifest that was made to name another batch or chain is found out
// without a checkpoint too.
func (v *verification) checkSaid() (err error) {
	if v.said, err = readSaid(v.path(auditName)); err != nil {
		return &Mismatch{auditName, fmt.Sprintf("it cannot be read: %v", err)}
	}
	m, b := v.m, v.said.Batch
	for _, f := range []struct {
		name       string
		have, want any
	}{
		{"simulated", m.Simulated, v.said.Simulated}, {"batch", m.Batch, b.Name}, {"cloud", m.Cloud, b.Cloud}, {"tenantId", m.TenantID, b.TenantID},
		{"list", m.List, listDigest{b.List, b.ListSHA256}}, {"chain", m.Chain, b.Chain},
	} {
		if f.have != f.want {
			return &Mismatch{manifestName, fmt.Sprintf("its %s is %v, that of %s is %v", f.name, f.have, auditName, f.want)}
		}
	}
	return nil
}

// checkChain holds the folder against the checkpoint.
func (v *verification) checkChain(ctx context.Context, r checkpoint.Reader) error {
	m := v.m
	b, err := r.FindBatch(m.Cloud, m.TenantID, m.Batch)
	if errors.Is(err, checkpoint.ErrNoBatch) {
		return v.unknown(r)
	}
	if err != nil {
		return err
	}
	if b.Events < m.Chain.Events {
		return &Mismatch{manifestName, fmt.Sprintf("it names %d events of the batch, the checkpoint has only %d", m.Chain.Events, b.Events)}
	}
	var hash string
	if err := r.QueryRow("SELECT hash FROM event WHERE batch = $1 AND seq = $2", b.ID, m.Chain.Events).Scan(&hash); err != nil {
		return fmt.Errorf("event %d: %w", m.Chain.Events, err)
	}
	if hash != m.Chain.Head {
		return &Mismatch{manifestName, fmt.Sprintf("event %d of the batch has another hash in the checkpoint", m.Chain.Events)}
	}
	v.Since = b.Events - m.Chain.Events
	return r.AsOf(b, m.Chain.Events, func(then checkpoint.Reader) error { return v.remake(ctx, r, then, b) })
}

// unknown is what is to be said where the checkpoint has no batch of that name:
// nothing, for it may have been forgotten since, or be in another checkpoint;
// unless its chain is here under another name.
func (v *verification) unknown(r checkpoint.Reader) error {
	var name string
	err := r.QueryRow("SELECT b.name FROM batch b JOIN event e ON e.batch = b.id AND e.seq = $1 WHERE e.hash = $2",
		v.m.Chain.Events, v.m.Chain.Head).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		v.Unknown = true
		return nil
	}
	if err != nil {
		return err
	}
	return &Mismatch{manifestName, fmt.Sprintf("its chain is that of batch %q in the checkpoint, and not of %q", name, v.m.Batch)}
}

// Describe puts what was checked into a sentence.
func (c Checked) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, Mark(c.Simulated)+"batch %q: %d files are as they were written", c.Batch, c.Files)
	if c.Signed {
		b.WriteString(", the manifest is signed with the key")
	}
	if c.Unknown {
		b.WriteString("; the checkpoint does not have this batch, so its chain could not be checked")
	}
	if c.Remade {
		b.WriteString(", the checkpoint gives the same report")
		if len(c.Unmade) > 0 {
			b.WriteString(", but for " + enumerate(c.Unmade))
		}
		if c.Since > 0 {
			b.WriteString("; it has gone on since, by " + plural(int(c.Since), "event"))
		}
	}
	if len(c.Stale) > 0 {
		b.WriteString("; not checked, as the manifest does not name it: " + enumerate(c.Stale) + ", which an earlier report may have left (delete it)")
	}
	return b.String()
}
