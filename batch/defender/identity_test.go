package defender_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		reason   string
		id       defender.Identity
		noReads  bool
		want     string // in the message; empty: fine
		wantHint string
	}{
		{"the least set", defender.Identity{Roles: []string{"Machine.Offboard", "Machine.Read.All"}}, false, "", ""},
		{"more than that", defender.Identity{Roles: []string{"Machine.ReadWrite.All", "Machine.Offboard"}}, false, "", ""},
		{"a user", defender.Identity{Scopes: []string{"Machine.Offboard", "Machine.Read"}}, false, "", ""},
		{"nothing granted", defender.Identity{Application: "a", Tenant: "t"}, false, "application a in tenant t lacks the application permission Machine.Offboard (granted: none)", "Application permissions > Machine.Offboard, then Grant admin consent"},
		{"reads alone", defender.Identity{Roles: []string{"Machine.Read.All"}}, false, "Machine.Offboard (granted: Machine.Read.All)", "WindowsDefenderATP"},
		{"a word that contains it", defender.Identity{Roles: []string{"Machine.OffboardX"}}, false, "Machine.Offboard", ""},
		{"no reads", defender.Identity{Roles: []string{"Machine.Offboard"}}, false, "lacks the application permission Machine.Read.All", "Machine.Read.All"},
		{"no reads, waived", defender.Identity{Roles: []string{"Machine.Offboard"}}, true, "", ""},
		{"a delegated word does not serve an application", defender.Identity{Roles: []string{"Machine.Offboard", "Machine.Read"}}, false, "Machine.Read.All", ""},
		{"a user without reads", defender.Identity{Scopes: []string{"Machine.Offboard"}}, false, "lacks the delegated permission Machine.Read ", "Delegated permissions > Machine.Read,"},
		{"a user's roles are not what was delegated", defender.Identity{Scopes: []string{"Machine.Read"}, Roles: []string{"Machine.Offboard"}}, false, "delegated permission Machine.Offboard", ""},
		{"the Azure CLI's own application", defender.Identity{Application: "04b07795-8ddb-461a-bbee-02f9e1bf7b46", Scopes: []string{"user_impersonation"}}, false, "Machine.Offboard", "device-code"},
	}
	for _, test := range tests {
		err := test.id.Check(!test.noReads)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: Check() = %v; want nil", test.reason, err)
			}
			continue
		}
		e, ok := errors.AsType[*defender.Error](err)
		if !ok || e.Class != defender.BadIdentity || !strings.Contains(e.Error(), test.want) || !strings.Contains(e.Hint, test.wantHint) {
			t.Errorf("%s: Check() = %v (%+v); want %q, hint %q", test.reason, err, e, test.want, test.wantHint)
		}
	}
}

func TestCheckAgainstTheAuthority(t *testing.T) {
	tests := []struct {
		reason string
		roles  []string
		want   string
	}{
		{"no permission to offboard", []string{"Machine.Read.All"}, "Machine.Offboard"},
		{"no permission to read", []string{"Machine.Offboard"}, "Machine.Read.All"},
		{"fine", nil, ""},
	}
	for _, test := range tests {
		_, cfg := listen(t, simulator.Options{Roles: test.roles})
		c := connect(t, cfg, secretSource)
		id, err := c.Identity(t.Context())
		if err != nil || !id.Simulated {
			t.Fatalf("%s: Identity() = %+v, %v; want a simulated one", test.reason, id, err)
		}
		err = id.Check(true)
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: Check() = %v; want %q", test.reason, err, test.want)
		}
	}
}

// TestSimulatedLoginElsewhere: a simulator's token is not for anybody else.
func TestSimulatedLoginElsewhere(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	tests := []struct {
		reason, endpoint string
		api              http.Handler
		want             string // in the error; empty: simulated
	}{
		{"the simulator", cfg.Endpoint, s, ""},
		{"the simulator by another name", "https://localhost", s, ""},
		{"somebody else on loopback", "https://localhost", answer(404, "", ""), "and localhost is not"},
		{"Defender", "", answer(404, "", ""), "and api.security.microsoft.com is not"},
	}
	for _, test := range tests {
		cfg := cfg
		cfg.Endpoint = test.endpoint
		cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/simulator/books" {
				return s.Transport().RoundTrip(r)
			}
			return respond(test.api, r), nil
		})
		id, err := connect(t, cfg, secretSource).Identity(t.Context())
		if test.want == "" && (err != nil || !id.Simulated) || test.want != "" && (defender.ClassOf(err) != defender.BadIdentity || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: Identity() = %+v, %v; want %q", test.reason, id, err, test.want)
		}
	}
	if b := s.Books(); len(b.Calls) > 1 || b.Calls[simulator.KindToken].Calls == 0 {
		t.Errorf("the simulator's books have calls %v; want those for tokens alone", b.Calls)
	}
}

