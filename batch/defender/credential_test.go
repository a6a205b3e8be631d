package defender_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// TestCredentials takes each login that can run without Microsoft through
// azidentity's own code, to a token, a call, a revoked token and a fresh one.
func TestCredentials(t *testing.T) {
	tests := []struct {
		reason string
		auth   string
		user   bool // the token is a user's
		setup  func(t *testing.T, s *simulator.Server, cfg *defender.Config, o *defender.CredentialOptions) (renew func())
	}{
		{"secret", "environment", false, func(t *testing.T, _ *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			setApplication(t)
			t.Setenv("AZURE_CLIENT_SECRET", simulator.DefaultSecret)
			return nil
		}},
		{"secret, found by the chain", "default", false, func(t *testing.T, _ *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			setApplication(t)
			t.Setenv("AZURE_CLIENT_SECRET", simulator.DefaultSecret)
			return nil
		}},
		{"the chain, told which", "", false, func(t *testing.T, _ *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			setApplication(t)
			t.Setenv("AZURE_CLIENT_SECRET", simulator.DefaultSecret)
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
			return nil
		}},
		{"tenant and application by flag", "environment", false, func(t *testing.T, _ *simulator.Server, _ *defender.Config, o *defender.CredentialOptions) func() {
			t.Setenv("AZURE_CLIENT_SECRET", simulator.DefaultSecret)
			o.TenantID, o.ClientID = simulator.DefaultTenant, simulator.DefaultApplication
			return nil
		}},
		{"certificate in the environment", "environment", false, certificate("both.pem", "")},
		{"certificate, PEM", "certificate", false, certificate("both.pem", "")},
		{"certificate, PFX as of today, SHA-256", "certificate", false, certificate("modern.pfx", "p w")},
		{"certificate, PFX as of old, SHA-1", "certificate", false, certificate("legacy.pfx", "p w")},
		{"certificate, PFX without a password", "certificate", false, certificate("open.pfx", "")},
		{"workload identity", "workload-identity", false, func(t *testing.T, _ *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			setApplication(t)
			claims := fmt.Sprintf(`{"iss":"https://cluster.example","sub":"system:serviceaccount:a:b","aud":"api://AzureADTokenExchange","exp":%d}`, time.Now().Add(time.Hour).Unix())
			token := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
			t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file(t, "token", []byte(token)))
			return nil
		}},
		// Before managed identities, whose cache outlives a test: it is the process's.
		{"Azure CLI, found behind something at the metadata service's address", "default", true, func(t *testing.T, s *simulator.Server, cfg *defender.Config, _ *defender.CredentialOptions) func() {
			cfg.Transport = virtualMachine{s.Transport(), answer(403, "", "unreachable")}
			return standIn(t, s, "az")
		}},
		{"managed identity of the system, App Service", "managed-identity", false, func(t *testing.T, s *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			metadata := httptest.NewServer(s.Metadata())
			t.Cleanup(metadata.Close)
			t.Setenv("IDENTITY_ENDPOINT", metadata.URL+"/msi/token")
			t.Setenv("IDENTITY_HEADER", simulator.IdentityHeader)
			return nil
		}},
		{"managed identity of a user, a virtual machine", "managed-identity", false, func(t *testing.T, s *simulator.Server, cfg *defender.Config, o *defender.CredentialOptions) func() {
			o.ClientID = simulator.DefaultApplication
			cfg.Transport = virtualMachine{s.Transport(), s.Metadata()}
			return nil
		}},
		{"Azure CLI", "azure-cli", true, func(t *testing.T, s *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			return standIn(t, s, "az")
		}},
		{"Azure CLI, found by the chain", "default", true, func(t *testing.T, s *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
			return standIn(t, s, "az")
		}},
		{"Azure Developer CLI", "azure-developer-cli", true, func(t *testing.T, s *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
			return standIn(t, s, "azd")
		}},
		{"device code", "device-code", true, func(t *testing.T, _ *simulator.Server, _ *defender.Config, o *defender.CredentialOptions) func() {
			o.TenantID, o.ClientID = simulator.DefaultTenant, simulator.DefaultApplication
			shown := 0
			o.Prompt = func(string) { shown++ }
			t.Cleanup(func() {
				if shown != 1 {
					t.Errorf("Prompt was called %d times; want 1: a refresh asks nobody", shown)
				}
			})
			return nil
		}},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			clearEnvironment(t)
			s, cfg := listen(t, simulator.Options{})
			o := defender.CredentialOptions{Auth: test.auth}
			renew := test.setup(t, s, &cfg, &o)
			source, err := defender.NewSource(o)
			if err != nil {
				t.Fatal(err)
			}
			c := connect(t, cfg, source)
			checkIdentity(t, c, test.user)
			checkRefresh(t, s, c, renew)
		})
	}
}

