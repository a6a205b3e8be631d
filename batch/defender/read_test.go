package defender_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// respond plays a handler as a network would.
func respond(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestQueries(t *testing.T) {
	since := time.Date(2026, 1, 2, 4, 4, 5, 999, time.FixedZone("", 3600))
	var got string
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Path + "?" + r.URL.RawQuery
		io.WriteString(w, `{"value":[]}`)
	}), nil)
	actions := []struct {
		reason string
		query  defender.ActionQuery
		want   string
	}{
		{"all", defender.ActionQuery{}, "$top=10000&$skip=0&$orderby=creationDateTimeUtc%20desc"},
		{"those of a batch", defender.ActionQuery{Type: "Offboard", Since: since}, "$top=10000&$skip=0&$orderby=creationDateTimeUtc%20desc&$filter=type%20eq%20%27Offboard%27%20and%20creationDateTimeUtc%20ge%202026-01-02T03%3A04%3A05Z"},
		{"a page", defender.ActionQuery{MachineID: device, Status: "Pending", Top: 5, Skip: 10}, "$top=5&$skip=10&$orderby=creationDateTimeUtc%20desc&$filter=machineId%20eq%20%27" + device + "%27%20and%20status%20eq%20%27Pending%27"},
		{"more than a page holds", defender.ActionQuery{Top: 20000, Skip: -1}, "$top=10000&$skip=0&$orderby=creationDateTimeUtc%20desc"},
	}
	for _, test := range actions {
		if _, _, err := c.ListActions(t.Context(), test.query, nil); err != nil || got != "/api/machineactions?"+test.want {
			t.Errorf("%s: ListActions(%+v) asked %s, %v; want %s", test.reason, test.query, got, err, test.want)
		}
	}
	machines := []struct {
		reason string
		query  defender.MachineQuery
		want   string
	}{
		{"all", defender.MachineQuery{}, "$top=10000&$skip=0"},
		{"a name with a quote", defender.MachineQuery{Name: "o'neil & co"}, "$top=10000&$skip=0&$filter=computerDnsName%20eq%20%27o%27%27neil%20%26%20co%27"},
		{"a beginning", defender.MachineQuery{NamePrefix: "lap-", Onboarding: "Onboarded", AADDeviceID: "g"}, "$top=10000&$skip=0&$filter=startswith%28computerDnsName%2C%27lap-%27%29%20and%20aadDeviceId%20eq%20%27g%27%20and%20onboardingStatus%20eq%20%27Onboarded%27"},
	}
	for _, test := range machines {
		if _, _, err := c.ListMachines(t.Context(), test.query, nil); err != nil || got != "/api/machines?"+test.want {
			t.Errorf("%s: ListMachines(%+v) asked %s, %v; want %s", test.reason, test.query, got, err, test.want)
		}
	}
}

