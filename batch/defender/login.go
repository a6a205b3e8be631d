package defender

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Login is what a credential needs to know of the client that it serves.
type Login struct {
	// Authority issues the tokens; PrivateAuthority: it is not Microsoft's.
	Authority        string
	PrivateAuthority bool
	// Options carry the authority, the network and the User-Agent.
	Options azcore.ClientOptions
}

// Source makes a credential. A client calls it when it is made and for each
// refresh, so a credential that reads a file reads it again.
type Source func(Login) (azcore.TokenCredential, error)

func newLogin(t Target, network http.RoundTripper, log *slog.Logger, version string) Login {
	host := t.Authority
	if u, err := url.Parse(t.Authority); err == nil {
		host = u.Host
	}
	return Login{
		Authority:        t.Authority,
		PrivateAuthority: t.PrivateAuthority,
		Options: azcore.ClientOptions{
			Cloud:     azcloud.Configuration{ActiveDirectoryAuthorityHost: t.Authority + "/"},
			Telemetry: policy.TelemetryOptions{ApplicationID: module + "/" + version},
			Transport: &http.Client{
				Transport: &loginTransport{network: network, authority: host, private: t.PrivateAuthority, log: log},
				// A redirect would take the secret along.
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
		},
	}
}

// loginTransport carries the requests of credentials: it reads their answers
// whole, since one that is cut is none, logs them without anything secret, and
// notes what they met.
type loginTransport struct {
	network   http.RoundTripper
	authority string
	private   bool
	log       *slog.Logger
}

func (t *loginTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.private && strings.HasSuffix(req.URL.Host, "."+t.authority) {
		// AZURE_REGIONAL_AUTHORITY_NAME puts a region before the host, and only
		// Microsoft has regions.
		req = req.Clone(req.Context())
		req.URL.Host, req.Host = t.authority, t.authority
	}
	start := time.Now()
	res, err := t.network.RoundTrip(req)
	body, err := readWhole(res, err)
	logLogin(req.Context(), t.log, req, res, err, time.Since(start))
	if seen, ok := req.Context().Value(loginKey{}).(*loginTrace); ok {
		seen.note(req.URL.Host, req.URL.Host == t.authority, res, body, err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return nil, untrusted{err}
	}
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// readWhole reads the body of an answer, if there is one.
func readWhole(res *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(&limitedBody{ReadCloser: res.Body, left: objectLimit})
}

// untrusted is the error of a certificate that does not verify. It keeps azcore
// from trying again: the next attempt meets the same one.
type untrusted struct{ error }

func (u untrusted) NonRetriable() {}
func (u untrusted) Unwrap() error { return u.error }

// notEntra is why an answer is not the authority's own, nil if it is. Only
// Entra's JSON error says no; a proxy's page, a portal's login, a redirect and an
// answer that ends in the middle say nothing about who asked.
func notEntra(res *http.Response, body []byte) error {
	var answer struct{ Error text }
	isJSON := json.Unmarshal(body, &answer) == nil
	if isJSON && (res.StatusCode/100 == 2 || answer.Error != "") {
		return nil
	}
	return fmt.Errorf("the answer is not the authority's (status %d, %s)", res.StatusCode, contentType(res.Header))
}
