package defender_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mde-offboard/batch/simulator"
)

// recorder keeps every token that passes, and passes it on.
type recorder struct {
	http.RoundTripper
	mu     sync.Mutex
	tokens map[string]bool
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
		r.mu.Lock()
		r.tokens[token] = true
		r.mu.Unlock()
	}
	return r.RoundTripper.RoundTrip(req)
}

// TestLogHoldsNoSecret logs all there is, through success, refusal, a
// challenge, a lost connection and a server that repeats the token.
func TestLogHoldsNoSecret(t *testing.T) {
	s, cfg := listen(t, simulator.Options{Faults: "lost-after@4"})
	network := &recorder{RoundTripper: s.Transport(), tokens: map[string]bool{}}
	var log bytes.Buffer
	cfg.Transport = network
	cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := connect(t, cfg, secretSource)
	var said []string
	call := func(i int) {
		_, x, err := c.Offboard(t.Context(), fmt.Sprintf("%040x", i), "comment-of-ours", nil)
		said = append(said, fmt.Sprintf("%v %+v %+v", err, err, x))
	}
	call(1)
	s.RevokeCAE()
	call(2)
	call(3)
	s.Revoke()
	call(4)
	if err := c.Refresh(); err != nil {
		t.Fatal(err)
	}
	call(5)
	network.RoundTripper = roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("cannot send %v", r.Header)
	})
	call(6)
	network.RoundTripper = roundTripper(func(r *http.Request) (*http.Response, error) {
		body, _ := json.Marshal(map[string]any{"error": map[string]string{"code": "BadRequest", "message": r.Header.Get("Authorization")}})
		w := answer(400, "X-Echo: "+r.Header.Get("Authorization"), string(body))
		return respond(w, r), nil
	})
	call(7)
	network.RoundTripper = s.Transport()
	id, err := c.Identity(t.Context())
	said = append(said, log.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%+v %v", id, err))
	if len(network.tokens) < 3 {
		t.Fatalf("tokens that were sent = %d; want one for each login", len(network.tokens))
	}
	all := strings.Join(said, "\n")
	for token := range network.tokens {
		if payload := strings.Split(token, ".")[1]; strings.Contains(all, payload) {
			t.Errorf("a token is in what was said: %s", all)
		}
	}
	for _, secret := range []string{simulator.DefaultSecret, "comment-of-ours", "eyJ"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in what was said: %s", secret, all)
		}
	}
	for _, want := range []string{
		`"method":"POST","path":"/api/machines/0000000000000000000000000000000000000001/offboard","status":20`,
		`"took":`, `"request":"`, `"Authorization":"REDACTED"`, `"X-Echo":"REDACTED"`, `"msg":"login"`, `/oauth2/v2.0/token`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
}

func TestQuietLog(t *testing.T) {
	_, cfg := listen(t, simulator.Options{})
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if _, _, err := connect(t, cfg, secretSource).Offboard(t.Context(), device, "c", nil); err != nil || log.Len() > 0 {
		t.Errorf("Offboard() = %v, logged %q at level info; want nothing", err, log.String())
	}
}
