package defender

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// networks are the ways out. Reads go over HTTP/1.1: there a body that is set
// and empty keeps net/http from replaying a GET, and nothing of it is on the
// wire. Over HTTP/2 it would be a DATA frame, and without it a GET that is
// refused or told to go away is sent again, up to six times, past the quota.
type networks struct {
	reads, writes http.RoundTripper
}

func dial(cfg Config) (networks, error) {
	if cfg.Transport != nil {
		return networks{cfg.Transport, cfg.Transport}, nil
	}
	roots, err := roots(cfg.CAFile)
	if err != nil {
		return networks{}, err
	}
	if err := checkProxies(httpproxy.FromEnvironment()); err != nil {
		return networks{}, err
	}
	connect := cmp.Or(cfg.ConnectTimeout, 15*time.Second)
	return networks{reads: newTransport(roots, connect, false), writes: newTransport(roots, connect, true)}, nil
}

func newTransport(roots *x509.CertPool, connect time.Duration, http2 bool) *http.Transport {
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	proxy := httpproxy.FromEnvironment().ProxyFunc()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	return &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    connect,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 18,
	}
}

// checkProxies refuses a proxy that cannot be read. The library would go past it,
// out of a network that is to be left through it alone. The address is not shown:
// what makes it unreadable is, as a rule, the password in it.
func checkProxies(env *httpproxy.Config) error {
	proxyOf := (&httpproxy.Config{HTTPSProxy: env.HTTPSProxy, HTTPProxy: env.HTTPProxy}).ProxyFunc() // whatever NO_PROXY says
	for _, v := range []struct{ name, scheme, address string }{
		{"HTTPS_PROXY", "https", env.HTTPSProxy}, {"HTTP_PROXY", "http", env.HTTPProxy},
	} {
		proxy, err := proxyOf(&url.URL{Scheme: v.scheme, Host: "example.com"})
		if v.address != "" && (err != nil || proxy == nil || proxy.Hostname() == "") {
			return fmt.Errorf("%s is not an address such as http://user:password@host:port; a sign such as %% @ : / in the password is written as %%25 %%40 %%3A %%2F", v.name)
		}
	}
	return nil
}

// transporter is the end of the API's pipeline. It calls a RoundTripper and not
// an http.Client, which would follow redirects and take the token along.
type transporter struct {
	reads, writes http.RoundTripper
}

// foreign reports whether the transport is not net/http's, and may not trace.
func (t *transporter) foreign() bool {
	_, ok := t.writes.(*http.Transport)
	return !ok
}

// Do sends req once.
func (t *transporter) Do(req *http.Request) (*http.Response, error) {
	network := t.writes
	once := req.WithContext(req.Context())
	// net/http repeats a POST on HTTP/2's REFUSED_STREAM and GOAWAY when it can
	// get the body again.
	once.GetBody = nil
	if req.Method == http.MethodGet {
		network = t.reads
		// A body of unknown length that turns out to be empty: see networks.
		once.Body = io.NopCloser(strings.NewReader(""))
		once.ContentLength = 0
	}
	res, err := network.RoundTrip(once)
	if err != nil {
		return nil, err
	}
	limit := int64(objectLimit)
	if cl, ok := req.Context().Value(callKey{}).(*call); ok {
		limit = cl.limit
	}
	res.Body = &limitedBody{ReadCloser: res.Body, left: limit}
	return res, nil
}

// errTooLarge ends an answer that does not end.
var errTooLarge = errors.New("the answer is too large")

// limitedBody fails, rather than ends, beyond its limit: half an answer must
// not be taken for one.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, errTooLarge
	}
	return n, err
}
