package defender_test

import (
	"context"
	"errors"
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
		{"no application to sign in to", "device-code", map[string]string{"AZURE_CLIENT_ID": ""}, []string{"missing: the application"}, "--auth"},
		{"no application to sign in to", "browser", map[string]string{"AZURE_CLIENT_ID": ""}, []string{"missing: the application"}, "--auth"},
		{"no federated token", "workload-identity", nil, []string{"login workload-identity: no token file specified"}, ""},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			clearEnvironment(t)
			setApplication(t)
			t.Setenv("PATH", t.TempDir()) // no tools
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			s, cfg := listen(t, simulator.Options{})
			cfg.Transport = noMetadata{s.Transport()}
			err := login(t.Context(), cfg, defender.CredentialOptions{Auth: test.auth})
			e, ok := errors.AsType[*defender.Error](err)
			if !ok || e.Class != defender.BadIdentity {
				t.Fatalf("login = %v; want a bad identity", err)
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

// noMetadata is the network of a machine that is not in Azure.
type noMetadata struct{ http.RoundTripper }

func (n noMetadata) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "169.254.169.254" {
		return nil, errors.New("no route to host")
	}
	return n.RoundTripper.RoundTrip(r)
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
