package defender

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// limited tells whether it was given a deadline.
type limited struct{ is bool }

func (l *limited) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	_, l.is = ctx.Deadline()
	return azcore.AccessToken{}, nil
}

// TestToolsHaveADeadline: where there is none azidentity ends a tool after ten
// seconds; a user who signs in at a browser is not to be hurried.
func TestToolsHaveADeadline(t *testing.T) {
	for i := range logins {
		cred := &limited{}
		if _, err := (advising{cred, &logins[i]}).GetToken(t.Context(), policy.TokenRequestOptions{}); err != nil {
			t.Fatal(err)
		}
		want := logins[i].name == "default" || logins[i].name == "azure-cli" || logins[i].name == "azure-developer-cli"
		if cred.is != want {
			t.Errorf("login %s has a deadline: %v; want %v", logins[i].name, cred.is, want)
		}
	}
}
