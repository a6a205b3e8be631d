package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	Chained   bool   // the chain was found in the checkpoint
	Unknown   bool   // the checkpoint does not have the batch
	Remade    bool   // every file was made again from the checkpoint and is the same
	// Unmade says what of a folder that was remade could not be compared, and
	// why; empty: nothing.
	Unmade string
}

// VerifyFolder checks a report folder: that every file of its manifest is there
// and as it was written and that no other report file is; with a key, that the
// manifest is signed with it; with a checkpoint, that the chain which the
// manifest names is the beginning of the batch's chain there and, if nothing has
// happened since, that the checkpoint still gives every file as it is. A batch
// that the checkpoint does not have is no mismatch: it may have been forgotten
// since. program is the version that verifies. The first thing that does not fit
// comes back as a *Mismatch.
//
// Without a key or a checkpoint this proves that the folder is whole, not who
// made it.
func VerifyFolder(ctx context.Context, dir string, s *checkpoint.Store, key *Verifier, program string) (Checked, error) {
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
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
	c := Checked{Batch: m.Batch, Simulated: m.Simulated, Files: len(m.Files), Head: m.Chain.Head}
	if key != nil {
		if err := checkSignature(dir, raw, key); err != nil {
			return c, err
		}
		c.Signed = true
	}
	if err := m.checkFiles(dir); err != nil {
		return c, err
	}
	if s == nil {
		return c, nil
	}
	return c, s.View(ctx, func(r checkpoint.Reader) error { return m.checkChain(ctx, r, dir, program, &c) })
}

func checkSignature(dir string, raw []byte, key *Verifier) error {
	sig, err := os.ReadFile(filepath.Join(dir, signatureName))
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

// checkFiles holds the folder against the manifest.
func (m *manifest) checkFiles(dir string) error {
	known := []string{manifestName, signatureName}
	for _, want := range m.Files {
		if want.Name != filepath.Base(want.Name) || strings.ContainsAny(want.Name, `/\:`) {
			return &Mismatch{manifestName, fmt.Sprintf("%q is no name of a file in the folder", want.Name)}
		}
		known = append(known, want.Name)
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
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// What a file manager leaves behind is nobody's report.
		if ext := filepath.Ext(e.Name()); !slices.Contains([]string{".csv", ".json", ".html"}, ext) || slices.Contains(known, e.Name()) {
			continue
		}
		return &Mismatch{e.Name(), "it is not in the manifest"}
	}
	return nil
}

// checkChain holds the manifest against the checkpoint.
func (m *manifest) checkChain(ctx context.Context, r checkpoint.Reader, dir, program string, c *Checked) error {
	b, err := r.FindBatch(m.Cloud, m.TenantID, m.Batch)
	if errors.Is(err, checkpoint.ErrNoBatch) {
		c.Unknown = true // forgotten since, or another checkpoint: nothing to hold it against
		return nil
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
	c.Chained = true
	if b.Events > m.Chain.Events {
		return nil // more has happened since: the report cannot be made again
	}
	if m.List.SHA256 != b.ListDigest || m.List.Name != b.List || m.Simulated != b.Simulated {
		return &Mismatch{manifestName, "it is about another list than the checkpoint"}
	}
	return m.remake(ctx, r, b, dir, program, c)
}

// Describe puts what was checked into a sentence.
func (c Checked) Describe() string {
	var b bytes.Buffer
	if c.Simulated {
		b.WriteString("SIMULATED ")
	}
	fmt.Fprintf(&b, "batch %q: %d files are as they were written", c.Batch, c.Files)
	if c.Signed {
		b.WriteString(", the manifest is signed with the key")
	}
	switch {
	case c.Remade:
		b.WriteString(", the checkpoint gives the same report")
		if c.Unmade != "" {
			b.WriteString(", but for " + c.Unmade)
		}
	case c.Unknown:
		b.WriteString("; the checkpoint does not have this batch, so its chain could not be checked")
	case c.Chained:
		b.WriteString(", the checkpoint has the same chain and has gone on since")
	}
	return b.String()
}
