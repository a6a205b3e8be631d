package defender

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// hints are what to do about Entra's most common refusals, by their number.
var hints = map[string]string{
	"AADSTS7000215": "the secret is wrong: use its value (shown once, when it is made), not its id",
	"AADSTS7000222": "the secret has expired: make a new one under App registrations > the application > Certificates & secrets",
	"AADSTS7000216": "the application needs a secret or a certificate",
	"AADSTS700016":  "the tenant has no such application: check AZURE_CLIENT_ID and AZURE_TENANT_ID",
	"AADSTS90002":   "there is no such tenant in this cloud: check AZURE_TENANT_ID and --cloud",
	"AADSTS900023":  "AZURE_TENANT_ID is neither a tenant's id nor its domain",
	"AADSTS500011":  "the tenant does not know this service: it has no Defender for Endpoint, or --cloud is another one's",
	"AADSTS700027":  "the certificate is not registered with the application, or has expired",
	"AADSTS700024":  "the assertion is out of date: check this machine's clock",
	"AADSTS700213":  "no federated credential of the application fits: compare issuer, subject and audience",
	"AADSTS70021":   "no federated credential of the application fits: compare issuer, subject and audience",
	"AADSTS65001":   "consent is missing: let an administrator grant it under " + grantWhere,
	"AADSTS50076":   "the login needs a second factor: sign in again",
	"AADSTS53003":   "conditional access has refused the login: ask who runs it for the application",
	"AADSTS7000112": "the application is disabled: Enterprise applications > the application > Properties > Enabled for users to sign-in",
	"AADSTS7000218": "the application takes no public clients: App registrations > the application > Authentication > Allow public client flows",
	"AADSTS900382":  "the tenant is in another cloud: --cloud gcc-high or --cloud dod",
	"AADSTS50011":   "the application lacks the redirect URI: App registrations > the application > Authentication > Add a platform > Mobile and desktop applications > http://localhost",
	"AADSTS50105":   "the user is not assigned to the application: Enterprise applications > the application > Users and groups",
	"AADSTS700082":  "the login has expired: sign in again",
}

// What to do about a login that gives no token, unless Entra's number says more.
const (
	hintDefault     = "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or name a login with --auth: device-code signs a user in, with --tenant-id and --client-id"
	hintEnvironment = "check AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH"
	hintManaged     = "only a machine or service in Azure (or Azure Arc) has a managed identity; --client-id names a user-assigned one, without it the system-assigned one is asked for"
	hintWorkload    = "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE must be set, which Kubernetes does for pods with the label azure.workload.identity/use and an annotated service account"
	hintCLI         = "install the Azure CLI if az is not there, and give az login --service-principal: a user's own login cannot hold Machine.Offboard"
	hintAZD         = "install the Azure Developer CLI if azd is not there, and give azd auth login with --client-id, --tenant-id and a secret or certificate: a user's own login cannot hold Machine.Offboard"
	hintDeviceCode  = "give the command again, and enter the code before it ends; the application must allow public client flows"
	hintBrowser     = "the application needs the redirect URI http://localhost (mobile and desktop applications); where there is no browser, --auth device-code"
)

// advised is the error of a login, with what to do about it.
type advised struct {
	error
	hint string
}

func (a advised) Unwrap() error { return a.error }

// toolPatience is what a login's tool has time for: azidentity's ten seconds are less
// than the Azure CLI takes on a slow machine.
const toolPatience = time.Minute

// advising is a credential that gives its login's hint with each error, and its tool
// the time that it needs.
type advising struct {
	azcore.TokenCredential
	login *login
}

// GetToken implements azcore.TokenCredential.
func (a advising) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if a.login.tool {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, toolPatience)
		defer cancel()
	}
	token, err := a.TokenCredential.GetToken(ctx, o)
	if err != nil {
		err = advised{err, a.login.hint}
	}
	return token, err
}
