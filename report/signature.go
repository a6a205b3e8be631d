package report

import (
	"bytes"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"
)

// SignatureNamespace is what a signature of a manifest is for, as ssh-keygen's
// -n wants to know it.
const SignatureNamespace = "mde-offboard"

// The format that "ssh-keygen -Y sign" writes and "ssh-keygen -Y verify" checks
// is described in OpenSSH's PROTOCOL.sshsig.
const (
	sshsigMagic   = "SSHSIG"
	sshsigVersion = 1
	sshsigHash    = "sha512"
	sshsigBlock   = "SSH SIGNATURE"
)

// sshsigBlob is what stands in a signature file, after the magic.
type sshsigBlob struct {
	Version                              uint32
	PublicKey, Namespace, Reserved, Hash string
	Signature                            string
}

// sshsigMessage is what is signed, after the magic.
type sshsigMessage struct{ Namespace, Reserved, Hash, Digest string }

func sshsigSigned(message []byte) []byte {
	digest := sha512.Sum512(message)
	return append([]byte(sshsigMagic), ssh.Marshal(sshsigMessage{SignatureNamespace, "", sshsigHash, string(digest[:])})...)
}

// taken says that a key is none of those that sign manifests. Not among them are
// DSA keys, certificates, and keys on a security token.
func taken(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	}
	return fmt.Errorf("a key of type %s; taken are ed25519, RSA and ECDSA keys, and ssh-keygen -t ed25519 makes one", key.Type())
}

// Signer signs manifests with an SSH key.
type Signer struct{ key ssh.AlgorithmSigner }

// LoadSigner reads an ed25519, RSA or ECDSA private key, in OpenSSH's format or
// as PEM, without a passphrase.
func LoadSigner(path string) (*Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("%s: the key has a passphrase; sign the manifest with ssh-keygen -Y sign -n %s -f KEY %s", path, SignatureNamespace, manifestName)
	}
	if err == nil {
		err = taken(key.PublicKey())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Signer{key.(ssh.AlgorithmSigner)}, nil
}

// sign makes a signature file.
func (s *Signer) sign(message []byte) ([]byte, error) {
	algorithm := s.key.PublicKey().Type()
	if algorithm == ssh.KeyAlgoRSA { // which is also the name of its signatures with SHA-1
		algorithm = ssh.KeyAlgoRSASHA512
	}
	return s.signAs(message, algorithm)
}

func (s *Signer) signAs(message []byte, algorithm string) ([]byte, error) {
	// Without randomness each kind of signature depends on key and message alone,
	// that of ECDSA as RFC 6979 has it: the same folder is the same bytes.
	sig, err := s.key.SignWithAlgorithm(nil, sshsigSigned(message), algorithm)
	if err != nil {
		return nil, err
	}
	blob := ssh.Marshal(sshsigBlob{sshsigVersion, string(s.key.PublicKey().Marshal()), SignatureNamespace, "", sshsigHash,
		string(ssh.Marshal(sig))})
	return armor(append([]byte(sshsigMagic), blob...)), nil
}

// armor is PEM with the line length of ssh-keygen.
func armor(blob []byte) []byte {
	var b bytes.Buffer
	b.WriteString("-----BEGIN " + sshsigBlock + "-----\n")
	text := base64.StdEncoding.EncodeToString(blob)
	for len(text) > 70 {
		b.WriteString(text[:70] + "\n")
		text = text[70:]
	}
	b.WriteString(text + "\n-----END " + sshsigBlock + "-----\n")
	return b.Bytes()
}

// Verifier checks signatures of manifests.
type Verifier struct{ key ssh.PublicKey }

// LoadVerifier reads the public key that manifests are to be signed with: a line
// as in a .pub file, a PEM public key, or the private key that it belongs to.
func LoadVerifier(path string) (*Verifier, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil {
		return newVerifier(key, path)
	}
	if block, _ := pem.Decode(b); block != nil && block.Type == "PUBLIC KEY" {
		raw, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		key, err := ssh.NewPublicKey(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return newVerifier(key, path)
	}
	signer, err := LoadSigner(path)
	if err != nil {
		return nil, err
	}
	return newVerifier(signer.key.PublicKey(), path)
}

func newVerifier(key ssh.PublicKey, path string) (*Verifier, error) {
	if err := taken(key); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Verifier{key}, nil
}

// check says why a signature file is not this key's for the message, or nil.
func (v *Verifier) check(message, file []byte) error {
	block, rest := pem.Decode(file)
	if block == nil || block.Type != sshsigBlock || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(block.Bytes, []byte(sshsigMagic)) {
		return errors.New("it is not an SSH signature")
	}
	var blob sshsigBlob
	if err := ssh.Unmarshal(block.Bytes[len(sshsigMagic):], &blob); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	switch {
	case blob.Version != sshsigVersion || blob.Hash != sshsigHash:
		return fmt.Errorf("it is of version %d with %q; this program knows version %d with %q", blob.Version, blob.Hash, sshsigVersion, sshsigHash)
	case blob.Namespace != SignatureNamespace:
		return fmt.Errorf("it is for %q, not for %q", blob.Namespace, SignatureNamespace)
	case subtle.ConstantTimeCompare([]byte(blob.PublicKey), v.key.Marshal()) != 1:
		return errors.New("it was made with another key")
	}
	var sig ssh.Signature
	if err := ssh.Unmarshal([]byte(blob.Signature), &sig); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if sig.Format == ssh.KeyAlgoRSA {
		return errors.New("it was made with SHA-1, which is no longer safe")
	}
	if err := v.key.Verify(sshsigSigned(message), &sig); err != nil {
		return errors.New("it is not a signature of this manifest")
	}
	return nil
}
