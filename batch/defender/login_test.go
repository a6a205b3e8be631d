package defender_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// TestLoginMessages is what a new user reads when a login does not work.
func TestLoginMessages(t *testing.T) {
	tests := []struct {
		reason string
		auth   string
		env    map[string]string
		want   []string // in the message
		hint   string   // in the hint
	}{
		{
			"nothing is set", "default", nil,
			[]string{"no token; tried\n", "\n  EnvironmentCredential: ", "\n  WorkloadIdentityCredential: ", "\n  ManagedIdentityCredential: ", "\n  AzureCLICredential: ", "\n  AzureDeveloperCLICredential: ", "\n  AzurePowerShellCredential: "},
			"AZURE_CLIENT_SECRET",
		},
		{
			"a wrong value for the chain", "default", map[string]string{"AZURE_TOKEN_CREDENTIALS": "some"},
			[]string{`login default: invalid AZURE_TOKEN_CREDENTIALS value "some"`}, "",
		},
		{
			"wrong secret", "environment", map[string]string{"AZURE_CLIENT_SECRET": "not-it"},
			[]string{"no token: AADSTS7000215: Invalid client secret"}, "not its id",
		},
		{
			"wrong secret in the chain", "default", map[string]string{"AZURE_CLIENT_SECRET": "not-it"},
			[]string{"no token; tried\n  ClientSecretCredential: AADSTS7000215: Invalid client secret"}, "not its id",
		},
		{
			"a certificate that the chain cannot read, before it takes another identity", "default", map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": "modern.pfx", "AZURE_CLIENT_CERTIFICATE_PASSWORD": "p w"},
			[]string{"login default cannot read certificate ", "modern.pfx: "}, "--auth environment reads",
		},
		{
			"a certificate that is not there, in the chain", "default", map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere.pem"},
			[]string{"certificate: open /nowhere.pem"}, "",
		},
		{
			"a certificate that nobody asks for", "default", map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": "modern.pfx", "AZURE_TOKEN_CREDENTIALS": "AzureCLICredential"},
			[]string{"no token; tried\n  AzureCLICredential: "}, "",
		},
		{
			"expired secret", "environment", map[string]string{"AZURE_CLIENT_SECRET": simulator.ExpiredSecret},
			[]string{"no token: AADSTS7000222: "}, "has expired",
		},
		{
			"unknown tenant", "environment", map[string]string{"AZURE_CLIENT_SECRET": "x", "AZURE_TENANT_ID": "00000000-0000-4000-8000-000000000000"},
			[]string{"AADSTS90002: "}, "--cloud",
		},
		{
			"unknown application", "environment", map[string]string{"AZURE_CLIENT_SECRET": "x", "AZURE_CLIENT_ID": "00000000-0000-4000-8000-000000000000"},
			[]string{"AADSTS700016: "}, "AZURE_CLIENT_ID",
		},
		{"no secret", "environment", nil, []string{"missing: AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH"}, "--auth"},
		{"no tenant", "environment", map[string]string{"AZURE_CLIENT_SECRET": "x", "AZURE_TENANT_ID": ""}, []string{"missing: AZURE_TENANT_ID (or --tenant-id)"}, "--auth"},
		{"no application", "certificate", map[string]string{"AZURE_CLIENT_ID": ""}, []string{"missing: AZURE_CLIENT_ID (or --client-id)"}, "--auth"},
		{"no certificate", "certificate", nil, []string{"missing: AZURE_CLIENT_CERTIFICATE_PATH"}, "--auth"},
		{"a certificate that is not there", "certificate", map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere.pem"}, []string{"certificate: open /nowhere.pem"}, ""},
		{"a certificate without its key", "certificate", map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": "cert.pem"}, []string{"cert.pem: found no private key"}, "PFX for one with a password"},
		{"wrong password", "certificate", map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": "modern.pfx", "AZURE_CLIENT_CERTIFICATE_PASSWORD": "hidden"}, []string{"modern.pfx: pkcs12: decryption password incorrect"}, "AZURE_CLIENT_CERTIFICATE_PASSWORD"},
		{"no certificate in it", "certificate", map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": "noise.pfx"}, []string{"noise.pfx: "}, "neither PEM nor a PFX"},
		{"no application to sign in to", "device-code", map[string]string{"AZURE_CLIENT_ID": ""}, []string{"missing: the application"}, "--auth"},
		{"no application to sign in to", "browser", map[string]string{"AZURE_CLIENT_ID": ""}, []string{"missing: the application"}, "--auth"},
		{"no federated token", "workload-identity", nil, []string{"missing: AZURE_FEDERATED_TOKEN_FILE"}, "--auth"},
		{"a federated token that is not there", "workload-identity", map[string]string{"AZURE_FEDERATED_TOKEN_FILE": "/nowhere"}, []string{"/nowhere"}, "AZURE_FEDERATED_TOKEN_FILE"},
		{"no az", "azure-cli", nil, []string{"AzureCLICredential: executable not found"}, "az login --service-principal"},
		{"no azd", "azure-developer-cli", nil, []string{"AzureDeveloperCLICredential: executable not found"}, "azd auth login"},
		{"an identity that is not there", "managed-identity", map[string]string{"IDENTITY_ENDPOINT": "http://metadata.example/msi/token", "IDENTITY_HEADER": simulator.IdentityHeader, "AZURE_CLIENT_ID": "00000000-0000-4000-8000-000000000000"},
			[]string{"no token: Identity not found"}, "--client-id"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			clearEnvironment(t)
			setApplication(t)
			t.Setenv("PATH", t.TempDir()) // no tools
			for name, value := range test.env {
				if data, ok := certificateFiles(t)[value]; ok {
					value = file(t, value, data)
				}
				t.Setenv(name, value)
			}
			s, cfg := listen(t, simulator.Options{})
			cfg.Transport = noMetadata{s.Transport(), s.Metadata()}
			err := login(t.Context(), cfg, defender.CredentialOptions{Auth: test.auth})
			e, ok := errors.AsType[*defender.Error](err)
			if !ok || e.Class != defender.BadIdentity {
				t.Fatalf("login = %v; want a bad identity", err)
			}
			if strings.Contains(e.Error()+e.Hint, "hidden") {
				t.Errorf("login = %q, hint %q; want no password in it", e.Error(), e.Hint)
			}
			for _, want := range test.want {
				if !strings.Contains(e.Error(), want) {
					t.Errorf("login = %q; want %q in it", e.Error(), want)
				}
			}
			if !strings.Contains(e.Hint, test.hint) {
				t.Errorf("login hints %q; want %q in it", e.Hint, test.hint)
			}
		})
	}
}

// noMetadata is the network of a machine that is not in Azure, but for a service
// that a variable names.
type noMetadata struct {
	http.RoundTripper
	service http.Handler
}

func (n noMetadata) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Host {
	case "169.254.169.254":
		return nil, errors.New("no route to host")
	case "metadata.example":
		return respond(n.service, r), nil
	}
	return n.RoundTripper.RoundTrip(r)
}

// TestEntraNumbers: what Entra says by number is told with what to do, whether it
// says so itself or through a tool.
func TestEntraNumbers(t *testing.T) {
	tests := []struct{ number, want string }{
		{"AADSTS7000112", "Enabled for users to sign-in"},
		{"AADSTS7000218", "Allow public client flows"},
		{"AADSTS900382", "--cloud gcc-high"},
		{"AADSTS50011", "http://localhost"},
		{"AADSTS50105", "Users and groups"},
		{"AADSTS700082", "sign in again"},
		{"AADSTS1", "AZURE_CLIENT_SECRET"}, // the login's own hint
	}
	for _, test := range tests {
		clearEnvironment(t)
		setApplication(t)
		t.Setenv("AZURE_CLIENT_SECRET", "x")
		s, cfg := listen(t, simulator.Options{})
		cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
				return respond(answer(400, "", `{"error":"invalid_grant","error_description":"`+test.number+`: words. Trace ID: x"}`), r), nil
			}
			return s.Transport().RoundTrip(r)
		})
		checkHint(t, login(t.Context(), cfg, defender.CredentialOptions{Auth: "environment"}), "no token: "+test.number+": words.", test.want)
		if test.number != "AADSTS1" {
			tool(t, "az", "echo 'ERROR: "+test.number+": words' >&2; exit 1")
			checkHint(t, login(t.Context(), cfg, defender.CredentialOptions{Auth: "azure-cli"}), test.number+": words", test.want)
		}
	}
}

