package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsOnItsWayArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, LatencyMin: 10 * time.Second, LatencyMax: 10 * time.Second})
		c := s.client(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if g := c.offboardFor(ctx, device); !errors.Is(g.err, context.DeadlineExceeded) {
			t.Fatalf("offboard = %v; want the deadline exceeded", g.err)
		}
		if s.Books().Actions() != 0 {
			t.Error("it arrived before its time")
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if b := s.Books(); b.Actions() != 1 || b.Last.Sub(b.Now) != 0 {
			t.Errorf("%d actions, last arrival at %v; want one, now", b.Actions(), b.Last)
		}
	})
}

func TestWhatWasGivenUpBeforeIsNotSent(t *testing.T) {
	s := newServer(t, Options{AnyDevice: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g := s.client(t).offboardFor(ctx, device); !errors.Is(g.err, context.Canceled) {
		t.Errorf("offboard = %v; want cancelled", g.err)
	}
	if n := len(s.Books().Devices); n != 0 {
		t.Errorf("%d devices in the books; want none", n)
	}
}

func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, LatencyMin: time.Second, LatencyMax: time.Second})
		c := s.client(t)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { c.offboard(device) })
		}
		group.Wait()
		c.offboard(device2)
		c.offboard(device2)
		b := s.Books()
		if one, two := b.Devices[device], b.Devices[device2]; one.MaxInFlight != 3 || one.Posts != 3 || two.MaxInFlight != 1 || two.Posts != 2 {
			t.Errorf("three at once: %+v, two in turn: %+v; want 3 and 1 in flight", one, two)
		}
	})
}

func TestTrace(t *testing.T) {
	for _, test := range []struct {
		why  string
		down bool
		want string
	}{
		{"a connection and an answer", false, "conn wrote byte"},
		{"no connection", true, ""},
	} {
		s := newServer(t, Options{AnyDevice: true})
		c := s.client(t)
		s.SetDown(test.down)
		var mu sync.Mutex
		var seen []string
		note := func(word string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, word)
		}
		g := c.offboardFor(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn:              func(httptrace.GotConnInfo) { note("conn") },
			WroteRequest:         func(httptrace.WroteRequestInfo) { note("wrote") },
			GotFirstResponseByte: func() { note("byte") },
		}), device)
		if have := strings.Join(seen, " "); have != test.want {
			t.Errorf("%s: trace %q; want %q", test.why, have, test.want)
		}
		var op *net.OpError
		if refused := errors.As(g.err, &op) && op.Op == "dial"; refused != test.down {
			t.Errorf("%s: %v; want a refused dial: %t", test.why, g.err, test.down)
		}
	}
}

func TestDownOnASocket(t *testing.T) {
	s, hc := listening(t, Options{AnyDevice: true})
	c := s.client(t)
	c.http = hc.Transport
	for _, down := range []bool{false, true, false} {
		s.SetDown(down)
		if g := c.offboard(device); (g.err != nil) != down {
			t.Errorf("down %t: %v; want an error only then", down, g.err)
		}
	}
	if posts := s.Books().Devices[device].Posts; posts != 2 {
		t.Errorf("%d posts arrived; want 2", posts)
	}
}

func TestForeignHost(t *testing.T) {
	s, hc := listening(t, Options{AnyDevice: true, Faults: "redirect"})
	c := s.client(t)
	c.http = hc.Transport
	g := c.offboard(device)
	location := g.header.Get("Location")
	if g.status != 307 || strings.HasPrefix(location, s.URL()) {
		t.Fatalf("redirect = %d to %s; want 307 to another host", g.status, location)
	}
	if b := s.Books(); len(b.Foreign) != 0 || b.Leaked != 0 {
		t.Errorf("before: foreign %v, leaked %d; want none", b.Foreign, b.Leaked)
	}
	for _, header := range []string{"", "Bearer x"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, location, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		response, err := hc.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if b := s.Books(); len(b.Foreign) != 2 || b.Leaked != 1 {
		t.Errorf("foreign %v, leaked %d; want two requests, one with a token", b.Foreign, b.Leaked)
	}
}

func TestForeignHostInProcess(t *testing.T) {
	s := newServer(t, Options{Faults: "redirect", RedirectTo: "https://portal.example/"})
	c := s.client(t)
	location := c.offboard(device).header.Get("Location")
	if location != "https://portal.example/api/machines/"+device+"/offboard" {
		t.Fatalf("Location %q; want the host of RedirectTo", location)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, location, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if response, err := s.Transport().RoundTrip(r); err != nil || response.StatusCode != 200 {
		t.Errorf("RoundTrip to another host = %v, %v; want an answer", response, err)
	}
	if b := s.Books(); b.Leaked != 1 || b.Devices[device].Posts != 1 {
		t.Errorf("leaked %d; want 1", b.Leaked)
	}
}

func TestListenOnlyOnLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "example.com:443", "nonsense"} {
		s := newServer(t, Options{})
		if err := s.Listen(addr); err == nil || s.URL() != inProcessURL {
			t.Errorf("Listen(%q) = %v, URL %s; want an error", addr, err, s.URL())
		}
	}
	s, _ := listening(t, Options{})
	if err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("a second Listen = nil; want an error")
	}
}

