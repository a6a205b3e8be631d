package defender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// CredentialOptions choose a login. Secrets, certificates and federated tokens
// come from azidentity's environment variables, from files that they name, and
// from logins of other tools: never from here.
type CredentialOptions struct {
	// Auth is a name of [AuthNames]; empty is the first.
	Auth string
	// TenantID and ClientID stand in for AZURE_TENANT_ID and AZURE_CLIENT_ID.
	TenantID, ClientID string
	// Prompt shows a user how to sign in with a device code.
	Prompt func(message string)
}

type maker func(CredentialOptions, Login) (azcore.TokenCredential, error)

type login struct {
	name string
	make maker
	hint string // for one that gives no token
	tool bool   // it runs, or may run, a command-line tool
}

// logins in the order in which they are told.
var logins = []login{
	{"default", newDefault, hintDefault, true},
	{"environment", newEnvironment, hintEnvironment, false},
	{"certificate", newCertificate, hintEnvironment, false},
	{"managed-identity", newManagedIdentity, hintManaged, false},
	{"workload-identity", newWorkloadIdentity, hintWorkload, false},
	{"azure-cli", newAzureCLI, hintCLI, true},
	{"azure-developer-cli", newAzureDeveloperCLI, hintAZD, true},
	{"device-code", newDeviceCode, hintDeviceCode, false},
	{"browser", newBrowser, hintBrowser, false},
}

// AuthNames returns the names that a login can be chosen by, the default first.
func AuthNames() []string {
	var names []string
	for _, m := range logins {
		names = append(names, m.name)
	}
	return names
}

// NewSource returns the source that o chooses. It looks at nothing but the name.
func NewSource(o CredentialOptions) (Source, error) {
	if o.Auth == "" {
		o.Auth = logins[0].name
	}
	i := slices.IndexFunc(logins, func(m login) bool { return m.name == o.Auth })
	if i < 0 {
		return nil, fmt.Errorf("login %q is not known, choose one of %s", o.Auth, strings.Join(AuthNames(), ", "))
	}
	source := Source(func(l Login) (azcore.TokenCredential, error) {
		cred, err := logins[i].make(o, l)
		if err != nil {
			return nil, badLogin(o.Auth, logins[i].hint, err)
		}
		return advising{cred, &logins[i]}, nil
	})
	if o.Auth == "device-code" || o.Auth == "browser" {
		return keep(source), nil
	}
	return source, nil
}

// keep makes a source that makes one credential. Where a user has signed in, the
// refresh token in its cache spares a second time.
func keep(source Source) Source {
	var mu sync.Mutex
	var kept azcore.TokenCredential
	return func(l Login) (azcore.TokenCredential, error) {
		mu.Lock()
		defer mu.Unlock()
		var err error
		if kept == nil {
			kept, err = source(l)
		}
		return kept, err
	}
}

// SecretSource is a login with a secret that is given here, whatever the
// environment says. It is for rehearsals against a simulator.
func SecretSource(tenant, client, secret string) Source {
	return func(l Login) (azcore.TokenCredential, error) {
		return newSecret(tenant, client, secret, l)
	}
}

// FixedSource is a credential that exists.
func FixedSource(cred azcore.TokenCredential) Source {
	return func(Login) (azcore.TokenCredential, error) { return cred, nil }
}

func newSecret(tenant, client, secret string, l Login) (azcore.TokenCredential, error) {
	return azidentity.NewClientSecretCredential(tenant, client, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: l.Options, DisableInstanceDiscovery: l.PrivateAuthority,
	})
}

// badLogin is for a login that lacks something before anybody is asked.
func badLogin(auth, hint string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Class: BadIdentity, Message: "login " + auth + ": " + brief(firstLine(err.Error())), Hint: hint}
}

// newDefault is azidentity's chain, AZURE_TOKEN_CREDENTIALS included. It reads
// tenant and application from the environment, so others cannot be given.
func newDefault(o CredentialOptions, l Login) (azcore.TokenCredential, error) {
	for _, v := range []struct{ flag, given, variable string }{
		{"--client-id", o.ClientID, "AZURE_CLIENT_ID"},
		{"--tenant-id", o.TenantID, "AZURE_TENANT_ID"},
	} {
		if set := os.Getenv(v.variable); v.given != "" && set != v.given && (set != "" || v.flag == "--client-id") {
			return nil, &Error{
				Class:   BadIdentity,
				Message: "login default takes the application and its tenant from the environment, and " + v.variable + " is not " + v.given,
				Hint:    "set " + v.variable + ", leave " + v.flag + " out, or name a login with --auth",
			}
		}
	}
	if err := chainCertificate(); err != nil {
		return nil, err
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: l.Options, DisableInstanceDiscovery: l.PrivateAuthority, TenantID: o.TenantID,
	})
}

