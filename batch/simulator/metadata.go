package simulator

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Metadata serves managed identities over plain HTTP, as a host does for its guests: the instance
// metadata service at /metadata/identity/oauth2/token, which wants the header Metadata: true, and App
// Service (IDENTITY_ENDPOINT, IDENTITY_HEADER) at any other path, which wants IdentityHeader in
// X-IDENTITY-HEADER. A client_id must be the server's application.
func (s *Server) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := s.managedIdentity(r)
		w.Header().Set(SimulatedHeader, "1")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody to tell
	})
}

func (s *Server) managedIdentity(r *http.Request) (int, map[string]string) {
	q := r.URL.Query()
	imds := strings.HasSuffix(r.URL.Path, "/metadata/identity/oauth2/token")
	client := q.Get("client_id")
	audience := strings.TrimSuffix(q.Get("resource"), "/.default")
	switch {
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, identityError("invalid_request", "GET is needed")
	case imds && r.Header.Get("Metadata") != "true":
		return http.StatusBadRequest, identityError("invalid_request", "Required metadata header not specified")
	case !imds && r.Header.Get("X-IDENTITY-HEADER") != IdentityHeader:
		return http.StatusUnauthorized, identityError("unauthorized", "X-IDENTITY-HEADER is wrong")
	case client != "" && !strings.EqualFold(client, s.opts.Application):
		return http.StatusBadRequest, identityError("invalid_request", "Identity not found")
	case audience == "":
		return http.StatusBadRequest, identityError("invalid_resource", "resource is missing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return http.StatusOK, map[string]string{
		"access_token": s.newToken(audience, false, false),
		"client_id":    s.opts.Application,
		"expires_in":   strconv.Itoa(int(s.opts.TokenLife.Seconds())),
		"expires_on":   strconv.FormatInt(s.now().Add(s.opts.TokenLife).Unix(), 10),
		"not_before":   strconv.FormatInt(s.now().Unix(), 10),
		"resource":     audience,
		"token_type":   "Bearer",
	}
}

func identityError(word, text string) map[string]string {
	return map[string]string{"error": word, "error_description": text}
}
