package defender_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"mde-offboard/batch/defender"
)

const device = "0123456789abcdef0123456789abcdef01234567"

// testToken is a token's three parts; the payload names tenant t, application a
// and the service by its id.
const testToken = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ0IiwiYXBwaWQiOiJhIiwiYXVkIjoiZmM3ODA0NjUtMjAxNy00MGQ0LWEwYzUtMzA3MDIyNDcxYjkyIn0.c2lnbmF0dXJl"

type fixedCredential struct{ token string }

func (f fixedCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: f.token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// newClient makes a client that calls h over TLS, HTTP/2 included.
func newClient(t *testing.T, h http.Handler, change func(*defender.Config)) *defender.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	cfg := defender.Config{Endpoint: server.URL, Transport: server.Client().Transport, Version: "1.2.3"}
	if change != nil {
		change(&cfg)
	}
	c, err := defender.New(cfg, defender.FixedSource(fixedCredential{testToken}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(status int, header, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(body, "<") {
			w.Header().Set("Content-Type", "text/html")
		}
		if name, value, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func fault(code string) string {
	return `{"error":{"code":"` + code + `","message":"words","target":"t-1"}}`
}

func TestClassOfAnswer(t *testing.T) {
	const html = "<html>a proxy's page</html>"
	tests := []struct {
		reason       string
		status       int
		header, body string
		post, get    defender.Class
	}{
		{"known code", 400, "", fault("BadRequest"), defender.Refused, defender.Refused},
		{"known code", 400, "", fault("ODataError"), defender.Refused, defender.Refused},
		{"known code", 400, "", fault("InvalidInput"), defender.Refused, defender.Refused},
		{"known code", 400, "", fault("InvalidRequestBody"), defender.Refused, defender.Refused},
		{"known code", 400, "", fault("MissingRequiredParameter"), defender.Refused, defender.Refused},
		{"known code", 400, "", fault("MaximumBatchSizeExceeded"), defender.Refused, defender.Refused},
		{"an action is open", 400, "", fault("ActiveRequestAlreadyExists"), defender.AlreadyActive, defender.AlreadyActive},
		{"platform", 400, "", fault("OsPlatformNotSupported"), defender.Refused, defender.Refused},
		{"client", 400, "", fault("ClientVersionNotSupported"), defender.Refused, defender.Refused},
		{"case does not matter", 400, "", fault("badRequest"), defender.Refused, defender.Refused},
		{"a code that nobody has described", 400, "", fault("SomethingNew"), defender.Outage, defender.Outage},
		{"not Defender's", 400, "", html, defender.Outage, defender.Outage},
		{"no body", 400, "", "", defender.Outage, defender.Outage},
		{"a known code with another status", 409, "", fault("BadRequest"), defender.Outage, defender.Outage},
		{"the token was not taken", 401, "", fault("Unauthorized"), defender.Unauthorized, defender.Unauthorized},
		{"a bare 401", 401, "", "", defender.Unauthorized, defender.Unauthorized},
		{"one device or all", 403, "", fault("Forbidden"), defender.Forbidden, defender.Forbidden},
		{"feature", 403, "", fault("DisabledFeature"), defender.Forbidden, defender.Forbidden},
		{"operation", 403, "", fault("DisallowedOperation"), defender.Forbidden, defender.Forbidden},
		{"a proxy's", 403, "", html, defender.Outage, defender.Outage},
		{"a bare 403: wrong audience", 403, "", "", defender.Outage, defender.Outage},
		{"unknown device", 404, "", fault("NotFound"), defender.NotFound, defender.NotFound},
		{"unknown device", 404, "", fault("ResourceNotFound"), defender.NotFound, defender.NotFound},
		{"a proxy's", 404, "", html, defender.Outage, defender.Outage},
		{"quota", 429, "", fault("TooManyRequests"), defender.Throttled, defender.Throttled},
		{"quota, as a number", 429, "", fault("429"), defender.Throttled, defender.Throttled},
		{"quota, no body", 429, "", "", defender.Throttled, defender.Throttled},
		{"redirect", 302, "Location: https://elsewhere.example/", "", defender.Outage, defender.Outage},
		{"redirect that keeps the method", 307, "Location: https://elsewhere.example/", "", defender.Outage, defender.Outage},
		{"proxy login", 407, "", html, defender.Outage, defender.Outage},
		{"time-out of the request", 408, "", "", defender.Outage, defender.Outage},
		{"conflict", 409, "", html, defender.Outage, defender.Outage},
		{"too large", 413, "", html, defender.Outage, defender.Outage},
		{"own fault", 500, "", fault("InternalServerError"), defender.InDoubt, defender.Outage},
		{"own fault, no body", 500, "", "", defender.InDoubt, defender.Outage},
		{"gateway", 502, "", html, defender.InDoubt, defender.Outage},
		{"no time to come back named", 503, "", html, defender.InDoubt, defender.Outage},
		{"a gateway that names one may have passed the call on", 503, "Retry-After: 30", html, defender.InDoubt, defender.Outage},
		{"gateway gave up", 504, "", "", defender.InDoubt, defender.Outage},
		{"empty success", 200, "", "", defender.InDoubt, defender.Outage},
		{"success that is no JSON", 200, "", html, defender.InDoubt, defender.Outage},
		{"success without an id", 201, "", `{"status":"Pending"}`, defender.InDoubt, defender.Outage},
		{"no content", 204, "", "", defender.InDoubt, defender.Outage},
	}
	for _, test := range tests {
		c := newClient(t, answer(test.status, test.header, test.body), nil)
		_, x, err := c.Offboard(t.Context(), device, "c", nil)
		if got := defender.ClassOf(err); got != test.post {
			t.Errorf("%s: Offboard answered %d %s = %v (%v); want %v", test.reason, test.status, test.body, got, err, test.post)
		}
		if x.Status != test.status || !x.Sent {
			t.Errorf("%s: Offboard = status %d, sent %v; want %d, true", test.reason, x.Status, x.Sent, test.status)
		}
		_, _, err = c.GetAction(t.Context(), "a-1", nil)
		if got := defender.ClassOf(err); got != test.get {
			t.Errorf("%s: GetAction answered %d %s = %v (%v); want %v", test.reason, test.status, test.body, got, err, test.get)
		}
	}
}

func TestErrorCarriesWhatSupportAsksFor(t *testing.T) {
	inner := answer(403, "request-id: r-1", fault("Forbidden"))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ms-request-id", "r-2")
		w.Header().Set("mise-correlation-id", "r-1") // the same is told once
		inner.ServeHTTP(w, r)
	})
	_, x, err := newClient(t, h, nil).Offboard(t.Context(), device, "c", nil)
	e, ok := errors.AsType[*defender.Error](err)
	if !ok {
		t.Fatalf("Offboard = %v; want an *Error", err)
	}
	if e.Status != 403 || e.Code != "Forbidden" || e.Message != "words" || e.Target != "t-1" || e.RequestIDs != "r-1 r-2" {
		t.Errorf("Offboard = %+v; want status, code, message, target and request ids", e)
	}
	if want := "status 403 Forbidden: words (request r-1 r-2)"; e.Error() != want {
		t.Errorf("Error() = %q; want %q", e.Error(), want)
	}
	if x.ClientRequestID == "" || x.RequestID != "r-1 r-2" || x.Date.IsZero() || x.Token != 1 || x.Over.Before(x.At) {
		t.Errorf("Offboard = %+v; want ids, the server's date, the token's number and times in order", x)
	}
}

func TestOffboard(t *testing.T) {
	const action = `{"id":"a-1","type":"Offboard","status":"Pending","machineId":%s,"requestorComment":"c",
		"creationDateTimeUtc":"2026-01-02T03:04:05.1234567Z","lastUpdateTimeUtc":"2026-01-02T03:04:06Z",
		"errorHResult":0,"troubleshootInfo":null,"commands":[],"newField":{"x":1}}`
	tests := []struct {
		reason    string
		status    int
		machineID string
		want      defender.Class
	}{
		{"created", 201, `"` + device + `"`, defender.Unclassified},
		{"200 is as good", 200, `"` + device + `"`, defender.Unclassified},
		{"upper case is the same device", 201, `"` + strings.ToUpper(device) + `"`, defender.Unclassified},
		{"the echo may be missing", 201, `null`, defender.Unclassified},
		{"another device", 201, `"ffff456789abcdef0123456789abcdef01234567"`, defender.WrongDevice},
	}
	for _, test := range tests {
		c := newClient(t, answer(test.status, "", strings.Replace(action, "%s", test.machineID, 1)), nil)
		a, _, err := c.Offboard(t.Context(), device, "c", nil)
		if got := defender.ClassOf(err); got != test.want || (err == nil) != (test.want == defender.Unclassified) {
			t.Errorf("%s: Offboard = %v; want class %v", test.reason, err, test.want)
		}
		if a.ID != "a-1" || a.RequestorComment != "c" || a.Created.Nanosecond() != 123456700 || a.Updated.Second() != 6 {
			t.Errorf("%s: Offboard = %+v; want the action with its id, comment and times", test.reason, a)
		}
	}
}

func TestOffboardRefusesWhatIsNoDevice(t *testing.T) {
	c := newClient(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }), nil)
	for _, test := range []struct{ reason, id, comment string }{
		{"a name", "lap-0001", "c"},
		{"a path", "../machines/0123456789abcdef01234567890", "c"},
		{"not hexadecimal", strings.Replace(device, "0", "g", 1), "c"},
		{"no comment", device, ""},
		{"blank comment", device, " \t"},
	} {
		_, x, err := c.Offboard(t.Context(), test.id, test.comment, nil)
		if defender.ClassOf(err) != defender.Refused || x.Sent {
			t.Errorf("%s: Offboard(%q, %q) = %v, sent %v; want refused, not sent", test.reason, test.id, test.comment, err, x.Sent)
		}
	}
}