// newEnvironment is a secret or a certificate from the environment, in the
// order of azidentity's own, but for certificates that that one cannot read.
func newEnvironment(o CredentialOptions, l Login) (azcore.TokenCredential, error) {
	secret := os.Getenv("AZURE_CLIENT_SECRET")
	if secret == "" {
		if os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH") == "" {
			return nil, missing("AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH")
		}
		return newCertificate(o, l)
	}
	tenant, client, err := o.application()
	if err != nil {
		return nil, err
	}
	return newSecret(tenant, client, secret, l)
}

func newCertificate(o CredentialOptions, l Login) (azcore.TokenCredential, error) {
	tenant, client, err := o.application()
	if err != nil {
		return nil, err
	}
	file := os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH")
	if file == "" {
		return nil, missing("AZURE_CLIENT_CERTIFICATE_PATH")
	}
	certs, key, err := readCertificate(file, os.Getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD"))
	if err != nil {
		return nil, err
	}
	chain := os.Getenv("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")
	return azidentity.NewClientCertificateCredential(tenant, client, certs, key, &azidentity.ClientCertificateCredentialOptions{
		ClientOptions: l.Options, DisableInstanceDiscovery: l.PrivateAuthority,
		SendCertificateChain: chain == "1" || strings.EqualFold(chain, "true"),
	})
}

func newManagedIdentity(o CredentialOptions, l Login) (azcore.TokenCredential, error) {
	mi := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: l.Options}
	// azidentity's six keep someone outside of Azure waiting for minutes.
	mi.Retry.MaxRetries = 3
	if id := o.client(); id != "" {
		mi.ID = azidentity.ClientID(id)
	}
	return azidentity.NewManagedIdentityCredential(mi)
}

func newWorkloadIdentity(o CredentialOptions, l Login) (azcore.TokenCredential, error) {
	tenant, client, err := o.application()
	if err != nil {
		return nil, err
	}
	file := os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	if file == "" {
		return nil, missing("AZURE_FEDERATED_TOKEN_FILE")
	}
	return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: l.Options, DisableInstanceDiscovery: l.PrivateAuthority,
		TenantID: tenant, ClientID: client, TokenFilePath: file,
	})
}

func newAzureCLI(o CredentialOptions, _ Login) (azcore.TokenCredential, error) {
	return azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: o.TenantID})
}

func newAzureDeveloperCLI(o CredentialOptions, _ Login) (azcore.TokenCredential, error) {
	return azidentity.NewAzureDeveloperCLICredential(&azidentity.AzureDeveloperCLICredentialOptions{TenantID: o.TenantID})
}

func newDeviceCode(o CredentialOptions, l Login) (azcore.TokenCredential, error) {
	client, err := o.userClient()
	if err != nil {
		return nil, err
	}
	return azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions: l.Options, DisableInstanceDiscovery: l.PrivateAuthority,
		TenantID: o.tenant(), ClientID: client,
		UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error {
			if o.Prompt == nil {
				return errors.New("there is nobody to show the code to")
			}
			o.Prompt(m.Message)
			return nil
		},
	})
}

func newBrowser(o CredentialOptions, l Login) (azcore.TokenCredential, error) {
	client, err := o.userClient()
	if err != nil {
		return nil, err
	}
	return azidentity.NewInteractiveBrowserCredential(&azidentity.InteractiveBrowserCredentialOptions{
		ClientOptions: l.Options, DisableInstanceDiscovery: l.PrivateAuthority,
		TenantID: o.tenant(), ClientID: client,
	})
}

func (o CredentialOptions) tenant() string { return cmp.Or(o.TenantID, os.Getenv("AZURE_TENANT_ID")) }
func (o CredentialOptions) client() string { return cmp.Or(o.ClientID, os.Getenv("AZURE_CLIENT_ID")) }

// application is the pair that a login without a user needs.
func (o CredentialOptions) application() (tenant, client string, err error) {
	tenant, client = o.tenant(), o.client()
	switch {
	case tenant == "":
		return "", "", missing("AZURE_TENANT_ID (or --tenant-id)")
	case client == "":
		return "", "", missing("AZURE_CLIENT_ID (or --client-id)")
	}
	return tenant, client, nil
}

// userClient is the application that a user signs in to. azidentity's default,
// a development application of Microsoft's, cannot hold Machine.Offboard.
func (o CredentialOptions) userClient() (string, error) {
	if id := o.client(); id != "" {
		return id, nil
	}
	return "", missing("the application that the user signs in to (--client-id or AZURE_CLIENT_ID)")
}

func missing(what string) *Error {
	return &Error{Class: BadIdentity, Message: "missing: " + what, Hint: "set it, or name another login with --auth"}
}