func checkHint(t *testing.T, err error, message, hint string) {
	t.Helper()
	e, ok := errors.AsType[*defender.Error](err)
	if !ok || e.Class != defender.BadIdentity || !strings.Contains(e.Error(), message) || !strings.Contains(e.Hint, hint) {
		t.Errorf("login = %v (%+v); want %q, and a hint with %q", err, e, message, hint)
	}
}

// TestClaimsAreTold: the command that a user of the Azure CLI is to give after a
// claims challenge is whole, and no token in it.
func TestClaimsAreTold(t *testing.T) {
	clearEnvironment(t)
	s, cfg := listen(t, simulator.Options{})
	standIn(t, s, "az")
	source, err := defender.NewSource(defender.CredentialOptions{Auth: "azure-cli"})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, cfg, source)
	s.RevokeCAE()
	_, _, err = c.Offboard(t.Context(), device, "c", nil)
	_, claims, ok := strings.Cut(fmt.Sprint(err), "az login --claims-challenge ")
	var asked map[string]any
	if text, bad := base64.StdEncoding.DecodeString(claims); !ok || bad != nil || json.Unmarshal(text, &asked) != nil || asked["access_token"] == nil {
		t.Errorf("Offboard() after a claims challenge = %v; want the command to give, with the claims", err)
	}
	token := s.Token(simulator.TokenRequest{})
	network := roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, errors.New("az login --claims-challenge " + token)
	})
	cfg.Transport = network
	_, _, err = connect(t, cfg, defender.FixedSource(fixedCredential{testToken})).Offboard(t.Context(), device, "c", nil)
	if payload := strings.Split(token, ".")[1]; strings.Contains(err.Error(), payload) {
		t.Errorf("Offboard() = %v; want no token in it, whatever stands before it", err)
	}
}

