package simulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const mac, merged, fresh = "22aa11bb22cc33dd44ee55ff66007788990011cc", "33aa11bb22cc33dd44ee55ff66007788990011dd", "44aa11bb22cc33dd44ee55ff66007788990011ee"

func inventory() []Machine {
	return []Machine{
		{ID: device, ComputerDNSName: "lap-1.example.com", MachineTags: []string{"old", "o'brien"}, RbacGroupID: 7},
		{ID: device2, ComputerDNSName: "lap-2.example.com", HealthStatus: "Inactive"},
		{ID: mac, ComputerDNSName: "mac-1.example.com", OSPlatform: "macOS"},
		{ID: merged, ComputerDNSName: "lap-1.example.com", MergedIntoMachineID: device},
		{ID: fresh, OnboardingStatus: "CanBeOnboarded"},
	}
}

func TestStrictness(t *testing.T) {
	good := "/api/machines/" + device + "/offboard"
	for _, test := range []struct {
		why          string
		method, path string
		body         string
		header       []string
		status       int
		code         string
	}{
		{"a good call", "POST", good, `{"Comment":"Retired"}`, nil, 200, ""},
		{"upper case in the id", "POST", "/api/machines/" + strings.ToUpper(device2) + "/offboard", `{"Comment":"Retired"}`, nil, 200, ""},
		{"wrong method", "PUT", good, `{"Comment":"Retired"}`, nil, 400, "BadRequest"},
		{"list by POST", "POST", "/api/machines", "", nil, 400, "BadRequest"},
		{"no body", "POST", good, "", []string{"Content-Type", "application/json"}, 400, "InvalidRequestBody"},
		{"no comment", "POST", good, `{}`, nil, 400, "MissingRequiredParameter"},
		{"lower case name", "POST", good, `{"comment":"Retired"}`, nil, 400, "MissingRequiredParameter"},
		{"blank comment", "POST", good, `{"Comment":" \t"}`, nil, 400, "InvalidInput"},
		{"null comment", "POST", good, `{"Comment":null}`, nil, 400, "InvalidRequestBody"},
		{"number for a comment", "POST", good, `{"Comment":7}`, nil, 400, "InvalidRequestBody"},
		{"one property too many", "POST", good, `{"Comment":"Retired","Force":true}`, nil, 400, "InvalidRequestBody"},
		{"longest comment, by characters", "POST", "/api/machines/" + mac + "/offboard", `{"Comment":"` + strings.Repeat("é", 1000) + `"}`, nil, 400, "OsPlatformNotSupported"},
		{"comment too long", "POST", good, `{"Comment":"` + strings.Repeat("e", 1001) + `"}`, nil, 400, "InvalidInput"},
		{"not JSON", "POST", good, `Comment=Retired`, nil, 400, "InvalidRequestBody"},
		{"not JSON's type", "POST", good, `{"Comment":"Retired"}`, []string{"Content-Type", "text/plain"}, 400, "InvalidRequestBody"},
		{"unknown query", "POST", good + "?force=1", `{"Comment":"Retired"}`, nil, 400, "ODataError"},
		{"unreadable query", "GET", "/api/machines?%zz", "", nil, 400, "BadRequest"},
		{"a GUID for an id", "POST", "/api/machines/1e1eb3a7-0a5b-4d6c-8f7e-1234567890ab/offboard", `{"Comment":"x"}`, nil, 400, "InvalidInput"},
		{"39 digits", "POST", "/api/machines/" + device[1:] + "/offboard", `{"Comment":"x"}`, nil, 400, "InvalidInput"},
		{"a letter that is no digit", "POST", "/api/machines/g" + device[1:] + "/offboard", `{"Comment":"x"}`, nil, 400, "InvalidInput"},
		{"unknown device", "POST", "/api/machines/ff" + device[2:] + "/offboard", `{"Comment":"x"}`, nil, 404, "ResourceNotFound"},
		{"not Windows", "POST", "/api/machines/" + mac + "/offboard", `{"Comment":"x"}`, nil, 400, "OsPlatformNotSupported"},
		{"merged record", "POST", "/api/machines/" + merged + "/offboard", `{"Comment":"x"}`, nil, 404, "ResourceNotFound"},
		{"not onboarded", "POST", "/api/machines/" + fresh + "/offboard", `{"Comment":"x"}`, nil, 400, "InvalidInput"},
		{"unknown path", "GET", "/api/users", "", nil, 404, "NotFound"},
		{"unknown action", "GET", "/api/machineactions/nobody", "", nil, 404, "ResourceNotFound"},
		{"cancel an unknown action", "POST", "/api/machineactions/nobody/cancel", `{"Comment":"x"}`, nil, 404, "ResourceNotFound"},
		{"query on one machine", "GET", "/api/machines/" + device + "?$top=1", "", nil, 400, "ODataError"},
		{"query on one action", "GET", "/api/machineactions/x?$top=1", "", nil, 400, "ODataError"},
		{"page too large", "GET", "/api/machines?$top=10001", "", nil, 400, "ODataError"},
		{"page of less than nothing", "GET", "/api/machines?$top=-1", "", nil, 400, "ODataError"},
		{"option given twice", "GET", "/api/machines?$top=1&$top=2", "", nil, 400, "ODataError"},
		{"unknown option", "GET", "/api/machines?$select=id", "", nil, 400, "ODataError"},
		{"order of machines is not documented", "GET", "/api/machines?$orderby=id", "", nil, 400, "ODataError"},
		{"order by something else", "GET", "/api/machineactions?$orderby=status", "", nil, 400, "ODataError"},
		{"bad filter", "GET", "/api/machines?$filter=id", "", nil, 400, "ODataError"},
		{"one machine by name", "GET", "/api/machines/LAP-2.example.com", "", nil, 200, ""},
		{"no machine by that name", "GET", "/api/machines/lap-9", "", nil, 404, "ResourceNotFound"},
		{"no machine found is 404", "GET", "/api/machines?$filter=" + url.QueryEscape("id eq 'x'"), "", nil, 404, "ResourceNotFound"},
		{"page behind the end is 404", "GET", "/api/machines?$top=5&$skip=5", "", nil, 404, "ResourceNotFound"},
		{"no action found is an empty list", "GET", "/api/machineactions?$filter=" + url.QueryEscape("id eq 'x'"), "", nil, 200, ""},
	} {
		t.Run(test.why, func(t *testing.T) {
			c := newServer(t, Options{Machines: inventory(), Success: 200}).client(t)
			g := c.do(t.Context(), test.method, test.path, test.body, test.header...)
			if g.err != nil || g.status != test.status || g.code != test.code {
				t.Errorf("%s %s %s = %d %q, %v; want %d %q", test.method, test.path, test.body, g.status, g.code, g.err, test.status, test.code)
			}
			for _, name := range []string{SimulatedHeader, "Date", "request-id", "mise-correlation-id"} {
				if g.header.Get(name) == "" {
					t.Errorf("%s %s: header %s is missing", test.method, test.path, name)
				}
			}
		})
	}
}

