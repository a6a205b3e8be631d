package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// authority is the OAuth side of a server.
type authority struct {
	tokens       map[string]*token
	revokedTo    int            // serial of the last token that Revoke ended
	challengedTo int            // the same for RevokeCAE
	claimed      bool           // a token was asked for with claims since then
	devices      map[string]int // polls that a device code stays pending for
	refresh      map[string]bool
}

func newAuthority() authority {
	return authority{tokens: map[string]*token{}, devices: map[string]int{}, refresh: map[string]bool{}}
}

// authorityRoute finds the kind of a path that is not the API's.
func authorityRoute(parts []string) string {
	switch tail := strings.Join(parts[1:], "/"); tail {
	case "v2.0/.well-known/openid-configuration", "discovery/instance":
		return kindDiscover
	case "oauth2/v2.0/token", "oauth2/v2.0/devicecode":
		return KindToken
	}
	return KindOther
}

// discover answers the authority's two GETs.
func (s *Server) discover(c *call) answer {
	if c.method != http.MethodGet {
		return bare(http.StatusMethodNotAllowed)
	}
	host := strings.TrimPrefix(c.base, "https://")
	if strings.HasSuffix(c.path, "/discovery/instance") {
		return jsonAnswer(http.StatusOK, map[string]any{
			"tenant_discovery_endpoint": c.base + "/common/v2.0/.well-known/openid-configuration",
			"api-version":               "1.1",
			"metadata":                  []any{map[string]any{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}}},
		})
	}
	if !s.knowsTenant(c.id) {
		return s.unknownTenant(c)
	}
	root := c.base + "/" + c.id
	return jsonAnswer(http.StatusOK, map[string]any{
		"authorization_endpoint":        root + "/oauth2/v2.0/authorize",
		"token_endpoint":                root + "/oauth2/v2.0/token",
		"device_authorization_endpoint": root + "/oauth2/v2.0/devicecode",
		"issuer":                        root + "/v2.0",
	})
}

func (s *Server) knowsTenant(name string) bool {
	return strings.EqualFold(name, s.opts.Tenant) || name == "organizations" || name == "common"
}

// entraError is an error in Entra's own form.
func (s *Server) entraError(c *call, status int, word string, number int, text string) answer {
	trace, correlation := s.guid("trace", c.number), c.header.Get("client-request-id")
	set(&correlation, correlation == "", s.guid("correlation", c.number))
	when := c.at.UTC().Format("2006-01-02 15:04:05Z")
	return jsonAnswer(status, map[string]any{
		"error": word,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
			number, text, trace, correlation, when),
		"error_codes": []int{number}, "timestamp": when, "trace_id": trace, "correlation_id": correlation,
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number),
	})
}

