package defender_test

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

func TestCAFile(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	if _, _, err := connect(t, cfg, secretSource).Offboard(t.Context(), device, "c", nil); err != nil {
		t.Errorf("Offboard() with --ca-file = %v; want success, authority included", err)
	}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty.pem", []byte("no certificate"), "PEM and DER are read"},
		{"request.pem", block("CERTIFICATE REQUEST"), "PEM and DER are read"},
		{"broken.pem", block("CERTIFICATE"), "x509: malformed certificate"},
	} {
		cfg.CAFile = file(t, test.name, test.data)
		if _, err := defender.New(cfg, secretSource); err == nil || !strings.Contains(err.Error(), test.name+": ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New() with --ca-file %s = %v; want an error that names it, and %q", test.name, err, test.want)
		}
	}
	cfg.CAFile = cfg.CAFile + ".not"
	if _, err := defender.New(cfg, secretSource); err == nil {
		t.Error("New() with a --ca-file that is missing = nil; want an error")
	}
	if got := s.Books().Calls[simulator.KindOffboard].Calls; got != 1 {
		t.Errorf("offboard calls that arrived = %d; want 1", got)
	}
}

// TestFormsOfCAFile: --ca-file takes what the tools of each system export, and the
// certificate that matters is in it.
func TestFormsOfCAFile(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	ours, other := s.CertPEM(), certificateFiles(t)["cert.pem"]
	der, _ := pem.Decode(ours)
	marked := append([]byte("\ufeff"), ours...)
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes(ours)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"der.cer":      der.Bytes,
		"marked.pem":   marked,
		"wide.pem":     wide,
		"several.pem":  slices.Concat(other, ours),
		"wrong.pem":    slices.Concat(block("CERTIFICATE"), ours),
		"comments.pem": slices.Concat([]byte("Subject: CN=proxy\r\n"), bytes.ReplaceAll(ours, []byte("\n"), []byte("\r\n"))),
	} {
		cfg.CAFile = file(t, name, data)
		if _, err := connect(t, cfg, secretSource).Identity(t.Context()); err != nil {
			t.Errorf("Identity() with --ca-file %s = %v; want success", name, err)
		}
	}
}

// block is PEM of a type with nothing of that type in it.
func block(of string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: of, Bytes: []byte("nothing")})
}
