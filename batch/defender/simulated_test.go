package defender_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// listen serves a simulator on a socket and returns what a client needs to call it.
func listen(t *testing.T, o simulator.Options) (*simulator.Server, defender.Config) {
	t.Helper()
	o.AnyDevice = true
	server, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, defender.Config{
		Endpoint: server.URL(), AuthorityHost: server.URL(), Version: "1.2.3",
		CAFile: file(t, "ca.pem", server.CertPEM()),
	}
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var secretSource = defender.SecretSource(simulator.DefaultTenant, simulator.DefaultApplication, simulator.DefaultSecret)

// clearEnvironment takes out what steers credentials. A variable that is set
// and empty is not the same to all of them as one that is not set.
func clearEnvironment(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"AZURE_", "IDENTITY_", "IMDS_", "MSI_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, value) // restores it
				os.Unsetenv(name)
			}
		}
	}
}

func connect(t *testing.T, cfg defender.Config, source defender.Source) *defender.Client {
	t.Helper()
	c, err := defender.New(cfg, source)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// caFile holds the certificate of a test server.
func caFile(t *testing.T, s *httptest.Server) string {
	t.Helper()
	return file(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// newClientWith makes a client of an API that takes everything and counts.
func newClientWith(t *testing.T, sent *atomic.Int32, cred azcore.TokenCredential) *defender.Client {
	t.Helper()
	network := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		w := httptest.NewRecorder()
		answer(201, "", pending).ServeHTTP(w, r)
		return w.Result(), nil
	})
	return connect(t, defender.Config{Transport: network}, defender.FixedSource(cred))
}
