package defender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Config says where a client calls and how. The zero value is the commercial
// cloud with the defaults below.
type Config struct {
	// Cloud, Endpoint, Scope and AuthorityHost are resolved together, see [Resolve].
	Cloud, Endpoint, Scope, AuthorityHost string
	// CAFile names certificates in PEM form that are trusted beside the system's,
	// for the API, the authority and the proxy alike.
	CAFile string
	// Timeout is for one HTTP request, from the gate to the end of the answer.
	// Zero: 60 seconds.
	Timeout time.Duration
	// ConnectTimeout is for making a connection. Zero: 15 seconds.
	ConnectTimeout time.Duration
	// Version is the program's, for the User-Agent.
	Version string
	// Transport takes the place of the network, for the API and the authority: an
	// in-process simulator, a test's. Nil: the network, with HTTPS_PROXY and
	// NO_PROXY, HTTP/2 and keep-alive.
	Transport http.RoundTripper
	// Logger gets a record at level debug for each HTTP request. Nil: none.
	Logger *slog.Logger
}

// Client calls Defender. It is safe for concurrent use.
type Client struct {
	target  Target
	timeout time.Duration
	version string
	log     *slog.Logger
	api     *transporter
	login   Login
	source  Source
	guard   *guard

	refreshing sync.Mutex
	current    atomic.Pointer[generation]
}

// generation is a credential with its pipeline. A plain 401 does not make a
// credential forget the token that was refused, so a refresh replaces both.
type generation struct {
	number   int
	cred     *guarded
	pipeline runtime.Pipeline
}

// New makes a client. It reads files that the configuration names, and calls
// nobody.
func New(cfg Config, source Source) (*Client, error) {
	target, err := Resolve(cfg.Cloud, cfg.Endpoint, cfg.Scope, cfg.AuthorityHost)
	if err != nil {
		return nil, err
	}
	if source == nil {
		return nil, errors.New("a source of credentials is needed")
	}
	networks, err := dial(cfg)
	if err != nil {
		return nil, err
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		target:  target,
		timeout: cmp.Or(cfg.Timeout, 60*time.Second),
		version: userVersion(cfg.Version),
		log:     logger,
		api:     &transporter{reads: networks.reads, writes: networks.writes},
		source:  source,
		guard:   &guard{audience: target.Audience, http: strings.HasPrefix(target.Endpoint, "http:")},
	}
	c.login = newLogin(target, networks.writes, logger, c.version)
	if err := c.Refresh(); err != nil {
		return nil, err
	}
	return c, nil
}

// Target is where the client calls.
func (c *Client) Target() Target { return c.target }

// At has the client call another host of its cloud: one scope, one authority and
// one quota serve them all. It is for before the first call.
func (c *Client) At(host string) error {
	t, err := Resolve("", "https://"+host, c.target.Scope, c.target.Authority)
	if err == nil && t.Key != c.target.Key {
		err = fmt.Errorf("%s is not of the cloud of %s", host, c.target.Host)
	}
	if err == nil {
		c.target.Endpoint, c.target.Host = t.Endpoint, t.Host
	}
	return err
}

// String names the client without anything secret.
func (c *Client) String() string { return "defender client for " + c.target.Host }

// GoString is String: a %#v must not print what credentials hold.
func (c *Client) GoString() string { return c.String() }

// Token counts the credentials, as [Exchange] does: that of the next call.
func (c *Client) Token() int { return c.current.Load().number }

// Refresh makes the next call ask for a new token: a plain 401 alone would get
// the same cached token again.
func (c *Client) Refresh() error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	return c.refresh()
}

// RefreshAfter is [Client.Refresh] for the one who was refused in x. It does
// nothing when the credential was replaced since, so that of many workers that
// are refused at once only one asks for a new token.
func (c *Client) RefreshAfter(x Exchange) error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if x.Token != c.current.Load().number {
		return nil
	}
	return c.refresh()
}

func (c *Client) refresh() error {
	next := 1
	if g := c.current.Load(); g != nil {
		next = g.number + 1
	}
	cred, err := c.source(c.login)
	if err != nil {
		return explain(err)
	}
	g := &generation{number: next, cred: &guarded{inner: cred, guard: c.guard}}
	g.cred.force.Store(next > 1)
	g.pipeline = c.pipeline(g)
	c.current.Store(g)
	return nil
}

// pipeline is azcore's with its retries off. The bearer policy stands before
// the sending one, so that a request that is sent again for a claims challenge
// passes the gate again.
func (c *Client) pipeline(g *generation) runtime.Pipeline {
	bearer := runtime.NewBearerTokenPolicy(g.cred, []string{c.target.Scope}, &policy.BearerTokenOptions{
		InsecureAllowCredentialWithHTTP: c.guard.http, // only on loopback, and guard lets made-up tokens alone pass
	})
	return runtime.NewPipeline(module, c.version,
		runtime.PipelineOptions{
			PerCall:  []policy.Policy{runtime.NewRequestIDPolicy()},
			PerRetry: []policy.Policy{bearer, &sender{client: c, token: g.number}},
		},
		&policy.ClientOptions{
			Transport: c.api,
			Retry:     policy.RetryOptions{MaxRetries: -1},
			Telemetry: policy.TelemetryOptions{ApplicationID: module},
		})
}

// module is the name in the User-Agent: "mde-offboard azsdk-go-mde-offboard/1.2.3 (go1.26; linux)".
const module = "mde-offboard"

func userVersion(v string) string {
	v = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("()", r) {
			return -1
		}
		return r
	}, v)
	return cmp.Or(v, "devel")
}

// request is one call before it is made.
type request struct {
	method, path, query string
	body                any
	limit               int64 // of the answer
}

// answers of one object are small; 10,000 machines are not.
const (
	objectLimit = 1 << 20
	listLimit   = 64 << 20
)

// do sends r and returns what is known of it. The error is nil exactly for a
// 2xx whose body was read to its end.
func (c *Client) do(ctx context.Context, r request, gate Gate) (*call, error) {
	cl := &call{gate: gate, limit: r.limit}
	address := c.target.Endpoint + r.path
	if r.query != "" {
		address += "?" + r.query
	}
	req, err := runtime.NewRequest(ctx, r.method, address)
	if err == nil && r.body != nil {
		err = runtime.MarshalAsJSON(req, r.body)
	}
	if err != nil {
		return cl, &Error{Class: Refused, Err: err}
	}
	req.SetOperationValue(cl)
	_, err = c.current.Load().pipeline.Do(req)
	return cl, cl.outcome(ctx, r.method, err)
}
