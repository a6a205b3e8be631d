package defender_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

const pending = `{"id":"a-1","type":"Offboard","status":"Pending"}`

func TestGateIsAskedForEachRequest(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	c := connect(t, cfg, secretSource)
	var asked []*defender.Exchange
	gate := func(_ context.Context, previous *defender.Exchange) error {
		asked = append(asked, previous)
		return nil
	}
	if _, _, err := c.Offboard(t.Context(), device, "c", gate); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || asked[0] != nil {
		t.Fatalf("the gate was asked %d times; want once, with nothing before", len(asked))
	}
	asked = nil
	s.RevokeCAE()
	_, x, err := c.Offboard(t.Context(), "1"+device[1:], "c", gate)
	if err != nil || x.Status/100 != 2 {
		t.Fatalf("Offboard() with a claims challenge = %+v, %v; want success", x, err)
	}
	if len(asked) != 2 || asked[0] != nil || asked[1] == nil || asked[1].Status != 401 || !asked[1].Sent {
		t.Errorf("the gate was asked %v; want twice, the second time with the 401 before", asked)
	}
	if got := s.Books().Calls[simulator.KindOffboard].Calls; got != 3 {
		t.Errorf("offboard calls that arrived = %d; want 3", got)
	}
}

func TestGateStopsARequest(t *testing.T) {
	noSlot := errors.New("no slot")
	s, cfg := listen(t, simulator.Options{})
	c := connect(t, cfg, secretSource)
	_, x, err := c.Offboard(t.Context(), device, "c", func(context.Context, *defender.Exchange) error { return noSlot })
	if !errors.Is(err, noSlot) || defender.ClassOf(err) != defender.NotSent || x.Sent || !x.At.IsZero() {
		t.Errorf("Offboard() = %+v, %v; want not sent, for the gate's error", x, err)
	}
	s.RevokeCAE()
	_, x, err = c.Offboard(t.Context(), device, "c", func(_ context.Context, previous *defender.Exchange) error {
		if previous != nil {
			return noSlot
		}
		return nil
	})
	if !errors.Is(err, noSlot) || defender.ClassOf(err) != defender.NotSent || x.Status != 401 {
		t.Errorf("Offboard() = %+v, %v; want the gate's error, with the exchange before it", x, err)
	}
	if got := s.Books().Calls[simulator.KindOffboard].Calls; got != 1 {
		t.Errorf("offboard calls that arrived = %d; want 1", got)
	}
}

