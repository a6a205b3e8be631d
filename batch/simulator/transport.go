package simulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http2"
)

// inProcessURL is the server's address when it does not listen.
const inProcessURL = "https://127.0.0.1"

// maxBody is more than any call of the API needs.
const maxBody = 1 << 20

// Transport returns a transport that plays the network and the server in process, without a socket:
// it works within a testing/synctest bubble. A request travels up for a while, arrives, has its effect,
// and its answer travels down. It arrives even if its caller has given up meanwhile, as it would from a
// real network. Hosts other than the server's own are noted as foreign.
func (s *Server) Transport() http.RoundTripper { return inProcess{s} }

// SetDown refuses connections, or takes them again: in process as a refused dial, on sockets by
// closing each new connection and dropping each call.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

type inProcess struct{ *Server }

type delivered struct {
	response *http.Response
	err      error
}

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readBody(r.Body)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if t.isDown() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	traceSent(ctx)
	done := make(chan delivered, 1)
	c := newCall(r, r.URL.Scheme+"://"+r.URL.Host, body)
	after(t.delay(), func() { t.arrive(r, c, done) })
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case d := <-done:
		return d.response, d.err
	}
}

func readBody(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBody))
	return data, errors.Join(err, body.Close())
}

// traceSent tells the caller's trace what a real transport would: there is a connection, and all of
// the request has gone into it.
func traceSent(ctx context.Context) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return
	}
	if trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Reused: true})
	}
	if trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	if trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
}

// after calls f after a while. It uses a timer and no goroutine that waits: a call that nobody waits
// for any more must not keep a synctest bubble from ending.
func after(d time.Duration, f func()) {
	if d == 0 {
		f()
		return
	}
	time.AfterFunc(d, f)
}

// arrive serves a request at the end of its way up and sends its answer down.
func (t inProcess) arrive(r *http.Request, c *call, done chan<- delivered) {
	var a answer
	if t.isOwn(strings.TrimPrefix(c.base, "https://")) {
		a = t.serve(c)
	} else {
		a = t.serveForeign(c)
	}
	if a.how == hang {
		context.AfterFunc(r.Context(), func() { t.finish(a) })
		return
	}
	after(t.delay(), func() {
		t.finish(a)
		response, err := a.response(r)
		trace := httptrace.ContextClientTrace(r.Context())
		if err == nil && trace != nil && trace.GotFirstResponseByte != nil {
			trace.GotFirstResponseByte()
		}
		done <- delivered{response, err}
	})
}

// finish ends a call in the books, once its answer is delivered or given up.
func (s *Server) finish(a answer) {
	if a.end == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.end()
}

func (s *Server) isOwn(host string) bool {
	return host == strings.TrimPrefix(s.URL(), "https://") || slices.Contains(s.opts.Hosts, host)
}

// serveForeign is another host, where nobody has any business to be, and a token least of all.
func (s *Server) serveForeign(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.foreign = append(s.books.foreign, c.method+" "+c.base+c.path)
	if c.header.Get("Authorization") != "" {
		s.books.leaked++
	}
	c.at = s.now()
	a := html(http.StatusOK, "Another host")
	s.sign(c, &a)
	return a
}

// response is the answer as a real transport hands it over.
func (a answer) response(r *http.Request) (*http.Response, error) {
	switch a.how {
	case lost:
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	case refused:
		return nil, http2.StreamError{StreamID: 1, Code: http2.ErrCodeRefusedStream}
	case goAway:
		//lint:ignore SA1019 net/http still gives this error, and has no other for it
		return nil, http2.GoAwayError{LastStreamID: 0, ErrCode: http2.ErrCodeNo}
	}
	var body io.Reader = bytes.NewReader(a.body)
	switch a.how {
	case cut:
		body = io.MultiReader(bytes.NewReader(a.body[:len(a.body)/2]), brokenReader{})
	case slow:
		body = &dripReader{ctx: r.Context(), rest: a.body, every: a.over / drops}
	}
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: a.header.Clone(), Body: io.NopCloser(body), ContentLength: int64(len(a.body)), Request: r,
	}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// drops is the number of pieces in which a slow body comes.
const drops = 10

// dripReader hands out a body piece by piece, each after a while.
type dripReader struct {
	ctx   context.Context
	rest  []byte
	piece int
	every time.Duration
}

func (d *dripReader) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	set(&d.piece, d.piece == 0, (len(d.rest)+drops-1)/drops)
	if err := sleep(d.ctx, d.every); err != nil {
		return 0, err
	}
	n := copy(p, d.rest[:min(d.piece, len(d.rest))])
	d.rest = d.rest[n:]
	return n, nil
}

// sleep waits, or returns the reason why ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
