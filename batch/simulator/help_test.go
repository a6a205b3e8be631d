package simulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const (
	device  = "00aa11bb22cc33dd44ee55ff66007788990011aa"
	device2 = "11aa11bb22cc33dd44ee55ff66007788990011bb"
	scope   = AudienceCommercial + "/.default"
)

func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatalf("New(%+v) = %v; want a server", o, err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// listening starts a server on a socket and returns a client that trusts its CA.
func listening(t *testing.T, o Options) (*Server, *http.Client) {
	t.Helper()
	s := newServer(t, o)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatalf("Listen() = %v; want nil", err)
	}
	return s, trusting(t, s, true)
}

func trusting(t *testing.T, s *Server, http2 bool) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CertPEM()) {
		t.Fatal("CertPEM() is no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// got is what a test sees of an answer.
type got struct {
	status  int
	header  http.Header
	body    string
	code    string
	value   []map[string]any
	fields  map[string]any
	err     error // of the call
	bodyErr error // of reading the body
}

// client calls one server as one application.
type client struct {
	t     *testing.T
	s     *Server
	http  http.RoundTripper
	token string
}

func (s *Server) client(t *testing.T) *client {
	return &client{t: t, s: s, http: s.Transport(), token: s.Token(TokenRequest{})}
}

func (c *client) do(ctx context.Context, method, path, body string, headers ...string) got {
	c.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.s.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatalf("NewRequest(%q) = %v", path, err)
	}
	r.GetBody = nil
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http.RoundTrip(r)
	if err != nil {
		return got{err: err}
	}
	data, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	g := got{status: response.StatusCode, header: response.Header, body: string(data), bodyErr: err}
	var parsed struct {
		Error struct{ Code string }
		Value []map[string]any
	}
	if json.Unmarshal(data, &parsed) == nil {
		g.code, g.value = parsed.Error.Code, parsed.Value
	}
	_ = json.Unmarshal(data, &g.fields) // pages that are no JSON have no fields
	return g
}

func (c *client) get(path string) got {
	c.t.Helper()
	return c.do(c.t.Context(), http.MethodGet, path, "")
}

func (c *client) offboard(id string) got {
	c.t.Helper()
	return c.offboardFor(c.t.Context(), id)
}

func (c *client) offboardFor(ctx context.Context, id string) got {
	c.t.Helper()
	return c.do(ctx, http.MethodPost, "/api/machines/"+id+"/offboard", `{"Comment":"Retired"}`)
}

func (c *client) actions(filter string) got {
	c.t.Helper()
	return c.get("/api/machineactions?$top=10000&$filter=" + url.QueryEscape(filter))
}

// secretCredential is azidentity's own client-secret code against the server's authority.
func secretCredential(t *testing.T, s *Server, doer policy.Transporter, tenant, application, secret string) *azidentity.ClientSecretCredential {
	t.Helper()
	options := &azidentity.ClientSecretCredentialOptions{ClientOptions: clientOptions(s, doer), DisableInstanceDiscovery: true}
	credential, err := azidentity.NewClientSecretCredential(tenant, application, secret, options)
	if err != nil {
		t.Fatalf("NewClientSecretCredential() = %v", err)
	}
	return credential
}

func clientOptions(s *Server, doer policy.Transporter) policy.ClientOptions {
	return policy.ClientOptions{
		Transport: doer, Retry: policy.RetryOptions{MaxRetries: -1},
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: s.URL()},
	}
}

// numbered is a device id for a number.
func numbered(n int) string { return fmt.Sprintf("%040x", n+1) }
