package simulator

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// fate is what a client sees of a fault, and whether the call had its effect.
type fate struct {
	name   string
	status int    // 0: no answer
	code   string // of Defender's JSON error, empty for other bodies
	effect bool
}

var fates = []fate{
	{"lost-before", 0, "", false},
	{"lost-after", 0, "", true},
	{"500-before", 500, "InternalServerError", false},
	{"500-after", 500, "InternalServerError", true},
	{"502-html-before", 502, "", false},
	{"502-html-after", 502, "", true},
	{"proxy-403", 403, "", false},
	{"proxy-404", 404, "", false},
	{"proxy-407", 407, "", false},
	{"408", 408, "", false},
	{"413", 413, "", false},
	{"503-retry-after", 503, "ServiceUnavailable", false},
	{"503-retry-after-after", 503, "ServiceUnavailable", true},
	{"h2-refused", 0, "", false},
	{"h2-refused-after", 0, "", true},
	{"h2-goaway", 0, "", false},
	{"h2-goaway-after", 0, "", true},
	{"cut", 200, "", true},
	{"empty", 200, "", true},
	{"empty-before", 200, "", false},
	{"notjson", 200, "", true},
	{"notjson-before", 200, "", false},
	{"noid", 200, "", true},
	{"otherdevice", 200, "", true},
	{"hang-before", 0, "", false},
	{"hang-after", 0, "", true},
	{"slow", 200, "", true},
	{"429-seconds", 429, "any", false},
	{"429-date", 429, "any", false},
	{"429-message", 429, "any", false},
	{"429-window", 429, "any", false},
	{"429-none", 429, "any", false},
	{"401", 401, "Unauthorized", false},
	{"401-all", 401, "Unauthorized", false},
	{"401-cae", 401, "Unauthorized", false},
	{"403-device", 403, "Forbidden", false},
	{"403-all", 403, "Forbidden", false},
	{"404-once", 404, "ResourceNotFound", false},
	{"redirect", 307, "", false},
}

// check compares what a client saw with a fate.
func (f fate) check(t *testing.T, where string, s *Server, g got) {
	t.Helper()
	if g.status != f.status || (f.code != "any" && g.code != f.code) || (g.err != nil) != (f.status == 0) {
		t.Errorf("%s, %s: %d %q, %v; want %d %q", f.name, where, g.status, g.code, g.err, f.status, f.code)
	}
	if (g.bodyErr != nil) != (f.name == "cut") {
		t.Errorf("%s, %s: reading the body = %v; want an error only when it is cut", f.name, where, g.bodyErr)
	}
	if g.status != 0 && g.header.Get(SimulatedHeader) != "1" {
		t.Errorf("%s, %s: the answer does not say that it is simulated", f.name, where)
	}
	b := s.Books()
	d := b.Devices[device]
	if effect := len(d.Actions) == 1; d.Posts != 1 || effect != f.effect || b.Faults[f.name] != 1 {
		t.Errorf("%s, %s: %d posts, %d actions, played %d times; want one post, effect %t, played once", f.name, where, d.Posts, len(d.Actions), b.Faults[f.name], f.effect)
	}
	f.checkDetail(t, where, g)
}

func (f fate) checkDetail(t *testing.T, where string, g got) {
	t.Helper()
	ok := true
	switch f.name {
	case "proxy-407":
		ok = g.header.Get("Proxy-Authenticate") != ""
	case "503-retry-after", "503-retry-after-after":
		ok = g.header.Get("Retry-After") == "5"
	case "429-seconds":
		ok = g.header.Get("Retry-After") == "10"
	case "empty", "empty-before":
		ok = g.body == ""
	case "notjson", "notjson-before", "502-html-after", "proxy-403":
		ok = strings.HasPrefix(g.body, "<!DOCTYPE")
	case "noid":
		ok = g.fields["id"] == nil && g.fields["machineId"] == device
	case "otherdevice":
		id, _ := g.fields["machineId"].(string)
		ok = isDeviceID(id) && id != device && g.fields["id"] != nil
	case "slow":
		ok = g.fields["machineId"] == device
	case "401-cae":
		ok = strings.Contains(g.header.Get("WWW-Authenticate"), `error="insufficient_claims", claims="`)
	case "401":
		ok = !strings.Contains(g.header.Get("WWW-Authenticate"), "insufficient_claims")
	case "redirect":
		ok = strings.HasSuffix(g.header.Get("Location"), "/offboard")
	}
	if !ok {
		t.Errorf("%s, %s: %d %v %q does not look like it", f.name, where, g.status, g.header, g.body)
	}
}

func TestFaultsInProcess(t *testing.T) {
	for _, f := range fates {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, Options{AnyDevice: true, Success: 200, Faults: f.name + "@1"})
				c := s.client(t)
				c.get("/api/machineactions") // the faults that revoke a token let fresh ones pass
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				g := c.offboardFor(ctx, device)
				took := time.Since(start)
				synctest.Wait()
				f.check(t, "in process", s, g)
				if want := map[bool]time.Duration{strings.HasPrefix(f.name, "hang"): time.Minute, f.name == "slow": 20 * time.Second}[true]; took != want {
					t.Errorf("%s took %v; want %v", f.name, took, want)
				}
			})
		})
	}
}