func checkIdentity(t *testing.T, c *defender.Client, user bool) {
	t.Helper()
	id, err := c.Identity(t.Context())
	if err != nil {
		t.Fatalf("Identity() = %v; want a token", err)
	}
	if id.Tenant != simulator.DefaultTenant || id.Application != simulator.DefaultApplication || id.Delegated() != user || !id.Simulated {
		t.Errorf("Identity() = %+v; want the simulator's tenant and application, delegated %v, simulated whoever was asked for the token", id, user)
	}
	if id.Expires.Before(time.Now()) {
		t.Errorf("Identity().Expires = %v; want a time to come", id.Expires)
	}
	if err := id.Check(true); err != nil {
		t.Errorf("Check() = %v; want nil", err)
	}
}

func checkRefresh(t *testing.T, s *simulator.Server, c *defender.Client, renew func()) {
	t.Helper()
	_, x, err := c.Offboard(t.Context(), device, "c", nil)
	if err != nil || x.Token != 1 {
		t.Fatalf("Offboard() = %+v, %v; want success with token 1", x, err)
	}
	s.Revoke()
	other := "1" + device[1:]
	_, x, err = c.Offboard(t.Context(), other, "c", nil)
	if defender.ClassOf(err) != defender.Unauthorized {
		t.Fatalf("Offboard() with a revoked token = %v; want unauthorized", err)
	}
	if renew != nil {
		renew()
	}
	for range 2 { // the second is a worker that was refused at the same time
		if err := c.RefreshAfter(x); err != nil {
			t.Fatal(err)
		}
	}
	_, x, err = c.Offboard(t.Context(), other, "c", nil)
	if err != nil || x.Token != 2 {
		t.Fatalf("Offboard() after the refresh = %+v, %v; want success with token 2", x, err)
	}
}

func setApplication(t *testing.T) {
	t.Setenv("AZURE_TENANT_ID", simulator.DefaultTenant)
	t.Setenv("AZURE_CLIENT_ID", simulator.DefaultApplication)
}

// virtualMachine is a network with a metadata service at its address.
type virtualMachine struct {
	network  http.RoundTripper
	metadata http.Handler
}

func (v virtualMachine) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "169.254.169.254" {
		return v.network.RoundTrip(r)
	}
	w := httptest.NewRecorder()
	v.metadata.ServeHTTP(w, r)
	return w.Result(), nil
}

// standIn puts a tool on the PATH that prints a token, as az and azd do, and
// returns what makes it print another.
func standIn(t *testing.T, s *simulator.Server, name string) (renew func()) {
	dir := t.TempDir()
	tool(t, name, "cat '"+filepath.Join(dir, "out")+"'")
	renew = func() {
		expires := time.Now().Add(time.Hour)
		out := fmt.Sprintf(`{"accessToken":%q,"expires_on":%d,"token":%[1]q,"expiresOn":%[3]q}`,
			s.Token(simulator.TokenRequest{User: true}), expires.Unix(), expires.UTC().Format("2006-01-02T15:04:05Z"))
		if err := os.WriteFile(filepath.Join(dir, "out"), []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	return renew
}

// tool puts a shell script on the PATH under a name.
func tool(t *testing.T, name, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in is a shell script")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// certificate sets a login with a file of the given name up.
func certificate(name, password string) func(*testing.T, *simulator.Server, *defender.Config, *defender.CredentialOptions) func() {
	return func(t *testing.T, _ *simulator.Server, _ *defender.Config, _ *defender.CredentialOptions) func() {
		setApplication(t)
		t.Setenv("AZURE_CLIENT_CERTIFICATE_PATH", file(t, name, certificateFiles(t)[name]))
		t.Setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", password)
		return nil
	}
}

// certificateFiles makes one key and certificate in all forms.
func certificateFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := makeCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var makeCertificate = sync.OnceValues(func() (map[string][]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	modern, err := pkcs12.Modern.Encode(key, cert, nil, "p w")
	if err != nil {
		return nil, err
	}
	legacy, err := pkcs12.LegacyDES.Encode(key, cert, nil, "p w")
	if err != nil {
		return nil, err
	}
	open, err := pkcs12.Modern.Encode(key, cert, nil, "")
	if err != nil {
		return nil, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return map[string][]byte{
		"both.pem":   append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), certPEM...),
		"cert.pem":   certPEM,
		"noise.pfx":  []byte("noise"),
		"modern.pfx": modern,
		"legacy.pfx": legacy,
		"open.pfx":   open,
	}, nil
})
