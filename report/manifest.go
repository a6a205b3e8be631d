package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

const (
	manifestName    = "manifest.json"
	signatureName   = "manifest.json.sig"
	auditName       = "audit.json"
	pageName        = "audit.html"
	manifestFormat  = "mde-offboard manifest"
	manifestVersion = 1
)

// manifest ties a report folder together: what is in it, which list it is
// about, and up to where the batch's chain of events had come.
type manifest struct {
	Format    string        `json:"format"`
	Version   int           `json:"version"`
	Program   string        `json:"program,omitempty"` // the version that wrote the folder
	Simulated bool          `json:"simulated"`
	Batch     string        `json:"batch"`
	Cloud     string        `json:"cloud"`
	TenantID  string        `json:"tenantId"`
	List      listDigest    `json:"list"`
	Chain     chainDoc      `json:"chain"`
	Files     []fileInsides `json:"files"`
}

type listDigest struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

type fileInsides struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// encode is the manifest as it stands in its file, which is what is signed.
func (m *manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// parseManifest reads a manifest and refuses what this program does not know.
func parseManifest(b []byte) (*manifest, error) {
	var m manifest
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if m.Format != manifestFormat {
		return nil, errors.New("it is not one of mde-offboard's")
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("it is of version %d, this program knows version %d", m.Version, manifestVersion)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, b) {
		return nil, errors.New("it is not what was written")
	}
	return &m, nil
}

// counting hashes and counts what is written through it.
type counting struct {
	w io.Writer
	h hash.Hash
	n int64
}

func newCounting(w io.Writer) *counting { return &counting{w: w, h: sha256.New()} }

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.h.Write(p[:n])
	c.n += int64(n)
	return n, err
}

func (c *counting) insides(name string) fileInsides {
	return fileInsides{name, c.n, hex.EncodeToString(c.h.Sum(nil))}
}

// openIn opens a file of a report folder. Anything else in its place is a *Mismatch,
// before it is opened: a pipe would wait for somebody to write.
func openIn(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &Mismatch{name, "it is no file"}
	}
	return os.Open(path)
}

// readIn reads a file of a report folder.
func readIn(dir, name string) ([]byte, error) {
	f, err := openIn(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// insidesOf reads what a file holds now.
func insidesOf(dir, name string) (fileInsides, error) {
	f, err := openIn(dir, name)
	if err != nil {
		return fileInsides{}, err
	}
	defer f.Close()
	c := newCounting(io.Discard)
	_, err = io.Copy(c, f)
	return c.insides(name), err
}
