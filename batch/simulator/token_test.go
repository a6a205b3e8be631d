package simulator

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

func TestTokensAtTheAPI(t *testing.T) {
	read, offboard := []string{"Machine.Read.All"}, []string{"Machine.Offboard"}
	for _, test := range []struct {
		why     string
		o       Options
		request TokenRequest
		spoil   func(s *Server, c *client)
		status  int // of an offboard call
		body    string
		reads   int // of a list call
	}{
		{"good", Options{}, TokenRequest{}, nil, 200, "", 200},
		{"no token", Options{}, TokenRequest{}, func(_ *Server, c *client) { c.token = "" }, 401, "Unauthorized", 401},
		{"a foreign token", Options{}, TokenRequest{}, func(_ *Server, c *client) { c.token = jwt(map[string]any{"aud": AudienceCommercial}, "x") }, 401, "Unauthorized", 401},
		{"over", Options{TokenLife: time.Minute}, TokenRequest{}, func(*Server, *client) { time.Sleep(time.Minute) }, 401, "Unauthorized", 401},
		{"not yet over", Options{TokenLife: time.Minute}, TokenRequest{}, func(*Server, *client) { time.Sleep(time.Minute - 1) }, 200, "", 200},
		{"revoked", Options{}, TokenRequest{}, func(s *Server, _ *client) { s.Revoke() }, 401, "Unauthorized", 401},
		{"wrong audience", Options{}, TokenRequest{Audience: "https://graph.microsoft.com"}, nil, 403, "", 403},
		{"audience of another cloud", Options{Audiences: []string{AudienceGCC}}, TokenRequest{}, nil, 403, "", 403},
		{"only reading", Options{Roles: read}, TokenRequest{}, nil, 403, "Missing application roles. API required roles: Machine.Offboard, application roles: Machine.Read.All.", 200},
		{"only offboarding", Options{Roles: offboard}, TokenRequest{}, nil, 200, "", 403},
		{"no role at all", Options{Roles: []string{}}, TokenRequest{}, nil, 403, "Missing application roles", 403},
		{"a user", Options{}, TokenRequest{User: true}, nil, 200, "", 200},
		{"a user who may only read", Options{Scopes: []string{"Machine.Read"}}, TokenRequest{User: true}, nil, 403, "does not have any of the required", 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			test.o.AnyDevice, test.o.Success = true, 200
			s := newServer(t, test.o)
			c := &client{t: t, s: s, http: s.Transport(), token: s.Token(test.request)}
			if test.spoil != nil {
				test.spoil(s, c)
			}
			if g := c.offboard(device); g.status != test.status || !strings.Contains(g.body, test.body) || (test.status == 403 && test.body == "" && g.body != "") {
				t.Errorf("%s: offboard = %d %q; want %d %q", test.why, g.status, g.body, test.status, test.body)
			}
			if g := c.get("/api/machineactions"); g.status != test.reads {
				t.Errorf("%s: list = %d; want %d", test.why, g.status, test.reads)
			}
		})
	}
}

// The whole ceremony of continuous access evaluation, with azcore's own policy.
func TestClaimsChallenge(t *testing.T) {
	s, hc := listening(t, Options{AnyDevice: true})
	credential := secretCredential(t, s, hc, DefaultTenant, DefaultApplication, DefaultSecret)
	co := clientOptions(s, hc)
	pipeline := runtime.NewPipeline("test", "v0", runtime.PipelineOptions{PerRetry: []policy.Policy{runtime.NewBearerTokenPolicy(credential, []string{scope}, nil)}}, &co)
	list := func() int {
		r, err := runtime.NewRequest(t.Context(), http.MethodGet, s.URL()+"/api/machineactions")
		if err != nil {
			t.Fatal(err)
		}
		response, err := pipeline.Do(r)
		if err != nil {
			t.Fatalf("Do() = %v", err)
		}
		return response.StatusCode
	}
	if status := list(); status != 200 {
		t.Fatalf("list = %d; want 200", status)
	}
	s.RevokeCAE()
	if status := list(); status != 200 {
		t.Errorf("list after RevokeCAE = %d; want 200, after a challenge", status)
	}
	b := s.Books().Calls[KindActions]
	if b.Calls != 3 || b.ByStatus["401"] != 1 {
		t.Errorf("calls %+v; want three, one of them challenged", b)
	}
	s.Revoke()
	if status := list(); status != 401 {
		t.Errorf("list after Revoke = %d; want 401: a plain one has no challenge to answer", status)
	}
}

func TestChallengeStaysUntilClaimsCome(t *testing.T) {
	s := newServer(t, Options{})
	c := s.client(t)
	s.RevokeCAE()
	c.token = s.Token(TokenRequest{})
	if g := c.get("/api/machineactions"); g.status != 401 {
		t.Errorf("a newer token without claims = %d; want 401", g.status)
	}
	c.token = s.newTokenForTest()
	if g := c.get("/api/machineactions"); g.status != 200 {
		t.Errorf("a token with claims = %d; want 200", g.status)
	}
}

func TestTokenFaults(t *testing.T) {
	s, hc := listening(t, Options{Faults: "token/503-retry-after@1"})
	credential := secretCredential(t, s, hc, DefaultTenant, DefaultApplication, DefaultSecret)
	_, err := credential.GetToken(t.Context(), tokenOptions())
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) {
		t.Errorf("GetToken() = %v; want a failed authentication", err)
	}
	if _, err := credential.GetToken(t.Context(), tokenOptions()); err != nil {
		t.Errorf("second GetToken() = %v; want a token", err)
	}
}

func TestMetadataIsStrict(t *testing.T) {
	s := newServer(t, Options{})
	const query = "?api-version=2018-02-01&resource=" + AudienceCommercial
	for _, test := range []struct {
		why, method, path, header, value string
		status                           int
	}{
		{"instance metadata", "GET", "/metadata/identity/oauth2/token" + query, "Metadata", "true", 200},
		{"without its header", "GET", "/metadata/identity/oauth2/token" + query, "", "", 400},
		{"App Service", "GET", "/msi/token" + query, "X-IDENTITY-HEADER", IdentityHeader, 200},
		{"with a wrong secret", "GET", "/msi/token" + query, "X-IDENTITY-HEADER", "x", 401},
		{"another identity", "GET", "/metadata/identity/oauth2/token" + query + "&client_id=x", "Metadata", "true", 400},
		{"no resource", "GET", "/metadata/identity/oauth2/token", "Metadata", "true", 400},
		{"wrong method", "POST", "/metadata/identity/oauth2/token" + query, "Metadata", "true", 405},
	} {
		r := httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil)
		r.Header.Set(test.header, test.value)
		w := httptest.NewRecorder()
		s.Metadata().ServeHTTP(w, r)
		if w.Code != test.status || w.Header().Get(SimulatedHeader) != "1" {
			t.Errorf("%s: %d; want %d, marked as simulated", test.why, w.Code, test.status)
		}
	}
}