func TestFaultsOverSockets(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, f := range fates {
			t.Run(proto+" "+f.name, func(t *testing.T) {
				s := newServer(t, Options{AnyDevice: true, Success: 200, Faults: strings.Replace(f.name+"@1", "slow@1", "slow@1:50ms", 1)})
				if err := s.Listen("127.0.0.1:0"); err != nil {
					t.Fatal(err)
				}
				c := s.client(t)
				c.http = trusting(t, s, proto == "HTTP/2.0").Transport
				c.get("/api/machineactions")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if strings.HasPrefix(f.name, "hang") {
					go cancelOnceHanging(s, cancel)
				}
				f.check(t, proto, s, c.offboardFor(ctx, device))
			})
		}
	}
}

// cancelOnceHanging gives up as soon as the call has arrived.
func cancelOnceHanging(s *Server, cancel context.CancelFunc) {
	for s.Books().Calls[KindOffboard] == nil {
		runtime.Gosched()
	}
	cancel()
}

func TestEveryFaultIsTested(t *testing.T) {
	elsewhere := []string{groupMixed, groupQuick, "seed", faultLag, faultLate, "final-first"}
	for _, name := range FaultNames() {
		tested := slices.ContainsFunc(fates, func(f fate) bool { return f.name == name })
		if !tested && !slices.Contains(elsewhere, name) {
			t.Errorf("fault %s is in no test", name)
		}
	}
}

// Go's own transport repeats a request on these two; the faults are worth something only if it does.
func TestHTTP2FaultsMakeTransportsRepeat(t *testing.T) {
	for _, name := range []string{"h2-refused-after", "h2-goaway-after"} {
		s, hc := listening(t, Options{AnyDevice: true, Repeat: RepeatSecond, Faults: name + "@1"})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/api/machines/"+device+"/offboard", strings.NewReader(`{"Comment":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+s.Token(TokenRequest{}))
		response, err := hc.Do(r) // with GetBody, unlike the tests above
		if err != nil {
			t.Fatalf("%s: Do() = %v; want the transport to repeat it", name, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if d := s.Books().Devices[device]; d.Posts < 2 || len(d.Actions) < 2 {
			t.Errorf("%s: %d posts, %d actions for one request with GetBody; want more than one", name, d.Posts, len(d.Actions))
		}
	}
}

// Only the stream that the fault met is refused; the next one that breaks is not.
func TestRefusedStreamIsOne(t *testing.T) {
	s, hc := listening(t, Options{AnyDevice: true, Faults: "h2-refused@1,lost-before@2"})
	c := s.client(t)
	c.http = hc.Transport
	for i, want := range []bool{true, false} {
		if g := c.offboard(device); g.err == nil || strings.Contains(g.err.Error(), "REFUSED_STREAM") != want {
			t.Errorf("call %d = %v; want REFUSED_STREAM: %t", i+1, g.err, want)
		}
	}
}

func TestErrorsInProcess(t *testing.T) {
	for _, test := range []struct {
		fault string
		is    func(error) bool
	}{
		{"lost-after", func(err error) bool { var e *net.OpError; return errors.As(err, &e) && e.Op == "read" }},
		{"h2-refused", func(err error) bool {
			var e http2.StreamError
			return errors.As(err, &e) && e.Code == http2.ErrCodeRefusedStream
		}},
		//lint:ignore SA1019 net/http still gives this error, and has no other for it
		{"h2-goaway", func(err error) bool { var e http2.GoAwayError; return errors.As(err, &e) }},
	} {
		if g := newServer(t, Options{AnyDevice: true, Faults: test.fault}).client(t).offboard(device); !test.is(g.err) {
			t.Errorf("%s = %T %v; want the error of a real transport", test.fault, g.err, g.err)
		}
	}
}

func TestEffectLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, Faults: "effect-late@1"})
		c := s.client(t)
		if g := c.offboard(device); g.err == nil {
			t.Fatalf("offboard = %+v; want a lost connection", g)
		}
		time.Sleep(59*time.Second - 1)
		synctest.Wait()
		if b := s.Books(); b.LateEffects != 1 || b.Actions() != 0 {
			t.Errorf("before its time: %d late effects, %d actions; want 1, 0", b.LateEffects, b.Actions())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if b := s.Books(); b.LateEffects != 0 || b.Actions() != 1 {
			t.Errorf("at its time: %d late effects, %d actions; want 0, 1", b.LateEffects, b.Actions())
		}
		g := c.actions("type eq 'Offboard'")
		if len(g.value) != 1 || g.value[0]["creationDateTimeUtc"] != "2000-01-01T00:00:59.0000000Z" {
			t.Errorf("the late action is %v; want one, created at 59 s", g.value)
		}
	})
}

func TestRepeatingBeforeALateEffectIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, Repeat: RepeatSecond, Faults: "effect-late@1"})
		c := s.client(t)
		c.offboard(device)
		c.offboard(device)
		time.Sleep(time.Minute)
		synctest.Wait()
		if b := s.Books(); b.Devices[device].MaxInFlight != 2 || !slices.Equal(b.Doubled, []string{device}) {
			t.Errorf("in flight %d, doubled %v; want 2 in flight and the device doubled", b.Devices[device].MaxInFlight, b.Doubled)
		}
	})
}
