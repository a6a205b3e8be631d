package defender_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// TestConnectTimeout: who does not answer while a connection is made is given up
// long before the time-out of a call, and nothing was sent.
func TestConnectTimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	tests := []struct{ reason, address, want string }{
		{"nobody takes the connection", fullListener(t), "i/o timeout"},
		{"nobody shakes hands", silent.Addr().String(), "TLS handshake timeout"},
	}
	for _, test := range tests {
		if test.address == "" {
			continue
		}
		cfg := defender.Config{Endpoint: "https://" + test.address, ConnectTimeout: 50 * time.Millisecond, Timeout: 10 * time.Second}
		c := connect(t, cfg, defender.FixedSource(fixedCredential{testToken}))
		_, x, err := c.Offboard(t.Context(), device, "c", nil)
		if defender.ClassOf(err) != defender.NotSent || x.Sent || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Offboard() = %+v, %v; want not sent, %s", test.reason, x, err, test.want)
		}
	}
}

// TestKeepAlive: calls share connections, one for reads and one for the rest.
func TestKeepAlive(t *testing.T) {
	var made atomic.Int32
	server := httptest.NewUnstartedServer(answer(200, "", pending))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			made.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	c := connect(t, defender.Config{Endpoint: server.URL, CAFile: caFile(t, server)}, defender.FixedSource(fixedCredential{testToken}))
	for range 3 {
		if _, _, err := c.Offboard(t.Context(), device, "c", nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.GetAction(t.Context(), "a-1", nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := made.Load(); got != 2 {
		t.Errorf("connections that were made for six calls = %d; want 2", got)
	}
}

// TestCAFileBesideTheSystems: --ca-file adds to what the system trusts. It runs in
// a process of its own, since the system's certificates are read once.
func TestCAFileBesideTheSystems(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SSL_CERT_FILE names the system's certificates on Linux alone")
	}
	const marked = "MDE_OFFBOARD_TEST_ROOTS"
	if os.Getenv(marked) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCAFileBesideTheSystems$")
		cmd.Env = append(os.Environ(), marked+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	_, cfg := listen(t, simulator.Options{})
	t.Setenv("SSL_CERT_FILE", cfg.CAFile)
	_, other := listen(t, simulator.Options{})
	cfg.CAFile = other.CAFile
	if _, _, err := connect(t, cfg, secretSource).Offboard(t.Context(), device, "c", nil); err != nil {
		t.Errorf("Offboard() to a host that the system trusts, with a --ca-file of another = %v; want success", err)
	}
}