// changing is a login that becomes another one.
type changing struct{ tokens chan azcore.AccessToken }

func (c changing) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return <-c.tokens, nil
}

const audience = "https://api.securitycenter.microsoft.com"

func token(tenant, application string, life time.Duration) azcore.AccessToken {
	return tokenFor(audience, tenant, application, life)
}

func tokenFor(audience, tenant, application string, life time.Duration) azcore.AccessToken {
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"tid":%q,"appid":%q,"aud":%q}`, tenant, application, audience))
	return azcore.AccessToken{Token: "eyJhbGciOiJub25lIn0." + claims + ".c2ln", ExpiresOn: time.Now().Add(life)}
}

func TestLoginElsewhere(t *testing.T) {
	tests := []struct {
		reason, tenant, application string
		wait                        time.Duration // until the second call; the first token lives for ten minutes
	}{
		{"another tenant, when the token has ended", "t2", "a", 11 * time.Minute},
		{"another application, when the token has ended", "t", "a2", 11 * time.Minute},
		{"another tenant, early, when the bearer policy forgives errors", "t2", "a", 6 * time.Minute},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			tokens := make(chan azcore.AccessToken, 3)
			tokens <- token("t", "a", 10*time.Minute)
			tokens <- token(test.tenant, test.application, time.Hour)
			tokens <- token("t", "a", time.Hour)
			var sent atomic.Int32
			c := newClientWith(t, &sent, changing{tokens})
			if _, _, err := c.Offboard(t.Context(), device, "c", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(test.wait)
			for range 2 {
				_, x, err := c.Offboard(t.Context(), device, "c", nil)
				if defender.ClassOf(err) != defender.BadIdentity || x.Sent {
					t.Errorf("%s: Offboard() = %+v, %v; want a bad identity, not sent, for good", test.reason, x, err)
				}
			}
			if got := sent.Load(); got != 1 {
				t.Errorf("%s: requests sent = %d; want 1", test.reason, got)
			}
		})
	}
}

// TestAudience: a token for another service is used for nothing, a read included.
func TestAudience(t *testing.T) {
	const host = "https://api.security.microsoft.com"
	tests := []struct {
		reason, scope, audience string
		want                    string // in the error; empty: fine
	}{
		{"the cloud's", "", audience, ""},
		{"with a slash", "", audience + "/", ""},
		{"the service by its id", "", "fc780465-2017-40d4-a0c5-307022471b92", ""},
		{"another service", "", "https://graph.microsoft.com", "the token is for https://graph.microsoft.com and not for " + audience},
		{"what was asked for, which the host does not take", host + "/.default", host, "the token is for " + host + " and not for " + audience},
		{"none", "", "", "the token is for no service"},
	}
	for _, test := range tests {
		var sent atomic.Int32
		cred := fixedCredential{tokenFor(test.audience, "t", "a", time.Hour).Token}
		network := roundTripper(func(r *http.Request) (*http.Response, error) {
			sent.Add(1)
			return respond(answer(200, "", pending), r), nil
		})
		c := connect(t, defender.Config{Scope: test.scope, Transport: network}, defender.FixedSource(cred))
		_, signedIn := c.Identity(t.Context())
		_, _, read := c.GetAction(t.Context(), "a-1", nil)
		for _, err := range []error{signedIn, read} {
			if (err == nil) != (test.want == "") || (err != nil && (defender.ClassOf(err) != defender.BadIdentity || !strings.Contains(err.Error(), test.want))) {
				t.Errorf("%s: %v; want %q", test.reason, err, test.want)
			}
		}
		if got := sent.Load(); got != map[bool]int32{true: 1}[test.want == ""] {
			t.Errorf("%s: requests sent = %d; want one if the token is right, else none", test.reason, got)
		}
	}
}

func TestUnreadableToken(t *testing.T) {
	for _, bad := range []string{"", "opaque", "a.b", "a.!.c", "a." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"x"}`)) + ".c"} {
		var sent atomic.Int32
		c := newClientWith(t, &sent, fixedCredential{bad})
		_, err := c.Identity(t.Context())
		if defender.ClassOf(err) != defender.BadIdentity || (bad != "" && len(bad) > 5 && strings.Contains(err.Error(), bad)) {
			t.Errorf("Identity() with the token %q = %v; want a bad identity that does not show it", bad, err)
		}
		if _, _, err := c.Offboard(t.Context(), device, "c", nil); defender.ClassOf(err) != defender.BadIdentity || sent.Load() != 0 {
			t.Errorf("Offboard() with the token %q = %v, %d sent; want a bad identity, 0", bad, err, sent.Load())
		}
	}
}