// TestFaults takes what can happen to a connection to what it means. Each row
// counts the requests that the server read.
func TestFaults(t *testing.T) {
	tests := []struct {
		reason    string
		handler   http.HandlerFunc
		post, get defender.Class
		status    int
	}{
		{"answer cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			w.WriteHeader(201)
			io.WriteString(w, `{"id":"a-1",`)
		}, defender.InDoubt, defender.Outage, 201},
		{"refusal cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			w.WriteHeader(400)
			io.WriteString(w, fault("BadRequest"))
		}, defender.Outage, defender.Outage, 400},
		{"connection lost after the request was read", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}, defender.InDoubt, defender.Outage, 0},
		{"answer too large", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"id":"`+strings.Repeat("a", 2<<20)+`"}`)
		}, defender.InDoubt, defender.Outage, 200},
	}
	for _, http2 := range []bool{true, false} {
		for _, test := range tests {
			var read atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				read.Add(1)
				test.handler(w, r)
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			cfg := defender.Config{Endpoint: server.URL, CAFile: caFile(t, server)}
			c := connect(t, cfg, defender.FixedSource(fixedCredential{testToken}))
			_, x, err := c.Offboard(t.Context(), device, "c", nil)
			if got := defender.ClassOf(err); got != test.post || !x.Sent || x.Open || x.Status != test.status {
				t.Errorf("%s, HTTP/2 %v: Offboard() = %+v, %v; want %v, sent, status %d", test.reason, http2, x, err, test.post, test.status)
			}
			_, x, err = c.GetAction(t.Context(), "a-1", nil)
			if got := defender.ClassOf(err); got != test.get || !x.Sent || x.Open || x.Status != test.status {
				t.Errorf("%s, HTTP/2 %v: GetAction() = %+v, %v; want %v, sent, status %d", test.reason, http2, x, err, test.get, test.status)
			}
			if got := read.Load(); got != 2 {
				t.Errorf("%s, HTTP/2 %v: the server read %d requests; want one POST and one GET", test.reason, http2, got)
			}
			server.CloseClientConnections()
		}
	}
}

// TestTimeout: what was sent and not answered in time is in doubt, whether it
// took effect or not.
func TestTimeout(t *testing.T) {
	tests := []struct {
		faults string
		status bool // an answer began
	}{
		{"hang-before", false},
		{"hang-after", false},
		{"slow=90s", true},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			s, err := simulator.New(simulator.Options{AnyDevice: true, Faults: test.faults, Success: 201})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c := connect(t, defender.Config{Endpoint: s.URL(), AuthorityHost: s.URL(), Transport: s.Transport()}, secretSource)
			_, x, err := c.Offboard(t.Context(), device, "c", nil)
			if defender.ClassOf(err) != defender.InDoubt || !x.Sent || (x.Status == 201) != test.status || x.Open == test.status {
				t.Errorf("%s: Offboard() = %+v, %v; want in doubt, sent, answer begun or open %v", test.faults, x, err, test.status)
			}
			if !strings.Contains(err.Error(), "no answer within 1m0s") || x.Over.Sub(x.At) != time.Minute {
				t.Errorf("%s: Offboard() = %v after %v; want an error that names the time-out, after a minute", test.faults, err, x.Over.Sub(x.At))
			}
		})
	}
}

// TestCallerLeavesInFlight: the request had arrived.
func TestCallerLeavesInFlight(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := newClient(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		cancel(gone)
		<-r.Context().Done()
	}), nil)
	_, x, err := c.Offboard(ctx, device, "c", nil)
	if defender.ClassOf(err) != defender.InDoubt || !x.Sent || !x.Open || !errors.Is(err, gone) {
		t.Errorf("Offboard() = %+v, %v; want in doubt, sent, open, since the caller has left", x, err)
	}
}

// TestDeadKeepAlive loses connections that served a request before: the case in
// which net/http sends a request again by itself.
func TestDeadKeepAlive(t *testing.T) {
	var read atomic.Int32
	lose := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if !lose {
			io.WriteString(w, pending)
			return
		}
		read.Add(1)
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	}))
	defer server.Close()
	c := connect(t, defender.Config{Endpoint: server.URL, CAFile: caFile(t, server)}, defender.FixedSource(fixedCredential{testToken}))
	if _, _, err := c.Offboard(t.Context(), device, "c", nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.GetAction(t.Context(), "a-1", nil); err != nil {
		t.Fatal(err)
	}
	lose = true
	if _, _, err := c.Offboard(t.Context(), device, "c", nil); defender.ClassOf(err) != defender.InDoubt {
		t.Errorf("Offboard() on a connection that died = %v; want in doubt", err)
	}
	if got := read.Swap(0); got != 1 {
		t.Errorf("POSTs that the server read = %d; want 1", got)
	}
	if _, _, err := c.GetAction(t.Context(), "a-1", nil); defender.ClassOf(err) != defender.Outage {
		t.Errorf("GetAction() on a connection that died = %v; want an outage", err)
	}
	if got := read.Load(); got != 1 {
		t.Errorf("GETs that the server read = %d; want 1: each counts against the quota", got)
	}
}

func TestNothingSent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client that hangs up
	stranger.StartTLS()
	defer stranger.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		reason   string
		ctx      context.Context
		endpoint string
	}{
		{"connection refused", t.Context(), "https://" + closed},
		{"certificate of nobody", t.Context(), stranger.URL},
		{"caller gone before", ended, stranger.URL},
	}
	for _, test := range tests {
		c := connect(t, defender.Config{Endpoint: test.endpoint}, defender.FixedSource(fixedCredential{testToken}))
		_, x, err := c.Offboard(test.ctx, device, "c", nil)
		if defender.ClassOf(err) != defender.NotSent || x.Sent || x.Status != 0 {
			t.Errorf("%s: Offboard() = %+v, %v; want not sent", test.reason, x, err)
		}
	}
}

// roundTripper is a network in a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnswerCountsThoughTheCallerHasLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	network := roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		answer(201, "", pending).ServeHTTP(w, r)
		cancel()
		return w.Result(), nil
	})
	c := connect(t, defender.Config{Transport: network}, defender.FixedSource(fixedCredential{testToken}))
	if a, _, err := c.Offboard(ctx, device, "c", nil); err != nil || a.ID != "a-1" {
		t.Errorf("Offboard() = %+v, %v; want the action", a, err)
	}
}

func TestForeignTransport(t *testing.T) {
	tests := []struct {
		reason string
		err    error
		want   defender.Class
		sent   bool
		open   bool
	}{
		{"refused", &net.OpError{Op: "dial", Err: errors.New("refused")}, defender.NotSent, false, false},
		{"no such name", &net.DNSError{Err: "no such host"}, defender.NotSent, false, false},
		{"reset by the peer", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, defender.InDoubt, true, false},
		{"reset by the peer, on Windows", &net.OpError{Op: "read", Err: os.NewSyscallError("wsarecv", syscall.Errno(10054))}, defender.InDoubt, true, false},
		{"given up by the system", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}, defender.InDoubt, true, true},
		{"no way there any more", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.EHOSTUNREACH)}, defender.InDoubt, true, true},
		{"who knows", errors.New("broken"), defender.InDoubt, true, true},
	}
	for _, test := range tests {
		network := roundTripper(func(*http.Request) (*http.Response, error) { return nil, test.err })
		c := connect(t, defender.Config{Transport: network}, defender.FixedSource(fixedCredential{testToken}))
		_, x, err := c.Offboard(t.Context(), device, "c", nil)
		if defender.ClassOf(err) != test.want || x.Sent != test.sent || x.Open != test.open || !errors.Is(err, test.err) {
			t.Errorf("%s: Offboard() = %+v, %v; want %v, sent %v, open %v", test.reason, x, err, test.want, test.sent, test.open)
		}
	}
}
