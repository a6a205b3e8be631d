package defender

import (
	"net/http"
	"testing"
	"time"
)

// NewTransport makes the one over which calls go that change something.
func NewTransport(t *testing.T, caFile string) *http.Transport {
	t.Helper()
	trusted, err := roots(caFile)
	if err != nil {
		t.Fatal(err)
	}
	return newTransport(trusted, time.Second, true)
}

// TestPings holds what would take half a minute to be seen: a connection over
// which nothing comes is tried with a ping, and given up if that is lost too.
func TestPings(t *testing.T) {
	if got := newTransport(nil, time.Second, true).HTTP2; got == nil || got.SendPingTimeout != 30*time.Second || got.PingTimeout != 15*time.Second {
		t.Errorf("the pings of HTTP/2 are set to %+v; want one after 30 s, lost after 15 s", got)
	}
}
