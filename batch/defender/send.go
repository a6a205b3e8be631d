package defender

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// outcome decides from what the sender noted. What was answered counts even if
// the pipeline returned an error, as it does when the caller's context ended in
// the moment the answer was there.
func (c *call) outcome(ctx context.Context, method string, pipeline error) error {
	if c.refused != nil {
		return &Error{Class: NotSent, Err: c.refused}
	}
	if e, ok := errors.AsType[*Error](pipeline); ok {
		return e // of the credential: no token, or not the right one
	}
	if c.exchange == nil {
		if ctx.Err() != nil {
			pipeline = context.Cause(ctx)
		}
		return &Error{Class: NotSent, Err: hush(pipeline)}
	}
	if c.exchange.Status/100 != 2 {
		e := c.failure(method)
		if e.Status == http.StatusForbidden && e.Class == Outage && len(c.body) == 0 {
			e.Message = "an empty answer, which is what Defender has for a token of another cloud or service (--cloud, --scope)"
		}
		return e
	}
	if c.err != nil {
		return c.unreadable(method, "the answer was cut short")
	}
	return nil
}

// known returns a copy of the exchange, zero if nothing passed the gate.
func (c *call) known() Exchange {
	if c.exchange == nil {
		return Exchange{}
	}
	return *c.exchange
}

// sender is the last policy before the transport: it asks the gate, limits the
// time, and notes what became of the request.
type sender struct {
	client *Client
	token  int
}

func (s *sender) Do(req *policy.Request) (*http.Response, error) {
	var cl *call
	if !req.OperationValue(&cl) {
		return nil, errors.New("a request without a call")
	}
	if err := s.client.guard.refused(); err != nil {
		return nil, err
	}
	ctx := req.Raw().Context()
	if err := cl.admit(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.client.timeout, fmt.Errorf("no answer within %v", s.client.timeout))
	defer cancel() // the body is downloaded before Next returns
	var sent atomic.Bool
	x := &Exchange{
		At: time.Now(), Token: s.token,
		ClientRequestID: req.Raw().Header.Get("x-ms-client-request-id"),
	}
	res, err := req.WithContext(cl.trace(ctx, &sent)).Next()
	x.Over = time.Now()
	x.Sent = sent.Load() || (s.client.api.foreign() && !neverConnected(err))
	cl.note(x, res, err, context.Cause(ctx))
	s.client.logCall(ctx, req.Raw(), x, res, err)
	return res, err
}

// admit asks the gate.
func (c *call) admit(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		c.refused = err
		return err
	}
	if c.gate != nil {
		c.refused = c.gate(ctx, c.exchange)
	}
	return c.refused
}

// note keeps the outcome of the exchange. cause is why its context ended.
func (c *call) note(x *Exchange, res *http.Response, err, cause error) {
	c.exchange, c.header, c.body, c.err = x, nil, nil, err
	if err != nil && cause != nil {
		c.err = fmt.Errorf("%w (%w)", cause, err)
	}
	if res == nil {
		x.Open = x.Sent && (cause != nil || !endedByPeer(err))
		return
	}
	x.Sent = true
	x.answered(res.StatusCode, res.Header)
	c.header = res.Header
	if err == nil {
		c.body, c.err = runtime.Payload(res)
	}
}
