package simulator

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

func tokenOptions() policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true}
}

// claimsOf reads a token without asking who signed it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestCredentials(t *testing.T) {
	rsaKey, certificate := selfSigned(t)
	for _, test := range []struct {
		why  string
		make func(t *testing.T, s *Server, co policy.ClientOptions) (azcore.TokenCredential, error)
		user bool
	}{
		{"certificate", func(t *testing.T, s *Server, co policy.ClientOptions) (azcore.TokenCredential, error) {
			return azidentity.NewClientCertificateCredential(DefaultTenant, DefaultApplication, []*x509.Certificate{certificate}, rsaKey,
				&azidentity.ClientCertificateCredentialOptions{ClientOptions: co, DisableInstanceDiscovery: true})
		}, false},
		{"federated token", func(t *testing.T, s *Server, co policy.ClientOptions) (azcore.TokenCredential, error) {
			token := jwt(map[string]any{"iss": "https://cluster.example", "sub": "system:serviceaccount:x:y", "aud": []string{federatedAudience}, "exp": time.Now().Add(time.Hour).Unix()}, "x")
			return azidentity.NewClientAssertionCredential(DefaultTenant, DefaultApplication, func(context.Context) (string, error) { return token, nil },
				&azidentity.ClientAssertionCredentialOptions{ClientOptions: co, DisableInstanceDiscovery: true})
		}, false},
		{"device code", func(t *testing.T, s *Server, co policy.ClientOptions) (azcore.TokenCredential, error) {
			return azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
				ClientOptions: co, DisableInstanceDiscovery: true, TenantID: DefaultTenant, ClientID: DefaultApplication,
				UserPrompt: func(context.Context, azidentity.DeviceCodeMessage) error { return nil },
			})
		}, true},
		{"managed identity, App Service", func(t *testing.T, s *Server, co policy.ClientOptions) (azcore.TokenCredential, error) {
			metadata := httptest.NewServer(s.Metadata())
			t.Cleanup(metadata.Close)
			t.Setenv("IDENTITY_ENDPOINT", metadata.URL+"/msi/token")
			t.Setenv("IDENTITY_HEADER", IdentityHeader)
			return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(DefaultApplication)})
		}, false},
		{"managed identity, instance metadata", func(t *testing.T, s *Server, co policy.ClientOptions) (azcore.TokenCredential, error) {
			co.Transport = handlerTransport{s.Metadata()} // its address is fixed, 169.254.169.254
			return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: co})
		}, false},
	} {
		t.Run(test.why, func(t *testing.T) {
			// An audience for this run alone: managed identities' tokens are cached for the whole process.
			audience := "https://" + strings.ToLower(rand.Text()) + ".example"
			s, hc := listening(t, Options{AnyDevice: true, DevicePolls: 1, Audiences: []string{audience}})
			credential, err := test.make(t, s, clientOptions(s, hc))
			if err != nil {
				t.Fatal(err)
			}
			token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}})
			if err != nil {
				t.Fatalf("GetToken() = %v; want a token", err)
			}
			claims := claimsOf(t, token.Token)
			if claims["aud"] != audience || claims["tid"] != DefaultTenant || claims["appid"] != DefaultApplication || (claims["scp"] != nil) != test.user || (claims["roles"] != nil) == test.user {
				t.Errorf("claims %v; want those of this tenant and application, a user's: %t", claims, test.user)
			}
			c := &client{t: t, s: s, http: hc.Transport, token: token.Token}
			want := DefaultApplication
			if test.user {
				want = userName
			}
			if g := c.offboard(device); g.status/100 != 2 || g.fields["requestor"] != want {
				t.Errorf("offboard = %d, requestor %v; want 2xx, %s", g.status, g.fields["requestor"], want)
			}
		})
	}
}

// handlerTransport takes every request to one handler.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func selfSigned(t *testing.T) (crypto.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

func TestAuthorityRefuses(t *testing.T) {
	for _, test := range []struct {
		why, tenant, application, secret string
		want                             string
	}{
		{"wrong secret", DefaultTenant, DefaultApplication, "guessed", "AADSTS7000215"},
		{"expired secret", DefaultTenant, DefaultApplication, ExpiredSecret, "AADSTS7000222"},
		{"unknown application", DefaultTenant, "51317a7e-0000-4000-8000-000000000bad", DefaultSecret, "AADSTS700016"},
		{"unknown tenant", "51317a7e-0000-4000-8000-000000000bad", DefaultApplication, DefaultSecret, "AADSTS90002"},
	} {
		s, hc := listening(t, Options{})
		_, err := secretCredential(t, s, hc, test.tenant, test.application, test.secret).GetToken(t.Context(), tokenOptions())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: GetToken() = %v; want %s", test.why, err, test.want)
		}
	}
}

