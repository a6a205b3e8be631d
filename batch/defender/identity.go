package defender

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Identity is who a token speaks for and what it may do. It holds nothing secret.
type Identity struct {
	Tenant      string // tid
	Application string // appid
	Audience    string // aud
	// Roles are an application's permissions, Scopes those that a user has
	// delegated: a token with scopes is a user's.
	Roles, Scopes []string
	User          string // the name that a user signed in with, empty for an application
	ObjectID      string // oid
	Expires       time.Time
	// Simulated is true when the API says that it is a simulator.
	Simulated bool
}

// defenderApplication is the id of WindowsDefenderATP itself. Tokens of the
// second version name it as their audience, in place of the address.
const defenderApplication = "fc780465-2017-40d4-a0c5-307022471b92"

var (
	offboardPermissions = []string{"Machine.Offboard"}
	readRoles           = []string{"Machine.Read.All", "Machine.ReadWrite.All"}
	readScopes          = []string{"Machine.Read", "Machine.ReadWrite", "Machine.Read.All", "Machine.ReadWrite.All"}
	errUnreadableToken  = errors.New("the token cannot be read, so what it may do cannot be checked")
)

const (
	// azureCLIApplication is the Azure CLI itself, for a user who signed in with az login.
	azureCLIApplication = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	grantWhere          = "Entra admin center > App registrations > the application > API permissions > Add a permission > APIs my organization uses > WindowsDefenderATP"
)

// Identity fetches a token, if none is at hand, and reads it.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	token, err := c.current.Load().cred.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{c.target.Scope}, EnableCAE: true,
	})
	if err != nil {
		return Identity{}, err
	}
	id, err := readIdentity(token.Token, token.ExpiresOn)
	if err != nil {
		return Identity{}, &Error{Class: BadIdentity, Err: err}
	}
	id.Simulated, err = c.rehearses(ctx)
	return id, err
}

// rehearses reports whether the API is a simulator, whoever issued the token: a
// login that asks no authority, or one elsewhere, would not tell.
func (c *Client) rehearses(ctx context.Context) (bool, error) {
	issuer, api := c.guard.isSimulated(), false
	switch {
	case issuer && c.target.Authority == c.target.Endpoint: // one server
		return true, nil
	case c.target.Loopback: // where a simulator can be
		var err error
		if api, err = c.asksSimulator(ctx); err != nil {
			return false, &Error{Class: NotSent, Message: c.target.Host + " cannot be reached", Err: hush(err), Hint: hintNetwork}
		}
	}
	if issuer && !api {
		return false, &Error{Class: BadIdentity, Message: "the login authority is a simulator, and " + c.target.Host + " is not", Hint: "let --endpoint and --authority-host name the same, or leave both out"}
	}
	return api, nil
}

// asksSimulator asks for a simulator's books, without a token: that counts as no
// call of anybody's.
func (c *Client) asksSimulator(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %v", c.timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.target.Endpoint+"/simulator/books", nil)
	if err != nil {
		return false, err
	}
	res, err := c.api.Do(req)
	if err != nil {
		return false, err
	}
	return simulated(res.Header), res.Body.Close()
}

// readIdentity reads the claims of a token. The signature is the API's business.
func readIdentity(token string, expires time.Time) (Identity, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Identity{}, errUnreadableToken
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return Identity{}, errUnreadableToken
	}
	var w struct {
		TID, AppID, AZP, Aud, OID, Scp, UPN text
		PreferredUsername                   text `json:"preferred_username"`
		UniqueName                          text `json:"unique_name"`
		Roles                               texts
	}
	if json.Unmarshal(payload, &w) != nil || w.TID == "" {
		return Identity{}, errUnreadableToken
	}
	return Identity{
		Tenant:      string(w.TID),
		Application: string(cmp.Or(w.AppID, w.AZP)), // azp in tokens of the second version
		Audience:    string(w.Aud),
		Roles:       w.Roles,
		Scopes:      strings.Fields(string(w.Scp)),
		User:        string(cmp.Or(w.UPN, w.PreferredUsername, w.UniqueName)),
		ObjectID:    string(w.OID),
		Expires:     expires,
	}, nil
}

// Delegated reports whether the token is a user's.
func (id Identity) Delegated() bool { return len(id.Scopes) > 0 }

// CanRead reports whether the token may read machines and machine actions.
func (id Identity) CanRead() bool {
	if id.Delegated() {
		return hasAny(id.Scopes, readScopes)
	}
	return hasAny(id.Roles, readRoles)
}

// checkAudience refuses a token for another service than the API, which it would
// refuse with a bare 403.
func (id Identity) checkAudience(want string) error {
	got := strings.TrimRight(id.Audience, "/")
	if got == want || got == defenderApplication {
		return nil
	}
	return &Error{
		Class:   BadIdentity,
		Message: "the token is for " + cmp.Or(tidy(got), "no service") + " and not for " + want,
		Hint:    "the cloud (--cloud) or the scope (--scope) does not fit the endpoint or the login; without --scope the cloud's is asked for",
	}
}

// Check reports, before anything is sent, what will be refused: a token that may
// not offboard, and, if reads are needed, one that may not read. The error names
// the permission, its hint where to grant it.
func (id Identity) Check(needReads bool) error {
	if !hasAny(id.granted(), offboardPermissions) {
		return id.missing("Machine.Offboard")
	}
	if needReads && !id.CanRead() {
		if id.Delegated() {
			return id.missing("Machine.Read")
		}
		return id.missing("Machine.Read.All")
	}
	return nil
}

func (id Identity) granted() []string {
	if id.Delegated() {
		return id.Scopes
	}
	return id.Roles
}

func (id Identity) missing(permission string) *Error {
	kind := "application"
	if id.Delegated() {
		kind = "delegated"
	}
	granted := "none"
	if g := id.granted(); len(g) > 0 {
		granted = tidy(strings.Join(g, ", "))
	}
	hint := grantWhere + " > " + strings.ToUpper(kind[:1]) + kind[1:] + " permissions > " + permission + ", then Grant admin consent"
	if !id.Delegated() {
		hint += " (a managed identity: New-MgServicePrincipalAppRoleAssignment, it is not on that page)"
	}
	if id.Application == azureCLIApplication {
		hint = "the Azure CLI's own application cannot be granted it: register one of your own and use --auth device-code --client-id, or az login --service-principal"
	}
	return &Error{
		Class:   BadIdentity,
		Message: "application " + tidy(id.Application) + " in tenant " + tidy(id.Tenant) + " lacks the " + kind + " permission " + permission + " (granted: " + granted + ")",
		Hint:    hint,
	}
}

func hasAny(have, want []string) bool {
	return slices.ContainsFunc(want, func(w string) bool { return slices.Contains(have, w) })
}
