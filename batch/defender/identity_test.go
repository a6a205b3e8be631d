package defender_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
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

const scope = "https://api.securitycenter.microsoft.com/.default"

func TestCheck(t *testing.T) {
	const audience = "https://api.securitycenter.microsoft.com"
	tests := []struct {
		reason   string
		id       defender.Identity
		noReads  bool
		want     string // in the message; empty: fine
		wantHint string
	}{
		{"the least set", defender.Identity{Audience: audience, Roles: []string{"Machine.Offboard", "Machine.Read.All"}}, false, "", ""},
		{"more than that", defender.Identity{Audience: audience + "/", Roles: []string{"Machine.ReadWrite.All", "Machine.Offboard"}}, false, "", ""},
		{"the service by its id", defender.Identity{Audience: "fc780465-2017-40d4-a0c5-307022471b92", Roles: []string{"Machine.Offboard", "Machine.Read.All"}}, false, "", ""},
		{"a user", defender.Identity{Audience: audience, Scopes: []string{"Machine.Offboard", "Machine.Read"}}, false, "", ""},
		{"another audience", defender.Identity{Audience: "https://graph.microsoft.com", Roles: []string{"Machine.Offboard", "Machine.Read.All"}}, false, "the token is for https://graph.microsoft.com and not for " + audience, "--cloud"},
		{"nothing granted", defender.Identity{Audience: audience, Application: "a", Tenant: "t"}, false, "application a in tenant t lacks the application permission Machine.Offboard (granted: none)", "Application permissions > Machine.Offboard, then Grant admin consent"},
		{"reads alone", defender.Identity{Audience: audience, Roles: []string{"Machine.Read.All"}}, false, "Machine.Offboard (granted: Machine.Read.All)", "WindowsDefenderATP"},
		{"a word that contains it", defender.Identity{Audience: audience, Roles: []string{"Machine.OffboardX"}}, false, "Machine.Offboard", ""},
		{"no reads", defender.Identity{Audience: audience, Roles: []string{"Machine.Offboard"}}, false, "lacks the application permission Machine.Read.All", "Machine.Read.All"},
		{"no reads, waived", defender.Identity{Audience: audience, Roles: []string{"Machine.Offboard"}}, true, "", ""},
		{"a delegated word does not serve an application", defender.Identity{Audience: audience, Roles: []string{"Machine.Offboard", "Machine.Read"}}, false, "Machine.Read.All", ""},
		{"a user without reads", defender.Identity{Audience: audience, Scopes: []string{"Machine.Offboard"}}, false, "lacks the delegated permission Machine.Read ", "Delegated permissions > Machine.Read,"},
		{"a user's roles are not what was delegated", defender.Identity{Audience: audience, Scopes: []string{"Machine.Read"}, Roles: []string{"Machine.Offboard"}}, false, "delegated permission Machine.Offboard", ""},
		{"the Azure CLI's own application", defender.Identity{Audience: audience, Application: "04b07795-8ddb-461a-bbee-02f9e1bf7b46", Scopes: []string{"user_impersonation"}}, false, "Machine.Offboard", "device-code"},
	}
	for _, test := range tests {
		err := test.id.Check(!test.noReads, scope)
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
		scope  string
		want   string
	}{
		{"no permission to offboard", []string{"Machine.Read.All"}, "", "Machine.Offboard"},
		{"no permission to read", []string{"Machine.Offboard"}, "", "Machine.Read.All"},
		{"fine", nil, "", ""},
	}
	for _, test := range tests {
		_, cfg := listen(t, simulator.Options{Roles: test.roles})
		c := connect(t, cfg, secretSource)
		id, err := c.Identity(t.Context())
		if err != nil || !id.Simulated {
			t.Fatalf("%s: Identity() = %+v, %v; want a simulated one", test.reason, id, err)
		}
		err = id.Check(true, c.Target().Scope)
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: Check() = %v; want %q", test.reason, err, test.want)
		}
	}
}

// changing is a login that becomes another one.
type changing struct{ tokens chan azcore.AccessToken }

func (c changing) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return <-c.tokens, nil
}

func token(tenant, application string, life time.Duration) azcore.AccessToken {
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"tid":%q,"appid":%q}`, tenant, application))
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