func TestAuthorityIsStrict(t *testing.T) {
	good := url.Values{"client_id": {DefaultApplication}, "grant_type": {"client_credentials"}, "scope": {scope}, "client_secret": {DefaultSecret}}
	assertion := func(claims map[string]any) url.Values {
		return url.Values{"client_secret": nil, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {jwt(claims, "x")}}
	}
	soon := time.Now().Add(time.Hour).Unix()
	for _, test := range []struct {
		why    string
		change url.Values
		status int
		want   string
	}{
		{"good", nil, 200, ""},
		{"no secret at all", url.Values{"client_secret": nil}, 401, "AADSTS7000218"},
		{"no scope", url.Values{"scope": {"openid"}}, 400, "AADSTS70011"},
		{"unknown grant", url.Values{"grant_type": {"password"}}, 400, "AADSTS70003"},
		{"unknown refresh token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, 400, "AADSTS70000"},
		{"unknown device code", url.Values{"grant_type": {"device_code"}, "device_code": {"x"}}, 400, "AADSTS70019"},
		{"an assertion that is none", url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {"x"}}, 401, "AADSTS700027"},
		{"an assertion of an unknown type", url.Values{"client_assertion": {"x"}}, 400, "AADSTS900144"},
		{"an assertion that is over", assertion(map[string]any{"iss": DefaultApplication, "sub": DefaultApplication, "exp": 1}), 401, "valid time range"},
		{"an assertion for another authority", assertion(map[string]any{"iss": DefaultApplication, "sub": DefaultApplication, "aud": "https://login.example/", "exp": soon}), 401, "not this authority"},
		{"an assertion about somebody else", assertion(map[string]any{"iss": DefaultApplication, "sub": "x", "exp": soon}), 401, "not its issuer"},
		{"an assertion of nobody", assertion(map[string]any{"aud": federatedAudience, "exp": soon}), 401, "no issuer"},
		{"a federated token for something else", assertion(map[string]any{"iss": "i", "sub": "s", "aud": "x", "exp": soon}), 401, federatedAudience},
	} {
		form := url.Values{}
		for name, values := range good {
			form[name] = values
		}
		for name, values := range test.change {
			form[name] = values
		}
		c := newServer(t, Options{}).client(t)
		g := c.do(t.Context(), http.MethodPost, "/"+DefaultTenant+"/oauth2/v2.0/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		if text, _ := g.fields["error_description"].(string); g.status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %s; want %d %s", test.why, g.status, text, test.status, test.want)
		}
		if g.header.Get(SimulatedHeader) != "1" {
			t.Errorf("%s: the authority does not say that it is simulated", test.why)
		}
	}
}

func TestDiscovery(t *testing.T) {
	s := newServer(t, Options{Hosts: []string{"login.example"}})
	c := s.client(t)
	if g := c.get("/common/discovery/instance?api-version=1.1"); g.status != 200 || g.fields["tenant_discovery_endpoint"] == nil {
		t.Errorf("instance discovery = %d %s; want 200", g.status, g.body)
	}
	if g := c.get("/nobody/v2.0/.well-known/openid-configuration"); g.status != 400 || !strings.Contains(g.body, "AADSTS90002") {
		t.Errorf("discovery of an unknown tenant = %d %s; want AADSTS90002", g.status, g.body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://login.example/"+DefaultTenant+"/v2.0/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var fields map[string]string
	if err := json.NewDecoder(response.Body).Decode(&fields); err != nil || fields["issuer"] != "https://login.example/"+DefaultTenant+"/v2.0" {
		t.Errorf("issuer at another of its hosts = %v, %v; want that host's", fields, err)
	}
}

// A key that the ephemeral CA did not sign must not be believed by a client of ours.
func TestCertificateIsEphemeral(t *testing.T) {
	one, two := newServer(t, Options{}), newServer(t, Options{})
	for _, s := range []*Server{one, two} {
		if err := s.Listen("127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	if string(one.CertPEM()) == string(two.CertPEM()) {
		t.Error("two servers have one CA; want each its own")
	}
	g := (&client{t: t, s: two, http: trusting(t, one, true).Transport}).get("/simulator/books")
	var unknown x509.UnknownAuthorityError
	if !errors.As(g.err, &unknown) {
		t.Errorf("one server's CA vouches for the other: %v; want an unknown authority", g.err)
	}
}
