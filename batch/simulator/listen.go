package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// network is the part of a server that has sockets.
type network struct {
	netMu   sync.RWMutex
	url     string
	foreign string
	caPEM   []byte
	servers []*http.Server
}

// Listen serves HTTPS, HTTP/1.1 and HTTP/2, at a loopback address such as 127.0.0.1:0, with a
// certificate of a CA that exists in memory only. Close ends it.
func (s *Server) Listen(addr string) error {
	host, err := loopback(addr)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	certificate, caPEM, err := newCertificates(time.Now()) // clients judge it by their clock, not by Options.Now
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	s.netMu.Lock()
	defer s.netMu.Unlock()
	if s.url != "" {
		return errors.New("simulator: it listens already")
	}
	own, err := s.listen(addr, certificate, s)
	if err != nil {
		return err
	}
	foreign, err := s.listen(net.JoinHostPort(host, "0"), certificate, http.HandlerFunc(s.serveForeignHTTP))
	if err != nil {
		return err
	}
	s.url, s.foreign, s.caPEM = own, foreign, caPEM
	return nil
}

// ListenMetadata serves Metadata over plain HTTP at a loopback address, and returns the URL for
// IDENTITY_ENDPOINT. Close ends it.
func (s *Server) ListenMetadata(addr string) (string, error) {
	if _, err := loopback(addr); err != nil {
		return "", fmt.Errorf("simulator: %w", err)
	}
	plain, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("simulator: %w", err)
	}
	server := &http.Server{Handler: s.Metadata(), ReadHeaderTimeout: time.Minute}
	s.netMu.Lock()
	defer s.netMu.Unlock()
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(plain) }() // always ErrServerClosed, by Close
	return "http://" + plain.Addr().String() + "/msi/token", nil
}

// CheckAddress says what is wrong with an address to listen at.
func CheckAddress(addr string) error {
	_, err := loopback(addr)
	return err
}

// loopback is the host of an address to listen at, which has to be this machine.
func loopback(addr string) (host string, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("%q is not a loopback address: a simulator is for this machine alone", host)
	}
	_, err = net.LookupPort("tcp", port)
	return host, err
}

// listen starts one HTTPS server and returns its address.
func (s *Server) listen(addr string, certificate tls.Certificate, handler http.Handler) (string, error) {
	plain, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("simulator: %w", err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that hang up are the daily bread of a simulator
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": serveHTTP2},
	}
	listener := tls.NewListener(&door{Listener: plain, server: s}, &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
	})
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(listener) }() // always ErrServerClosed, by Close
	return "https://" + plain.Addr().String(), nil
}

// door lets nobody in while the server is down.
type door struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || !d.server.isDown() {
			return conn, err
		}
		_ = conn.Close()
	}
}

// serveHTTP2 serves a connection through a frameConn, so that a call can be refused at that level.
func serveHTTP2(server *http.Server, conn *tls.Conn, handler http.Handler) {
	frames := &frameConn{Conn: conn}
	ctx := context.WithValue(context.Background(), frameKey{}, frames)
	//lint:ignore SA1019 http.Server takes no connection that is not its own TLS one, and the frames must be had
	new(http2.Server).ServeConn(frames, &http2.ServeConnOpts{Context: ctx, BaseConfig: server, Handler: handler})
}

// URL is the address of API and authority alike.
func (s *Server) URL() string {
	s.netMu.RLock()
	defer s.netMu.RUnlock()
	if s.url == "" {
		return inProcessURL
	}
	return s.url
}

// foreignURL is the address of another host, which notes who comes.
func (s *Server) foreignURL() string {
	s.netMu.RLock()
	defer s.netMu.RUnlock()
	if s.foreign == "" {
		return "https://elsewhere.example"
	}
	return s.foreign
}

// CertPEM is the certificate of the CA, nil before Listen.
func (s *Server) CertPEM() []byte {
	s.netMu.RLock()
	defer s.netMu.RUnlock()
	return s.caPEM
}

// Close stops listening, ends all connections, and forgets effects that are still to come.
func (s *Server) Close() error {
	s.mu.Lock()
	for timer := range s.late {
		timer.Stop()
	}
	clear(s.late)
	s.mu.Unlock()
	s.netMu.Lock()
	defer s.netMu.Unlock()
	var err error
	for _, server := range s.servers {
		err = errors.Join(err, server.Close())
	}
	s.servers = nil
	return err
}
