package defender

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"
)

// Gate is asked before each HTTP request that is about to leave, in the last
// policy before the transport: the token is there already, and a claims
// challenge, which makes one call two requests, asks twice. It must not wait
// for a quota, since a token that waits grows old: without a slot it returns an
// error. Then nothing is sent, the call fails with [NotSent], and errors.Is
// finds the gate's error in it.
//
// previous is what is known of the request before this one in the same call,
// nil for the first. A request that was let through is always followed by
// another call of the gate or by the return of the method.
type Gate func(ctx context.Context, previous *Exchange) error

// Exchange is what is known of one HTTP request, whatever became of it. The one
// that a method returns belongs to the last request that the gate let through;
// it is zero if there was none.
type Exchange struct {
	// Sent is true when a connection was had: some of the request may have left.
	Sent bool
	// Open is true when it was sent and no answer came, and it was not the other
	// side that ended it: what has left may still arrive.
	Open bool
	// Status is that of the answer; 0: none came.
	Status int
	// Date is the server's clock as the answer told it, zero if it did not.
	Date time.Time
	// At and Over are this machine's times around the exchange, the body included.
	At, Over time.Time
	// RequestID joins what the answer named of request-id, x-ms-request-id and
	// mise-correlation-id; ClientRequestID is ours.
	RequestID, ClientRequestID string
	// Token counts the credentials: 1 for the first, one more for each refresh.
	Token int
}

// call is one call of a method on its way through the pipeline.
type call struct {
	gate     Gate
	limit    int64 // of the answer's body
	refused  error // by the gate
	exchange *Exchange
	header   http.Header
	body     []byte
	err      error // of the transport or of the body
}

type callKey struct{}

// trace makes a context in which net/http reports when a connection is had.
// From that moment on the request counts as sent, though it may die in a
// buffer: the only safe side to err on.
func (c *call) trace(ctx context.Context, sent *atomic.Bool) context.Context {
	ctx = context.WithValue(ctx, callKey{}, c)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
}

// neverConnected reports whether err shows that no connection was had. It serves
// transports that are not net/http's and do not trace.
func neverConnected(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// endedByPeer reports whether err shows that the other side has ended the
// exchange, and will take nothing more of it. Whatever else ends one is our own
// giving up: the time-out, a ping that was lost, and what has no type, as
// net/http has none for a GOAWAY.
func endedByPeer(err error) bool {
	const resetOnWindows = syscall.Errno(10054) // WSAECONNRESET
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, resetOnWindows} {
		if errors.Is(err, end) {
			return true
		}
	}
	_, reset := errors.AsType[http2.StreamError](err) // net/http's own can be had as one
	return reset
}

// answered fills in what the header of an answer tells.
func (x *Exchange) answered(status int, h http.Header) {
	x.Status = status
	x.Date, _ = http.ParseTime(h.Get("Date"))
	x.RequestID = requestIDs(h)
}

func simulated(h http.Header) bool { return h.Get("X-Simulated-Defender") == "1" }

func requestIDs(h http.Header) string {
	var ids []string
	for _, name := range []string{"request-id", "x-ms-request-id", "mise-correlation-id"} {
		id := tidy(h.Get(name))
		if id != "" && !strings.Contains(strings.Join(ids, " "), id) {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, " ")
}