func login(ctx context.Context, cfg defender.Config, o defender.CredentialOptions) error {
	source, err := defender.NewSource(o)
	if err != nil {
		return err
	}
	c, err := defender.New(cfg, source)
	if err != nil {
		return err
	}
	_, err = c.Identity(ctx)
	return err
}

// TestDefaultTakesNoFlags: the chain reads the environment, so a flag that says
// something else would be ignored without a word.
func TestDefaultTakesNoFlags(t *testing.T) {
	tests := []struct {
		reason         string
		env            map[string]string
		tenant, client string
		want           string // in the error; empty: fine
	}{
		{"nothing given", nil, "", "", ""},
		{"the same", map[string]string{"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "t"}, "t", "a", ""},
		{"a tenant for the tools", nil, "t", "", ""},
		{"another tenant", map[string]string{"AZURE_TENANT_ID": "t"}, "t2", "", "AZURE_TENANT_ID is not t2"},
		{"another application", map[string]string{"AZURE_CLIENT_ID": "a"}, "", "a2", "AZURE_CLIENT_ID is not a2"},
		{"an application that the chain does not see", nil, "", "a2", "AZURE_CLIENT_ID is not a2"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			clearEnvironment(t)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			source, err := defender.NewSource(defender.CredentialOptions{TenantID: test.tenant, ClientID: test.client})
			if err != nil {
				t.Fatal(err)
			}
			_, err = defender.New(defender.Config{}, source)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("New() = %v; want %q", err, test.want)
			}
		})
	}
}

