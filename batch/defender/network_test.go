package defender_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

func TestProtocols(t *testing.T) {
	var seen []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, fmt.Sprintf("%s %s %d %q %q", r.Method, r.Proto, r.ContentLength, body, r.TransferEncoding))
		for name := range r.Header {
			if strings.Contains(strings.ToLower(name), "idempotency") {
				t.Errorf("header %s was sent: net/http repeats such a request", name)
			}
		}
		if got, want := r.UserAgent(), "mde-offboard azsdk-go-mde-offboard/1.2.3 ("; !strings.HasPrefix(got, want) {
			t.Errorf("User-Agent = %q; want %q…", got, want)
		}
		io.WriteString(w, pending)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := connect(t, defender.Config{Endpoint: server.URL, CAFile: caFile(t, server), Version: "1.2.3"}, defender.FixedSource(fixedCredential{testToken}))
	if _, _, err := c.Offboard(t.Context(), device, `a "b" <é>`, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.GetAction(t.Context(), "a-1", nil); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`POST HTTP/2.0 36 "{\"Comment\":\"a \\\"b\\\" \\u003cé\\u003e\"}" []`,
		`GET HTTP/1.1 0 "" []`,
	}
	if strings.Join(seen, "\n") != strings.Join(want, "\n") {
		t.Errorf("the server saw\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var arrived atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := newClient(t, answer(status, "Location: "+elsewhere.URL+"/", ""), nil)
		if _, _, err := c.Offboard(t.Context(), device, "c", nil); defender.ClassOf(err) != defender.Outage {
			t.Errorf("Offboard() redirected with %d = %v; want an outage", status, err)
		}
		if _, _, err := c.GetAction(t.Context(), "a-1", nil); defender.ClassOf(err) != defender.Outage {
			t.Errorf("GetAction() redirected with %d = %v; want an outage", status, err)
		}
	}
	if got := arrived.Load(); got != 0 {
		t.Errorf("requests that arrived at the other host = %d; want 0", got)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	c := connect(t, defender.Config{Endpoint: server.URL, CAFile: caFile(t, server)}, defender.FixedSource(fixedCredential{testToken}))
	if _, x, err := c.Offboard(t.Context(), device, "c", nil); defender.ClassOf(err) != defender.NotSent || x.Sent {
		t.Errorf("Offboard() over TLS 1.1 = %+v, %v; want not sent", x, err)
	}
}

func TestIPv6(t *testing.T) {
	s, err := simulator.New(simulator.Options{AnyDevice: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen("[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	defer s.Close()
	cfg := defender.Config{Endpoint: s.URL(), AuthorityHost: s.URL(), CAFile: file(t, "ca.pem", s.CertPEM())}
	if _, _, err := connect(t, cfg, secretSource).Offboard(t.Context(), device, "c", nil); err != nil {
		t.Errorf("Offboard() over IPv6 = %v; want success", err)
	}
}

// TestProxy reaches a host that exists only behind a proxy.
func TestProxy(t *testing.T) {
	clearEnvironment(t)
	server := httptest.NewTLSServer(answer(200, "", pending)) // its certificate is for example.com, too
	defer server.Close()
	var asked []string
	proxy := newProxy(t, server.Listener.Addr().String(), func(r *http.Request) int {
		asked = append(asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
		return http.StatusOK
	})
	t.Setenv("HTTPS_PROXY", strings.Replace(proxy, "http://", "http://user:hidden@", 1))
	cfg := defender.Config{Endpoint: "https://example.com", Scope: "https://example.com/.default", CAFile: caFile(t, server)}
	c := connect(t, cfg, defender.FixedSource(fixedCredential{testToken}))
	if _, _, err := c.Offboard(t.Context(), device, "c", nil); err != nil {
		t.Errorf("Offboard() through a proxy = %v; want success", err)
	}
	want := "CONNECT example.com:443 Basic dXNlcjpoaWRkZW4="
	if strings.Join(asked, "\n") != want {
		t.Errorf("the proxy was asked %q; want %q", asked, want)
	}

	// Loopback is past every proxy, so NO_PROXY is shown by a host that is nowhere.
	cfg.Endpoint = "https://host.invalid"
	t.Setenv("NO_PROXY", ".invalid")
	_, x, err := connect(t, cfg, defender.FixedSource(fixedCredential{testToken})).Offboard(t.Context(), device, "c", nil)
	if defender.ClassOf(err) != defender.NotSent || x.Sent || len(asked) != 1 {
		t.Errorf("Offboard() past the proxy = %+v, %v, proxy asked %d times; want not sent, 1", x, err, len(asked))
	}
}

func TestProxyThatRefuses(t *testing.T) {
	clearEnvironment(t)
	proxy := newProxy(t, "", func(*http.Request) int { return http.StatusProxyAuthRequired })
	t.Setenv("HTTPS_PROXY", strings.Replace(proxy, "http://", "http://user:hidden@", 1))
	cfg := defender.Config{Endpoint: "https://example.com", Scope: "https://example.com/.default"}
	c := connect(t, cfg, defender.FixedSource(fixedCredential{testToken}))
	_, x, err := c.Offboard(t.Context(), device, "c", nil)
	if defender.ClassOf(err) != defender.NotSent || x.Sent || strings.Contains(err.Error(), "hidden") {
		t.Errorf("Offboard() = %+v, %v; want not sent, without the password", x, err)
	}
}

// TestProxyThatCannotBeRead is refused before anything goes past it.
func TestProxyThatCannotBeRead(t *testing.T) {
	tests := []struct {
		reason, variable, address string
		ok                        bool
	}{
		{"none", "HTTPS_PROXY", "", true},
		{"an address", "HTTPS_PROXY", "http://user:hid%25den@proxy.example:8080", true},
		{"without a scheme", "HTTPS_PROXY", "proxy.example:8080", true},
		{"a bare % in the password", "HTTPS_PROXY", "http://user:hid%pen@proxy.example:8080", false},
		{"the same, in small letters", "https_proxy", "http://user:hid%pen@proxy.example:8080", false},
		{"the same, for plain HTTP", "HTTP_PROXY", "http://user:hid%pen@proxy.example:8080", false},
		{"no host", "HTTPS_PROXY", "http://user:hidden@:8080", false},
	}
	for _, test := range tests {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
			t.Setenv(name, "")
		}
		t.Setenv(test.variable, test.address)
		_, err := defender.New(defender.Config{}, secretSource)
		if (err == nil) != test.ok || err != nil && (strings.Contains(err.Error(), "hid") || !strings.Contains(err.Error(), "_PROXY is not an address")) {
			t.Errorf("%s: New() = %v; want allowed: %v, and no password in it", test.reason, err, test.ok)
		}
	}
}

// newProxy answers CONNECT with the status of ask, and then joins the client
// with target, whatever host was named.
func newProxy(t *testing.T, target string, ask func(*http.Request) int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	serve := func(client net.Conn) {
		defer client.Close()
		r, err := http.ReadRequest(bufio.NewReader(client))
		if err != nil {
			return
		}
		status := ask(r)
		fmt.Fprintf(client, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
		if status != http.StatusOK {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		go io.Copy(server, client)
		io.Copy(client, server)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return "http://" + listener.Addr().String()
}

// TestPlainHTTP is for loopback and made-up tokens.
func TestPlainHTTP(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	plain := httptest.NewServer(s)
	defer plain.Close()
	cfg.Endpoint = plain.URL
	if _, _, err := connect(t, cfg, secretSource).Offboard(t.Context(), device, "c", nil); err != nil {
		t.Errorf("Offboard() over http with a simulator's token = %v; want success", err)
	}
	c := connect(t, cfg, defender.FixedSource(fixedCredential{testToken}))
	_, x, err := c.Offboard(t.Context(), device, "c", nil)
	if defender.ClassOf(err) != defender.BadIdentity || x.Sent {
		t.Errorf("Offboard() over http with another token = %+v, %v; want a bad identity, not sent", x, err)
	}
	if got := s.Books().Calls[simulator.KindOffboard].Calls; got != 1 {
		t.Errorf("offboard calls that arrived = %d; want 1", got)
	}
}

func TestListLimit(t *testing.T) {
	const limit = 64 << 20
	tests := []struct {
		reason string
		size   int
		want   defender.Class
	}{
		{"more than one object may have", 3 << 20, defender.Unclassified},
		{"more than any list has", limit + 1, defender.Outage},
	}
	for _, test := range tests {
		c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"value":[]`)
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range test.size >> 20 {
				w.Write(chunk)
			}
			io.WriteString(w, `}`)
		}), nil)
		_, _, err := c.ListActions(t.Context(), defender.ActionQuery{}, nil)
		if got := defender.ClassOf(err); got != test.want {
			t.Errorf("%s: ListActions() of %d bytes = %v; want %v", test.reason, test.size, err, test.want)
		}
	}
}

// TestPlainHTTPEachToken: over http it is of no use that the first token was a
// simulator's. One from a cache is whose it was when it was had.
func TestPlainHTTPEachToken(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	cfg.Endpoint = "http://127.0.0.1"
	real := false
	cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "http" {
			return respond(s, r), nil
		}
		res, err := s.Transport().RoundTrip(r)
		if err == nil && real && strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
			res.Header.Del("X-Simulated-Defender")
		}
		return res, err
	})
	c := connect(t, cfg, secretSource)
	for range 2 {
		if _, err := c.Identity(t.Context()); err != nil {
			t.Errorf("Identity() over http with a simulator's token = %v; want success", err)
		}
	}
	if _, _, err := c.Offboard(t.Context(), device, "c", nil); err != nil {
		t.Errorf("Offboard() over http with a simulator's token = %v; want success", err)
	}
	real = true
	if err := c.Refresh(); err != nil {
		t.Fatal(err)
	}
	_, x, err := c.Offboard(t.Context(), "1"+device[1:], "c", nil)
	if defender.ClassOf(err) != defender.BadIdentity || x.Sent {
		t.Errorf("Offboard() over http with a later token that is no simulator's = %+v, %v; want a bad identity, not sent", x, err)
	}
}