// TestReads pages through a simulator's lists, strict about what it is asked.
func TestReads(t *testing.T) {
	var inventory []simulator.Machine
	for i := range 25 {
		inventory = append(inventory, simulator.Machine{ID: fmt.Sprintf("%040x", i), ComputerDNSName: fmt.Sprintf("lap-%02d", i), MachineTags: []string{"a", "b"}})
	}
	s, err := simulator.New(simulator.Options{Machines: inventory, PerMinute: 1000})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, defender.Config{Endpoint: s.URL(), AuthorityHost: s.URL(), Transport: s.Transport()}, secretSource)
	for i := range 25 {
		if _, _, err := c.Offboard(t.Context(), fmt.Sprintf("%040x", i), fmt.Sprintf("c-%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]defender.MachineAction{}
	for skip := 0; ; skip += 10 {
		page, _, err := c.ListActions(t.Context(), defender.ActionQuery{Type: "Offboard", Since: time.Now().Add(-time.Hour), Top: 10, Skip: skip}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			seen[a.ID] = a
		}
		if len(page) < 10 {
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("ListActions() gave %d actions; want 25", len(seen))
	}
	for id, a := range seen {
		one, _, err := c.GetAction(t.Context(), id, nil)
		if err != nil || one.RequestorComment != a.RequestorComment || one.MachineID != a.MachineID || one.Final() || one.Created.IsZero() {
			t.Errorf("GetAction(%q) = %+v, %v; want what the list has, not final", id, one, err)
		}
		if _, _, err := c.Cancel(t.Context(), id, "no", nil); err != nil {
			t.Errorf("Cancel(%q) = %v; want success", id, err)
		}
		if one, _, err = c.GetAction(t.Context(), id, nil); err != nil || !one.Final() || one.Succeeded() || one.CancellationComment != "no" {
			t.Errorf("GetAction(%q) after Cancel = %+v, %v; want a final action that did not succeed", id, one, err)
		}
		if _, _, err := c.Cancel(t.Context(), id, "no", nil); defender.ClassOf(err) != defender.Refused {
			t.Errorf("Cancel(%q) again = %v; want refused", id, err)
		}
		break // one is enough
	}
	machines, _, err := c.ListMachines(t.Context(), defender.MachineQuery{NamePrefix: "lap-0"}, nil)
	if err != nil || len(machines) != 10 || !machines[0].Onboarded() || len(machines[0].Tags) != 2 {
		t.Errorf("ListMachines(lap-0…) = %+v, %v; want ten onboarded machines with their tags", machines, err)
	}
	if machines, _, err := c.ListMachines(t.Context(), defender.MachineQuery{Name: "nobody"}, nil); err != nil || len(machines) != 0 {
		t.Errorf("ListMachines(nobody) = %+v, %v; want none: the 404 is documented", machines, err)
	}
	if m, _, err := c.GetMachine(t.Context(), fmt.Sprintf("%040x", 7), nil); err != nil || m.ComputerDNSName != "lap-07" {
		t.Errorf("GetMachine(7) = %+v, %v; want lap-07", m, err)
	}
	if _, _, err := c.GetMachine(t.Context(), fmt.Sprintf("%040x", 99), nil); defender.ClassOf(err) != defender.NotFound {
		t.Errorf("GetMachine(99) = %v; want not found", err)
	}
}

func TestOddAnswersAreRead(t *testing.T) {
	tests := []struct{ reason, body, status string }{
		{"unknown word, odd types", `{"id":"a-1","status":"Waiting","errorHResult":"-2147024891","title":7,"creationDateTimeUtc":"soon","troubleshootInfo":{"a":1},"relatedFileInfo":[]}`, "Waiting"},
		{"troubleshooting in words", `{"id":"a-1","status":"Waiting","troubleshootInfo":"the script ended with an error"}`, "Waiting"},
		{"nulls", `{"id":"a-1","status":null,"machineId":null,"requestor":null,"creationDateTimeUtc":null,"errorHResult":null}`, ""},
		{"a list where a word was", `{"id":"a-1","status":["Pending"]}`, ""},
	}
	for _, test := range tests {
		c := newClient(t, answer(200, "", test.body), nil)
		a, _, err := c.GetAction(t.Context(), "a-1", nil)
		if err != nil || a.ID != "a-1" || a.Status != test.status || a.Final() {
			t.Errorf("%s: GetAction() = %+v, %v; want status %q, not final", test.reason, a, err, test.status)
		}
	}
	for status, want := range map[string]bool{"Succeeded": true, "Failed": true, "TimeOut": true, "Cancelled": true, "Canceled": true, "Pending": false, "InProgress": false, "": false} {
		if got := (defender.MachineAction{Status: status}).Final(); got != want {
			t.Errorf("Final() of %q = %v; want %v", status, got, want)
		}
	}
	for _, body := range []string{`{}`, `{"value":null}`, `[]`, `{"value":[1]}`} {
		c := newClient(t, answer(200, "", body), nil)
		if _, _, err := c.ListActions(t.Context(), defender.ActionQuery{}, nil); defender.ClassOf(err) != defender.Outage {
			t.Errorf("ListActions() answered %s = %v; want an outage, not an empty list", body, err)
		}
	}
}
