package defender_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"mde-offboard/batch/defender"
)

// TestHTTP2Refusals talks to a server that turns requests away in the words
// that net/http takes as leave to send them again: it must have read one POST.
func TestHTTP2Refusals(t *testing.T) {
	tests := []struct {
		reason string
		refuse func(f *http2.Framer, stream uint32) error
	}{
		{"REFUSED_STREAM after the whole request", func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}},
		{"GOAWAY that says that nothing was processed", func(f *http2.Framer, _ uint32) error {
			f.WriteGoAway(0, http2.ErrCodeNo, nil)
			return io.EOF
		}},
		{"both", func(f *http2.Framer, stream uint32) error {
			f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
			f.WriteGoAway(0, http2.ErrCodeNo, nil)
			return io.EOF
		}},
	}
	for _, test := range tests {
		server := newRawServer(t, test.refuse)
		c := connect(t, defender.Config{Endpoint: server.url, CAFile: server.ca, Timeout: 20 * time.Second}, defender.FixedSource(fixedCredential{testToken}))
		_, x, err := c.Offboard(t.Context(), device, "c", nil)
		if defender.ClassOf(err) != defender.InDoubt || !x.Sent {
			t.Errorf("%s: Offboard() = %+v, %v; want in doubt, sent", test.reason, x, err)
		}
		if got := server.posts.Load(); got != 1 {
			t.Errorf("%s: the server read %d POSTs; want 1", test.reason, got)
		}
	}
}

// TestOpen: a call that has no answer may still arrive, unless it was the other
// side that ended it.
func TestOpen(t *testing.T) {
	tests := []struct {
		reason string
		pings  time.Duration // 0: as they are
		refuse func(f *http2.Framer, stream uint32) error
		want   bool
	}{
		{"nothing comes, and the ping is lost", 200 * time.Millisecond, func(*http2.Framer, uint32) error { return nil }, true},
		{"the other side ends the request", 0, func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeInternal)
		}, false},
		{"the other side closes the connection", 0, func(*http2.Framer, uint32) error { return io.EOF }, false},
		{"the other side goes away, for which net/http has no type", 0, func(f *http2.Framer, _ uint32) error {
			f.WriteGoAway(0, http2.ErrCodeNo, nil)
			return io.EOF
		}, true},
	}
	for _, test := range tests {
		server := newRawServer(t, test.refuse)
		network := defender.NewTransport(t, server.ca)
		if test.pings > 0 {
			network.HTTP2.SendPingTimeout, network.HTTP2.PingTimeout = test.pings, test.pings
		}
		c := connect(t, defender.Config{Endpoint: server.url, Transport: network}, defender.FixedSource(fixedCredential{testToken}))
		_, x, err := c.Offboard(t.Context(), device, "c", nil)
		if defender.ClassOf(err) != defender.InDoubt || !x.Sent || x.Open != test.want {
			t.Errorf("%s: Offboard() = %+v, %v; want in doubt, sent, open %v", test.reason, x, err, test.want)
		}
	}
}

// rawServer speaks HTTP/2 frame by frame.
type rawServer struct {
	url, ca string
	posts   atomic.Int32
	refuse  func(f *http2.Framer, stream uint32) error
}

func newRawServer(t *testing.T, refuse func(*http2.Framer, uint32) error) *rawServer {
	t.Helper()
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	config := &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2"}}
	s := &rawServer{ca: caFile(t, certificates), refuse: refuse}
	certificates.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s.url = "https://" + listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *rawServer) serve(conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if f.WriteSettings() != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if frame.PseudoValue("method") == "POST" {
				s.posts.Add(1)
			}
		case *http2.DataFrame:
			if frame.StreamEnded() && s.refuse(f, frame.StreamID) != nil {
				return
			}
		}
	}
}
