package defender

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"software.sslmate.com/src/go-pkcs12"
)

// readCertificate reads a certificate and its key, as PEM or as PFX. azidentity
// reads PEM; its reader of PFX files knows no SHA-256 MAC, which is what
// Windows and OpenSSL write today.
func readCertificate(file, password string) ([]*x509.Certificate, crypto.PrivateKey, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, nil, err
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		certs, key, err := azidentity.ParseCertificates(data, nil)
		if err != nil {
			return nil, nil, badCertificate(file, err, "a PEM file holds the certificate and its key, not encrypted; use PFX for one with a password")
		}
		return certs, key, nil
	}
	key, cert, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, badCertificate(file, err, "AZURE_CLIENT_CERTIFICATE_PASSWORD holds the password")
	case err != nil:
		return nil, nil, badCertificate(file, err, "the file is neither PEM nor a PFX with one certificate and its key")
	}
	return append([]*x509.Certificate{cert}, chain...), key, nil
}

// chainCertificate refuses what azidentity's chain would pass over in silence: a
// certificate that the environment names and that its reader cannot read. The
// chain would go on to whoever this machine is.
func chainCertificate() error {
	file := os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH")
	switch chain := os.Getenv("AZURE_TOKEN_CREDENTIALS"); {
	case file == "" || os.Getenv("AZURE_CLIENT_SECRET") != "":
		return nil
	case chain != "" && chain != "prod" && !strings.EqualFold(chain, "EnvironmentCredential"):
		return nil
	}
	data, err := readFile(file)
	if err != nil {
		return err
	}
	if _, _, err := azidentity.ParseCertificates(data, []byte(os.Getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD"))); err != nil {
		return &Error{Class: BadIdentity, Message: "login default cannot read certificate " + file + ": " + tidy(err.Error()),
			Hint: "--auth environment reads PFX files with modern MACs too"}
	}
	return nil
}

func readFile(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &Error{Class: BadIdentity, Message: "certificate: " + tidy(err.Error())}
	}
	return data, nil
}

func badCertificate(file string, err error, hint string) *Error {
	return &Error{Class: BadIdentity, Message: "certificate " + file + ": " + tidy(err.Error()), Hint: hint}
}