func TestBothProtocols(t *testing.T) {
	s, _ := listening(t, Options{})
	for _, want := range []int{1, 2} {
		response, err := trusting(t, s, want == 2).Get(s.URL() + "/simulator/books")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.ProtoMajor != want {
			t.Errorf("HTTP/%d was spoken; want HTTP/%d", response.ProtoMajor, want)
		}
	}
}

func TestIPv6(t *testing.T) {
	s := newServer(t, Options{})
	if err := s.Listen("[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	if _, err := trusting(t, s, true).Get(s.URL() + "/simulator/books"); err != nil {
		t.Errorf("GET over IPv6 = %v; want an answer", err)
	}
}

func TestBooksPage(t *testing.T) {
	s := newServer(t, Options{AnyDevice: true, Success: 200, Faults: "500-after@2"})
	c := s.client(t)
	c.offboard(device)
	c.offboard(device2)
	c.get("/api/machineactions")
	var page, direct Books
	if err := json.Unmarshal([]byte(c.get("/simulator/books").body), &page); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s.Books())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &direct); err != nil {
		t.Fatal(err)
	}
	page.Now, direct.Now = time.Time{}, time.Time{}
	if a, b := fmt.Sprintf("%+v", flat(t, page)), fmt.Sprintf("%+v", flat(t, direct)); a != b {
		t.Errorf("/simulator/books is\n%s\nwant\n%s", a, b)
	}
	if k := page.Calls[KindOffboard]; k.Calls != 2 || k.ByStatus["200"] != 1 || k.ByStatus["500"] != 1 || page.Calls["all"].Calls != 3 || !page.Simulated {
		t.Errorf("calls %+v, all %+v; want 2 offboard calls of 3", k, page.Calls["all"])
	}
	if _, counted := page.Calls[kindBooks]; counted {
		t.Error("looking at the books is counted; want only the API's calls")
	}
}

// flat is the books without pointers, to compare.
func flat(t *testing.T, b Books) string {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Books are a copy: what comes later does not change them.
func TestBooksAreACopy(t *testing.T) {
	s := newServer(t, Options{AnyDevice: true})
	c := s.client(t)
	c.offboard(device)
	before := s.Books()
	arrivals := slices.Clone(before.Arrivals(KindOffboard))
	text := flat(t, before)
	for i := range 20 {
		c.offboard(device)
		c.offboard(numbered(i))
	}
	if flat(t, before) != text || !slices.Equal(before.Arrivals(KindOffboard), arrivals) {
		t.Error("books that were taken before have changed")
	}
}

func TestCloseForgetsLateEffects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, Faults: "effect-late"})
		s.client(t).offboard(device)
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v; want nil", err)
		}
		time.Sleep(time.Hour)
		if n := s.Books().Actions(); n != 0 {
			t.Errorf("%d actions after Close; want none", n)
		}
	})
}

func BenchmarkOffboardInProcess(b *testing.B) {
	s, err := New(Options{AnyDevice: true, PerMinute: 1 << 30, PerHour: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	transport, token := s.Transport(), s.Token(TokenRequest{})
	for i := 0; b.Loop(); i++ {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL()+"/api/machines/"+numbered(i)+"/offboard", strings.NewReader(`{"Comment":"x"}`))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		if _, err := transport.RoundTrip(r); err != nil {
			b.Fatal(err)
		}
	}
}