func TestAnswerOfOffboard(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
	s := newServer(t, Options{AnyDevice: true, Now: func() time.Time { return now }, Success: 201})
	g := s.client(t).offboard(strings.ToUpper(device))
	want := map[string]any{
		"type": "Offboard", "status": "Pending", "machineId": device, "requestor": DefaultApplication, "requestorComment": "Retired",
		"creationDateTimeUtc": "2026-03-04T05:06:07.0000000Z", "errorHResult": 0.0, "requestSource": "PublicApi", "cancellationComment": nil,
	}
	for name, value := range want {
		if have, ok := g.fields[name]; !ok || have != value {
			t.Errorf("offboard: %s = %v (present: %t); want %v", name, have, ok, value)
		}
	}
	if g.status != 201 || g.header.Get("Date") != "Wed, 04 Mar 2026 05:06:07 GMT" {
		t.Errorf("offboard = %d, Date %q; want 201 at the server's own time", g.status, g.header.Get("Date"))
	}
}

func TestVariantsAreSeeded(t *testing.T) {
	count := func(seed int64) (created, null int, fates string) {
		c := newServer(t, Options{AnyDevice: true, Seed: seed, Echo: EchoMixed, PerMinute: 1000}).client(t)
		for i := range 300 {
			g := c.offboard(numbered(i))
			fates += string(rune('0' + g.status%10))
			if g.status == http.StatusCreated {
				created++
			}
			if g.fields["machineId"] == nil {
				null++
			}
		}
		return created, null, fates
	}
	created, null, fates := count(1)
	if created < 100 || created > 200 || null < 10 || null > 60 {
		t.Errorf("of 300 answers %d are 201 and %d have no machineId; want about 150 and 30", created, null)
	}
	if _, _, again := count(1); again != fates {
		t.Errorf("the same seed plays %s; want %s again", again, fates)
	}
	if _, _, other := count(2); other == fates {
		t.Errorf("another seed plays the same answers; want others")
	}
}

func TestLongestComment(t *testing.T) {
	c := newServer(t, Options{AnyDevice: true, MaxComment: 7}).client(t)
	for comment, code := range map[string]string{"éééééé7": "", "éééééé78": "InvalidInput"} {
		g := c.do(t.Context(), "POST", "/api/machines/"+device+"/offboard", `{"Comment":"`+comment+`"}`)
		if g.code != code {
			t.Errorf("a comment of %q where 7 characters are allowed = %d %q; want %q", comment, g.status, g.code, code)
		}
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	for _, test := range []struct {
		why  string
		o    Options
		want string
	}{
		{"a word that is none", Options{Repeat: "ignore"}, `repeat "ignore"`},
		{"a way of throttling that is none", Options{Throttle: "no"}, `throttle "no"`},
		{"an echo that is none", Options{Echo: "no"}, `echo "no"`},
		{"a shape that is none", Options{Troubleshoot: "list"}, `troubleshoot "list"`},
		{"a comment of less than nothing", Options{MaxComment: -1}, "negative"},
		{"polls of less than nothing", Options{DevicePolls: -1}, "negative"},
		{"success that is none", Options{Success: 204}, "success 204"},
		{"a share over all", Options{FailPercent: 101}, "fail percent 101"},
		{"a negative quota", Options{PerMinute: -1}, "negative"},
		{"a window that runs backwards", Options{Minute: -time.Second}, "minute -1s"},
		{"latency that runs backwards", Options{LatencyMin: 2, LatencyMax: 1}, "latency"},
		{"an unknown fault", Options{Faults: "flood"}, "flood"},
	} {
		if _, err := New(test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New(%s) = %v; want an error with %q", test.why, err, test.want)
		}
	}
}