func (s *Server) unknownTenant(c *call) answer {
	return s.entraError(c, http.StatusBadRequest, "invalid_request", 90002,
		"Tenant '"+c.id+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
}

// issue answers the authority's POSTs.
func (s *Server) issue(c *call) answer {
	if c.method != http.MethodPost {
		return s.entraError(c, http.StatusBadRequest, "invalid_request", 900561, "The endpoint only accepts POST requests.")
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return s.entraError(c, http.StatusBadRequest, "invalid_request", 900144, "The request body can not be read.")
	}
	if !s.knowsTenant(c.id) {
		return s.unknownTenant(c)
	}
	if !strings.EqualFold(form.Get("client_id"), s.opts.Application) {
		return s.entraError(c, http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '"+form.Get("client_id")+"' was not found in the directory '"+s.opts.Tenant+"'.")
	}
	if strings.HasSuffix(c.path, "/devicecode") {
		return s.deviceCode(c)
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		return s.clientCredentials(c, form)
	case "device_code", "urn:ietf:params:oauth:grant-type:device_code":
		return s.pollDevice(c, form)
	case "refresh_token":
		if !s.authority.refresh[form.Get("refresh_token")] {
			return s.entraError(c, http.StatusBadRequest, "invalid_grant", 70000, "The provided value for the 'refresh_token' is not valid.")
		}
		return s.grant(c, form, true)
	}
	return s.entraError(c, http.StatusBadRequest, "unsupported_grant_type", 70003,
		"The app requested an unsupported grant type '"+form.Get("grant_type")+"'.")
}

// clientCredentials takes a secret, an assertion signed with a certificate, or a federated token.
func (s *Server) clientCredentials(c *call, form url.Values) answer {
	if assertion := form.Get("client_assertion"); assertion != "" {
		if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			return s.entraError(c, http.StatusBadRequest, "invalid_request", 900144, "The client_assertion_type is not supported.")
		}
		if problem := s.checkAssertion(c, assertion); problem != "" {
			return s.entraError(c, http.StatusUnauthorized, "invalid_client", 700027, problem)
		}
		return s.grant(c, form, false)
	}
	switch form.Get("client_secret") {
	case s.opts.Secret:
		return s.grant(c, form, false)
	case "":
		return s.entraError(c, http.StatusUnauthorized, "invalid_client", 7000218,
			"The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case ExpiredSecret:
		return s.entraError(c, http.StatusUnauthorized, "invalid_client", 7000222,
			"The provided client secret keys for app '"+s.opts.Application+"' are expired.")
	}
	return s.entraError(c, http.StatusUnauthorized, "invalid_client", 7000215,
		"Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.")
}

// federatedAudience is the aud of a token that another identity provider vouches with.
const federatedAudience = "api://AzureADTokenExchange"

// audiences is a claim that is a string or a list of strings, as a Kubernetes token has it.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// checkAssertion says what is wrong with an assertion; its signature is not looked at.
func (s *Server) checkAssertion(c *call, assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return "The assertion is not a JSON Web Token."
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "The assertion can not be decoded."
	}
	var claims struct {
		Aud      audiences
		Iss, Sub string
		Exp      json.Number
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "The assertion's claims can not be read."
	}
	expires, err := claims.Exp.Int64()
	switch ours := strings.EqualFold(claims.Iss, s.opts.Application); {
	case err != nil || !c.at.Before(time.Unix(expires, 0)):
		return "The assertion is not within its valid time range."
	case claims.Iss == "" || claims.Sub == "":
		return "The assertion has no issuer or no subject."
	case ours && claims.Sub != claims.Iss:
		return "The subject of the assertion is not its issuer."
	case ours && !slices.ContainsFunc(claims.Aud, func(aud string) bool { return strings.HasPrefix(aud, c.base+"/") }):
		return "The audience of the assertion is not this authority."
	case !ours && !slices.Contains(claims.Aud, federatedAudience):
		return "The audience of the federated token is not " + federatedAudience + "."
	}
	return ""
}

// deviceCode starts a device code login. Nobody has to type anything: it is approved after
// Options.DevicePolls polls.
func (s *Server) deviceCode(c *call) answer {
	code := s.guid("device code", c.number)
	s.authority.devices[code] = s.opts.DevicePolls
	return jsonAnswer(http.StatusOK, map[string]any{
		"user_code": "SIMU" + strings.ToUpper(code[:5]), "device_code": code, "verification_uri": c.base + "/devicelogin",
		"expires_in": 900, "interval": 1,
		"message": "SIMULATED: no code needs to be entered, the login is approved by itself.",
	})
}

func (s *Server) pollDevice(c *call, form url.Values) answer {
	code := form.Get("device_code")
	left, ok := s.authority.devices[code]
	if !ok {
		return s.entraError(c, http.StatusBadRequest, "bad_verification_code", 70019, "The device code is not known.")
	}
	if left > 0 {
		s.authority.devices[code]--
		return s.entraError(c, http.StatusBadRequest, "authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	return s.grant(c, form, true)
}

// grant answers with a token for the resource that the scope names.
func (s *Server) grant(c *call, form url.Values, user bool) answer {
	audience := resource(form.Get("scope"))
	if audience == "" {
		return s.entraError(c, http.StatusBadRequest, "invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.")
	}
	body := map[string]any{
		"token_type": "Bearer", "expires_in": int(s.opts.TokenLife / time.Second), "ext_expires_in": int(s.opts.TokenLife / time.Second),
		"access_token": s.newToken(audience, user, answersChallenge(form.Get("claims"))),
	}
	if user {
		s.addUser(c, form, body)
	}
	return jsonAnswer(http.StatusOK, body)
}

// addUser adds what a user's login brings along: who it is, and a refresh token.
func (s *Server) addUser(c *call, form url.Values, body map[string]any) {
	refresh := "refresh-" + s.guid("refresh", c.number)
	s.authority.refresh[refresh] = true
	object := s.guid("object", 0)
	info, err := json.Marshal(map[string]string{"uid": object, "utid": s.opts.Tenant})
	if err != nil {
		return
	}
	body["refresh_token"] = refresh
	body["scope"] = form.Get("scope")
	body["client_info"] = base64.RawURLEncoding.EncodeToString(info)
	body["id_token"] = jwt(map[string]any{
		"aud": s.opts.Application, "iss": c.base + "/" + s.opts.Tenant + "/v2.0", "tid": s.opts.Tenant, "oid": object, "sub": object,
		"preferred_username": userName, "name": "Sam Admin", "iat": c.at.Unix(), "nbf": c.at.Unix(), "exp": c.at.Add(s.opts.TokenLife).Unix(), "ver": "2.0",
	}, "id")
}

// resource is the audience that a scope asks for: the first of its words that is a URL, without what
// follows the host. A trailing double slash is an audience with a slash, as at the real authority.
func resource(scope string) string {
	i := slices.IndexFunc(strings.Fields(scope), func(w string) bool { return strings.HasPrefix(w, "https://") })
	if i < 0 {
		return ""
	}
	word := strings.Fields(scope)[i]
	return word[:strings.LastIndexByte(word, '/')]
}

// answersChallenge says whether claims go beyond the client capabilities that every request names.
func answersChallenge(claims string) bool {
	var asked struct {
		AccessToken map[string]json.RawMessage `json:"access_token"`
	}
	if json.Unmarshal([]byte(claims), &asked) != nil {
		return false
	}
	_, ok := asked.AccessToken["nbf"]
	return ok
}
