package defender

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// errNoCA is for a --ca-file that holds no certificate.
var errNoCA = errors.New("no certificate in it: PEM and DER are read, which Windows calls Base-64 and DER encoded X.509")

// roots are the system's certificates and those of file. Nil: the system's.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := parseRoots(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}

// parseRoots reads certificates in DER form, or in PEM form in any Unicode that a
// byte order mark names, as PowerShell writes it. Of several, as in the bundle of a
// system, those are left out that cannot be read.
func parseRoots(data []byte) (certs []*x509.Certificate, err error) {
	if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 {
		return certs, nil
	}
	text, _, err := transform.Bytes(unicode.BOMOverride(transform.Nop), data)
	if err != nil {
		return nil, err
	}
	var wrong error
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			wrong = err
			continue
		}
		certs = append(certs, cert)
	}
	if certs == nil {
		return nil, cmp.Or(wrong, errNoCA)
	}
	return certs, nil
}
