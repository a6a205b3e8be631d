package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// token is what the authority knows of an access token that it issued. The API believes this book and
// nothing that stands in a token.
type token struct {
	serial   int
	audience string
	user     bool
	roles    []string
	scopes   []string
	expires  time.Time
	claims   bool // asked for with the claims of a challenge
	used     bool // the API has accepted it
}

// TokenRequest describes a token for Token.
type TokenRequest struct {
	Audience string // empty: AudienceCommercial
	User     bool   // a user's token, with scopes, not an application's, with roles
}

// Token issues an access token without the authority's ceremony: what a stand-in for a command-line
// login prints, say.
func (s *Server) Token(r TokenRequest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&r.Audience, r.Audience == "", AudienceCommercial)
	return s.newToken(r.Audience, r.User, false)
}

// newToken writes a JWT and enters it in the book. Its signature is made up: nobody here checks it.
func (s *Server) newToken(audience string, user, claims bool) string {
	now := s.now()
	s.books.tokens++
	t := &token{serial: s.books.tokens, audience: audience, user: user, expires: now.Add(s.opts.TokenLife), claims: claims}
	payload := map[string]any{
		"aud": audience, "iss": "https://sts.windows.net/" + s.opts.Tenant + "/", "tid": s.opts.Tenant, "appid": s.opts.Application,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": t.expires.Unix(), "ver": "1.0",
		"oid": s.guid("object", 0), "uti": s.guid("token", t.serial), "app_displayname": "Simulated application",
	}
	if user {
		t.scopes = s.opts.Scopes
		payload["scp"] = strings.Join(s.opts.Scopes, " ")
		payload["upn"] = userName
		payload["idtyp"] = "user"
	} else {
		t.roles = s.opts.Roles
		payload["roles"] = s.opts.Roles
		payload["idtyp"] = "app"
	}
	text := jwt(payload, s.guid("signature", t.serial))
	s.authority.tokens[text] = t
	s.authority.claimed = s.authority.claimed || claims
	return text
}

// userName is who signs in through the device code flow.
const userName = "sam.admin@example.com"

func jwt(payload map[string]any, signature string) string {
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(map[string]any{"typ": "JWT", "alg": "RS256", "kid": "simulated"}) + "." + encode(payload) + "." + encode(signature)
}

// Revoke ends all tokens that were issued so far: the API refuses them with a plain 401.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke()
}

func (s *Server) revoke() { s.authority.revokedTo = s.books.tokens }

// RevokeCAE ends all tokens that were issued so far: the API refuses them with a claims challenge, and
// newer ones too until one has been asked for with claims.
func (s *Server) RevokeCAE() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revokeCAE()
}

func (s *Server) revokeCAE() {
	s.authority.challengedTo = s.books.tokens
	s.authority.claimed = false
}

func (s *Server) revoked(t *token) bool {
	return t.serial <= s.authority.revokedTo || s.challenged(t)
}

func (s *Server) challenged(t *token) bool {
	a := &s.authority
	return t.serial <= a.challengedTo || a.challengedTo > 0 && !a.claimed
}

// bearer is the token that a call carries, empty if none.
func bearer(c *call) string {
	text, ok := strings.CutPrefix(c.header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return text
}

func unauthorized() answer {
	a := refuse(http.StatusUnauthorized, "Unauthorized", "The token is not valid", "")
	a.header.Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="The token is expired or invalid"`)
	return a
}

// challenge asks for a token with claims, as continuous access evaluation does.
func (s *Server) challenge() answer {
	claims := `{"access_token":{"nbf":{"essential":true,"value":"` + strconv.FormatInt(s.now().Unix(), 10) + `"}}}`
	a := refuse(http.StatusUnauthorized, "Unauthorized", "Continuous access evaluation resulted in a challenge", "")
	a.header.Set("WWW-Authenticate", fmt.Sprintf(
		`Bearer realm="", authorization_uri="%s/common/oauth2/authorize", error="insufficient_claims", claims="%s"`,
		s.URL(), base64.StdEncoding.EncodeToString([]byte(claims))))
	return a
}

// permissions are the application permissions and the delegated ones that allow a kind of call.
var permissions = func() map[string][2][]string {
	read := [2][]string{
		{"Machine.Read.All", "Machine.ReadWrite.All"},
		{"Machine.Read", "Machine.ReadWrite", "Machine.Read.All", "Machine.ReadWrite.All"},
	}
	offboard := []string{"Machine.Offboard"}
	change := []string{
		"Machine.Offboard", "Machine.Isolate", "Machine.Scan", "Machine.CollectForensics",
		"Machine.RestrictExecution", "Machine.StopAndQuarantine", "Machine.LiveResponse",
	}
	return map[string][2][]string{
		KindOffboard: {offboard, offboard}, KindCancel: {change, change},
		KindActions: read, KindAction: read, KindMachines: read, KindMachine: read,
	}
}()

// Permissions are those of an application, or those of a user, that are asked for by some call, in
// the order of their names.
func Permissions(user bool) (names []string) {
	whose := 0
	if user {
		whose = 1
	}
	for _, p := range permissions {
		names = append(names, p[whose]...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// authorize checks the token of a call: known, alive, meant for this API, and with the permission.
func (s *Server) authorize(c *call) (answer, bool) {
	t, ok := s.authority.tokens[bearer(c)]
	switch {
	case !ok || !c.at.Before(t.expires) || t.serial <= s.authority.revokedTo:
		return unauthorized(), false
	case s.challenged(t):
		return s.challenge(), false
	case !slices.Contains(s.opts.Audiences, t.audience):
		return bare(http.StatusForbidden), false
	}
	c.token, c.requestor = t, s.opts.Application
	if t.user {
		c.requestor = userName
	}
	return mayCall(c.kind, t)
}

// mayCall looks for the permission, and words its refusal as the service does.
func mayCall(kind string, t *token) (answer, bool) {
	need, known := permissions[kind]
	granted, wanted := t.roles, need[0]
	if t.user {
		granted, wanted = t.scopes, need[1]
	}
	for _, permission := range wanted {
		if slices.Contains(granted, permission) {
			return answer{}, true
		}
	}
	if !known {
		return answer{}, true
	}
	text := fmt.Sprintf("Missing application roles. API required roles: %s, application roles: %s.", strings.Join(wanted, ","), strings.Join(granted, ","))
	if t.user {
		text = fmt.Sprintf("The application does not have any of the required delegated permissions (%s) to access the resource.", strings.Join(wanted, ", "))
	}
	return refuse(http.StatusForbidden, "Forbidden", text, ""), false
}