func TestUnknownLogin(t *testing.T) {
	_, err := defender.NewSource(defender.CredentialOptions{Auth: "password"})
	if err == nil || !strings.Contains(err.Error(), strings.Join(defender.AuthNames(), ", ")) {
		t.Errorf("NewSource(password) = %v; want an error that lists the names", err)
	}
}

// TestRehearsalIgnoresTheEnvironment: a simulated run must not depend on, or
// use, what is set for real ones.
func TestRehearsalIgnoresTheEnvironment(t *testing.T) {
	clearEnvironment(t)
	for _, name := range []string{"TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "CLIENT_CERTIFICATE_PATH", "AUTHORITY_HOST", "TOKEN_CREDENTIALS", "ADDITIONALLY_ALLOWED_TENANTS", "REGIONAL_AUTHORITY_NAME"} {
		t.Setenv("AZURE_"+name, "nonsense")
	}
	_, cfg := listen(t, simulator.Options{})
	id, err := connect(t, cfg, secretSource).Identity(t.Context())
	if err != nil || id.Tenant != simulator.DefaultTenant || !id.Simulated {
		t.Errorf("Identity() = %+v, %v; want the simulator's", id, err)
	}
}

// TestCallerLeavesDuringTheLogin: nothing was sent, and the login is not at fault.
func TestCallerLeavesDuringTheLogin(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	s, cfg := listen(t, simulator.Options{})
	cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		cancel(gone)
		return s.Transport().RoundTrip(r)
	})
	_, x, err := connect(t, cfg, secretSource).Offboard(ctx, device, "c", nil)
	if defender.ClassOf(err) != defender.NotSent || !errors.Is(err, gone) || x.Sent {
		t.Errorf("Offboard() = %+v, %v; want not sent, since the caller has left", x, err)
	}
}

// TestLoginIsNotRedirected: a 307 or 308 would take the secret to another host.
func TestLoginIsNotRedirected(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		s, cfg := listen(t, simulator.Options{})
		cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
				return respond(answer(status, "Location: https://elsewhere.example/", ""), r), nil
			}
			return s.Transport().RoundTrip(r)
		})
		_, err := connect(t, cfg, secretSource).Identity(t.Context())
		if defender.ClassOf(err) != defender.NotSent {
			t.Errorf("Identity() redirected with %d = %v; want not sent", status, err)
		}
		if foreign := s.Books().Foreign; len(foreign) > 0 {
			t.Errorf("redirected with %d, the login went on to %v", status, foreign)
		}
	}
}

// TestUntrustedAuthority: a certificate that nobody vouches for is told at once,
// with the way out.
func TestUntrustedAuthority(t *testing.T) {
	_, cfg := listen(t, simulator.Options{})
	cfg.CAFile = ""
	_, err := connect(t, cfg, secretSource).Identity(t.Context())
	e, ok := errors.AsType[*defender.Error](err)
	if !ok || e.Class != defender.BadIdentity || !strings.Contains(e.Error(), "failed to verify certificate") || !strings.Contains(e.Hint, "--ca-file") {
		t.Errorf("Identity() = %v (%+v); want a bad identity that names the certificate, and --ca-file", err, e)
	}
}

func TestAuthorityKnowsWhoAsks(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	agent := ""
	cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			agent = r.UserAgent()
		}
		return s.Transport().RoundTrip(r)
	})
	if _, err := connect(t, cfg, secretSource).Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "mde-offboard/1.2.3 azsdk-go-azidentity/"; !strings.HasPrefix(agent, want) {
		t.Errorf("User-Agent of the login = %q; want %q…", agent, want)
	}
}
