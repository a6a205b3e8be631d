package defender_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// TestTokensOutliveThemselves runs for six hours on tokens of five minutes.
func TestTokensOutliveThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := simulator.New(simulator.Options{AnyDevice: true, TokenLife: 5 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c := connect(t, defender.Config{Endpoint: s.URL(), AuthorityHost: s.URL(), Transport: s.Transport()}, secretSource)
		for i := range 72 {
			_, x, err := c.Offboard(t.Context(), fmt.Sprintf("%040x", i), "c", nil)
			if err != nil || x.Token != 1 {
				t.Fatalf("Offboard() after %d min = %+v, %v; want success without a refresh", 5*i, x, err)
			}
			time.Sleep(5 * time.Minute)
		}
		if b := s.Books(); b.Actions() != 72 || b.Tokens < 71 {
			t.Errorf("the simulator's books = %d actions, %d tokens; want 72, about as many", b.Actions(), b.Tokens)
		}
	})
}

// TestAuthorityDown: no token because nobody answers is an outage in which
// nothing was sent, before the first token and after.
func TestAuthorityDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := simulator.New(simulator.Options{AnyDevice: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var broken func(r *http.Request) (*http.Response, error)
		network := roundTripper(func(r *http.Request) (*http.Response, error) {
			if broken != nil && strings.Contains(r.URL.Path, "oauth2") {
				return broken(r)
			}
			return s.Transport().RoundTrip(r)
		})
		c := connect(t, defender.Config{Endpoint: s.URL(), AuthorityHost: s.URL(), Transport: network}, secretSource)
		answers := func(status int, header, body string) func(*http.Request) (*http.Response, error) {
			return func(r *http.Request) (*http.Response, error) { return respond(answer(status, header, body), r), nil }
		}
		faults := []struct {
			reason string
			broken func(r *http.Request) (*http.Response, error)
			want   string // in the error
		}{
			{"refused", func(*http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
			}, "127.0.0.1: dial: refused"},
			{"unavailable", answers(503, "", ""), "127.0.0.1: status 503"},
			{"unavailable, in its own words", answers(503, "", `{"error":"temporarily_unavailable"}`), "status 503"},
			{"busy", answers(429, "Retry-After: 1", `{"error":"throttled"}`), "status 429"},
			{"silent", func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}, ""},
			{"behind a proxy that refuses", answers(403, "", "<html>"), "not the authority's (status 403, text/html)"},
			{"behind a gateway with JSON of its own", answers(400, "", `{"error":{"code":"blocked"}}`), "not the authority's (status 400, application/json)"},
			{"behind a portal", answers(302, "Location: https://portal.example/", "<html>"), "not the authority's (status 302, text/html)"},
			{"behind a guest network's page", answers(200, "", "<html>"), "not the authority's (status 200, text/html)"},
			{"cut in the middle", func(r *http.Request) (*http.Response, error) {
				res := respond(answer(200, "", ""), r)
				res.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"token_type":"Bearer",`), iotest.ErrReader(io.ErrUnexpectedEOF)))
				return res, nil
			}, "unexpected EOF"},
			{"without an end", answers(200, "", `{"a":"`+strings.Repeat("a", 2<<20)+`"}`), "too large"},
		}
		for range 2 {
			for _, fault := range faults {
				broken = fault.broken
				_, x, err := c.Offboard(t.Context(), device, "c", nil)
				if defender.ClassOf(err) != defender.NotSent || x.Sent || !strings.Contains(err.Error(), fault.want) {
					t.Errorf("Offboard() with the authority %s = %+v, %v; want not sent, %q", fault.reason, x, err, fault.want)
				}
			}
			broken = nil
			if _, err := c.Identity(t.Context()); err != nil {
				t.Errorf("Identity() with the authority back = %v; want a token", err)
			}
			if err := c.Refresh(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestMetadataDown: on a machine that is in Azure, a metadata service that does
// not answer is an outage once it has given a token; before, there is none.
func TestMetadataDown(t *testing.T) {
	clearEnvironment(t)
	synctest.Test(t, func(t *testing.T) {
		// An application of its own: the cache of managed identities is the process's.
		const application = "51317a7e-0000-4000-8000-0000000000b0"
		s, err := simulator.New(simulator.Options{AnyDevice: true, Application: application, TokenLife: 5 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		source, err := defender.NewSource(defender.CredentialOptions{Auth: "managed-identity", ClientID: application})
		if err != nil {
			t.Fatal(err)
		}
		down, tries := true, 0
		network := roundTripper(func(r *http.Request) (*http.Response, error) {
			if down && r.URL.Host == "169.254.169.254" {
				tries++
				return nil, &net.OpError{Op: "dial", Err: errors.New("no route")}
			}
			return virtualMachine{s.Transport(), s.Metadata()}.RoundTrip(r)
		})
		c := connect(t, defender.Config{Endpoint: s.URL(), AuthorityHost: s.URL(), Transport: network}, source)
		if _, err := c.Identity(t.Context()); defender.ClassOf(err) != defender.BadIdentity {
			t.Errorf("Identity() without a metadata service = %v; want a bad identity", err)
		}
		if tries != 4 {
			t.Errorf("the metadata service was asked %d times; want once and three times again", tries)
		}
		down = false
		if _, _, err := c.Offboard(t.Context(), device, "c", nil); err != nil {
			t.Fatalf("Offboard() with a metadata service = %v; want success", err)
		}
		down = true
		time.Sleep(10 * time.Minute)
		_, x, err := c.Offboard(t.Context(), "1"+device[1:], "c", nil)
		if defender.ClassOf(err) != defender.NotSent || x.Sent {
			t.Errorf("Offboard() with the metadata service gone = %+v, %v; want not sent", x, err)
		}
	})
}
