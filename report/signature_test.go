package report

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshKey makes a key pair with ssh-keygen.
func sshKey(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("there is no ssh-keygen here")
	}
	path := filepath.Join(t.TempDir(), "key")
	args = append([]string{"-q", "-f", path, "-C", "anna@example"}, args...)
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return path
}

// keys are the arguments with which ssh-keygen makes each kind of key that signs
// manifests.
var keys = [][]string{{"-t", "ed25519"}, {"-t", "rsa", "-b", "2048"}, {"-t", "rsa", "-b", "2048", "-m", "PEM"},
	{"-t", "ecdsa", "-b", "256"}, {"-t", "ecdsa", "-b", "384"}, {"-t", "ecdsa", "-b", "521"}}

func TestSignature(t *testing.T) {
	for _, kind := range keys {
		t.Run(strings.Join(kind, " "), func(t *testing.T) { testSignature(t, kind) })
	}
}

func testSignature(t *testing.T, kind []string) {
	w := newWorld(t)
	small(w)
	path := sshKey(t, append(kind, "-N", "")...)
	key, err := LoadSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, w, FolderOptions{Key: key})
	pub, err := LoadVerifier(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	sshKeygenAccepts(t, dir, path, pub)
	if again := contents(t, write(t, w, FolderOptions{Key: key})); !maps.Equal(again, contents(t, dir)) {
		t.Errorf("a second signed report of the same checkpoint differs")
	}
	if c, err := VerifyFolder(t.Context(), dir, w.s, pub, ""); err != nil || !c.Signed || !c.Remade {
		t.Errorf("VerifyFolder with the key = %+v, %v; want it signed", c, err)
	}
	other, err := LoadVerifier(sshKey(t, "-t", "ed25519", "-N", "") + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	var m *Mismatch
	if _, err := VerifyFolder(t.Context(), dir, nil, other, ""); !errors.As(err, &m) || !strings.Contains(m.What, "another key") {
		t.Errorf("VerifyFolder with another key = %v; want a mismatch", err)
	}

	// A forger can make a manifest that fits, but not sign it.
	forge(t, dir, "audit.json", `"status":"refused"`, `"status":"accepted"`)
	if _, err := VerifyFolder(t.Context(), dir, nil, nil, ""); err != nil {
		t.Errorf("VerifyFolder of a forgery without a key = %v; want nil", err)
	}
	if _, err := VerifyFolder(t.Context(), dir, nil, pub, ""); !errors.As(err, &m) || m.File != signatureName {
		t.Errorf("VerifyFolder of a forgery = %v; want the signature not to fit", err)
	}

	// A report that is written again without a key is not left with the old signature.
	if _, err := WriteFolder(t.Context(), w.s, w.batch, dir, FolderOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyFolder(t.Context(), dir, nil, pub, ""); !errors.As(err, &m) || !strings.Contains(m.What, "not signed") {
		t.Errorf("VerifyFolder of an unsigned report = %v; want it said", err)
	}
}

// sshKeygenAccepts has OpenSSH check our signature, and us check OpenSSH's.
func sshKeygenAccepts(t *testing.T, dir, key string, pub *Verifier) {
	t.Helper()
	signers := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(signers, append([]byte("anna@example "), read(t, key+".pub")...), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := read(t, filepath.Join(dir, manifestName))
	verify := func(message []byte) ([]byte, error) {
		cmd := exec.Command("ssh-keygen", "-Y", "verify", "-n", SignatureNamespace, "-f", signers, "-I", "anna@example", "-s", filepath.Join(dir, signatureName))
		cmd.Stdin = bytes.NewReader(message)
		return cmd.CombinedOutput()
	}
	if out, err := verify(manifest); err != nil {
		t.Errorf("ssh-keygen -Y verify: %v\n%s", err, out)
	}
	if out, err := verify(append(manifest, ' ')); err == nil {
		t.Errorf("ssh-keygen -Y verify of a doctored manifest is content:\n%s", out)
	}
	sign := exec.Command("ssh-keygen", "-Y", "sign", "-n", SignatureNamespace, "-f", key)
	sign.Stdin = bytes.NewReader(manifest)
	theirs, err := sign.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.check(manifest, theirs); err != nil {
		t.Errorf("ssh-keygen's signature: %v", err)
	}
	// Those of ECDSA are random with ssh-keygen.
	ours := read(t, filepath.Join(dir, signatureName))
	if !strings.HasPrefix(pub.key.Type(), "ecdsa") && !bytes.Equal(ours, theirs) {
		t.Errorf("our signature\n%s\nis not ssh-keygen's\n%s", ours, theirs)
	}
}

// ssh-rsa is the name of a key and, in a signature, that of SHA-1.
func TestSHA1Refused(t *testing.T) {
	path := sshKey(t, "-t", "rsa", "-b", "2048", "-N", "")
	key, err := LoadSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := LoadVerifier(path)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, want := range map[string]string{ssh.KeyAlgoRSASHA512: "", ssh.KeyAlgoRSASHA256: "", ssh.KeyAlgoRSA: "SHA-1"} {
		sig, err := key.signAs([]byte("manifest"), algorithm)
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.check([]byte("manifest"), sig); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("check of a signature with %s = %v; want %q", algorithm, err, want)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		args []string
		what string
	}{
		{[]string{"-t", "ed25519", "-N", "secret"}, "passphrase"},
		{[]string{"-t", "rsa", "-b", "2048", "-N", "secret"}, "passphrase"},
	} {
		path := sshKey(t, tt.args...)
		if _, err := LoadSigner(path); err == nil || !strings.Contains(err.Error(), tt.what) {
			t.Errorf("LoadSigner(%v) = %v; want …%s…", tt.args, err, tt.what)
		}
	}
	token := filepath.Join(t.TempDir(), "key.pub")
	line := "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gAAAABHNzaDo=\n"
	if err := os.WriteFile(token, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadVerifier(token); err == nil || !strings.Contains(err.Error(), "taken are ed25519, RSA and ECDSA keys") {
		t.Errorf("LoadVerifier of a key on a token = %v; want an error that says which keys are taken", err)
	}
	if _, err := LoadVerifier(filepath.Join("..", "testdata", "report", "results.csv")); err == nil {
		t.Errorf("LoadVerifier of a CSV file = nil; want an error")
	}
}
