package defender

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// guard looks at every token of a client, whatever credential it came from and
// whatever it is wanted for. One for another service is no use to anybody. The
// first one decides the tenant and the application. A token of others, which is
// what a login elsewhere gives, is kept from use, and from then on nothing is
// sent: the bearer policy forgives an early refresh that fails, and would go on.
type guard struct {
	audience string // what the tokens must be for
	http     bool   // the endpoint has no TLS: made-up tokens alone may be sent

	mu        sync.Mutex
	first     Identity
	violation error
	simulated bool // the authority of the newest token is a simulator
	had       bool // a token was had
}

// admit checks one token. seen is what its login noted.
func (g *guard) admit(token azcore.AccessToken, seen *loginTrace) error {
	id, err := readIdentity(token.Token, token.ExpiresOn)
	if err != nil {
		return &Error{Class: BadIdentity, Err: err}
	}
	if err := id.checkAudience(g.audience); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := seen.snapshot(); n.requests > 0 {
		g.simulated = n.simulated
	}
	switch {
	case g.http && !g.simulated:
		return &Error{Class: BadIdentity, Message: "a token that is not a simulator's is never sent without TLS", Hint: "use an https endpoint"}
	case !g.had:
		g.first, g.had = id, true
	case id.Tenant != g.first.Tenant || id.Application != g.first.Application:
		g.violation = &Error{
			Class: BadIdentity,
			Message: "the login has changed: the token is for application " + tidy(id.Application) + " in tenant " + tidy(id.Tenant) +
				", and was for " + g.first.Application + " in " + g.first.Tenant,
			Hint: "sign in as before and run the same command again",
		}
		return g.violation
	}
	return nil
}

// refused returns the violation, if there was one.
func (g *guard) refused() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.violation
}

func (g *guard) isSimulated() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.simulated
}

func (g *guard) hadToken() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.had
}

// guarded is a credential under guard. It keeps no token.
type guarded struct {
	inner azcore.TokenCredential
	guard *guard
	// force makes the next token a new one even where a credential's cache is
	// older than itself: that of managed identities is the process's, and a user
	// should not be asked to sign in again.
	force atomic.Bool
}

// freshClaims ask for nothing, but with claims MSAL looks for no access token in
// its cache. It refuses those that it sends anyway (xms_cc), so they are empty.
const freshClaims = `{"access_token":{}}`

// GetToken implements azcore.TokenCredential.
func (g *guarded) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	seen := &loginTrace{}
	ctx = context.WithValue(ctx, loginKey{}, seen)
	forced := o.Claims == "" && g.force.Load()
	if forced {
		o.Claims = freshClaims
	}
	token, err := g.inner.GetToken(ctx, o)
	if err != nil && forced && seen.snapshot().down == nil && !denied(err) {
		// A command-line tool takes no claims. It has a cache of its own, which
		// nobody gets round.
		o.Claims = ""
		token, err = g.inner.GetToken(ctx, o)
	}
	if err != nil {
		return azcore.AccessToken{}, g.explain(ctx, o, err, seen.snapshot())
	}
	if err := g.guard.admit(token, seen); err != nil {
		return azcore.AccessToken{}, err
	}
	g.force.Store(false)
	return token, nil
}

// explain tells an authority that cannot be reached, which is an outage in which
// nothing was sent, from one that says no. Before the first token, only the
// authority's own host counts: that no metadata service answers on a machine
// that is not in Azure is no outage. Nor is a certificate that nobody here has
// ever trusted: waiting does not change it.
//
// A tool asks the authority by itself, and tells in words alone how that went. One
// that has given a token before and now gives none, being too slow or without a
// network, is an outage too, unless it says that nobody is signed in any more.
func (g *guarded) explain(ctx context.Context, o policy.TokenRequestOptions, err error, seen loginNotes) error {
	down, goesOn := seen.down, g.guard.hadToken() && !signedOut(err)
	if goesOn {
		down = cmp.Or(down, seen.otherDown)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](down); ok && !g.guard.hadToken() {
		return &Error{Class: BadIdentity, Message: "no token: the authority cannot be trusted", Err: hush(down), Hint: hintCertificate}
	}
	switch {
	case ctx.Err() != nil: // credentials do not wrap it
		return &Error{Class: NotSent, Err: context.Cause(ctx)}
	case down != nil:
		return &Error{Class: NotSent, Message: "no token: the authority cannot be reached", Err: hush(down), Hint: hintNetwork}
	case goesOn && seen.requests == 0 && o.Claims == "":
		return &Error{Class: NotSent, Message: oneLine(explain(err)), Hint: hintNetwork}
	}
	return explain(err)
}

const (
	hintNetwork     = "check the network, the proxy (HTTPS_PROXY, NO_PROXY), and for TLS inspection --ca-file"
	hintCertificate = "a proxy that inspects TLS has a certificate of its own: give the one of its authority with --ca-file"
)

func firstLine(s string) string {
	for _, line := range strings.Split(s, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			return tidy(line)
		}
	}
	return ""
}

// loginKey finds the loginTrace of a GetToken in the contexts of its requests.
type loginKey struct{}

// loginTrace notes what the requests of one GetToken met. The errors that
// credentials return are words alone.
type loginTrace struct {
	mu    sync.Mutex
	notes loginNotes
}

type loginNotes struct {
	requests        int
	simulated       bool  // the last answer came from a simulator
	down, otherDown error // why there is no answer of the authority's own, or of another host: what came last
}

func (t *loginTrace) snapshot() loginNotes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.notes
}

// note takes in one request; authority tells whether its host is the authority.
func (t *loginTrace) note(host string, authority bool, res *http.Response, body []byte, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.notes
	n.requests++
	if err == nil && (res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests) {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	if err == nil && authority {
		err = notEntra(res, body)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", host, err)
	}
	if authority {
		n.down = err
	} else {
		n.otherDown = err
	}
	if res != nil {
		n.simulated = simulated(res.Header)
	}
}
