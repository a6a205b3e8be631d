package defender

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// plain are the headers whose values are logged as they are.
var plain = map[string]bool{
	"Content-Type": true, "Content-Length": true, "Date": true, "Retry-After": true, "User-Agent": true,
	"X-Ms-Client-Request-Id": true, "Client-Request-Id": true,
	"Request-Id": true, "X-Ms-Request-Id": true, "Mise-Correlation-Id": true,
}

// logCall writes one record for one HTTP request to the API. The query and the
// bodies stay out of it: they hold names and comments.
func (c *Client) logCall(ctx context.Context, req *http.Request, x *Exchange, res *http.Response, err error) {
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", req.Method),
		slog.String("path", req.URL.Path),
		slog.Int("status", x.Status),
		slog.Duration("took", x.Over.Sub(x.At)),
		slog.String("request", x.RequestID),
		slog.String("client-request", x.ClientRequestID),
		slog.Int("token", x.Token),
		headers("sent", req.Header),
	}
	if res != nil {
		attrs = append(attrs, headers("answered", res.Header))
	}
	if err != nil {
		attrs = append(attrs, slog.Bool("sent-any", x.Sent), slog.String("error", Redact(err.Error())))
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "call", attrs...)
}

// logLogin writes one record for one HTTP request to an authority: nothing but
// the address without its query, since bodies and headers are secret there.
func logLogin(ctx context.Context, log *slog.Logger, req *http.Request, res *http.Response, err error, took time.Duration) {
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", req.Method),
		slog.String("host", req.URL.Host),
		slog.String("path", req.URL.Path),
		slog.Duration("took", took),
	}
	if res != nil {
		attrs = append(attrs, slog.Int("status", res.StatusCode))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", Redact(err.Error())))
	}
	log.LogAttrs(ctx, slog.LevelDebug, "login", attrs...)
}

// headers shows the names of all headers and the values of plain ones.
func headers(key string, h http.Header) slog.Attr {
	var attrs []any
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := "REDACTED"
		if plain[http.CanonicalHeaderKey(name)] {
			value = tidy(strings.Join(h[name], ", "))
		}
		attrs = append(attrs, slog.String(name, value))
	}
	return slog.Group(key, attrs...)
}
