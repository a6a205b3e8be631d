package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (c *client) statusOf(id string) string {
	c.t.Helper()
	status, _ := c.get("/api/machineactions/" + id).fields["status"].(string)
	return status
}

func (c *client) made(id string) string {
	c.t.Helper()
	action, _ := c.offboard(id).fields["id"].(string)
	if action == "" {
		c.t.Fatalf("offboard(%s) made no action", id)
	}
	return action
}

func (c *client) cancel(action string) got {
	c.t.Helper()
	return c.do(c.t.Context(), http.MethodPost, "/api/machineactions/"+action+"/cancel", `{"Comment":"Wrong list"}`)
}

func TestLifeOfAnAction(t *testing.T) {
	type look struct {
		after time.Duration
		want  string
	}
	for _, test := range []struct {
		why    string
		o      Options
		device string
		looks  []look
	}{
		{"for ever pending", Options{}, device, []look{{time.Second, Pending}, {time.Hour / 2, Pending}}},
		{"by the clock", Options{Pending: time.Minute, Running: time.Minute}, device,
			[]look{{time.Minute - 1, Pending}, {1, InProgress}, {time.Minute - 1, InProgress}, {1, Succeeded}}},
		{"without running", Options{Pending: time.Minute}, device, []look{{time.Minute - 1, Pending}, {1, Succeeded}}},
		{"failing by its id", Options{Pending: time.Minute}, "deadfa11" + device[8:], []look{{time.Hour / 2, Failed}}},
		{"timing out by its id", Options{Pending: time.Minute}, "dead713e" + device[8:], []look{{time.Hour / 2, TimeOut}}},
		{"cancelled by its id", Options{Pending: time.Minute}, "deadca11" + device[8:], []look{{time.Hour / 2, Cancelled}}},
		{"offline by its id", Options{Pending: time.Minute}, "dead0ff1" + device[8:], []look{{time.Hour / 2, Pending}}},
		{"a word that nobody knows", Options{Pending: time.Minute, Outcome: func(string) string { return "Evaporated" }}, device, []look{{time.Hour / 2, "Evaporated"}}},
		{"odd spelling", Options{Pending: time.Minute, OddSpellings: true}, "deadca11" + device[8:], []look{{time.Hour / 2, "Canceled"}}},
	} {
		t.Run(test.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.o.AnyDevice = true
				c := newServer(t, test.o).client(t)
				action := c.made(test.device)
				for _, look := range test.looks {
					time.Sleep(look.after)
					if status := c.statusOf(action); status != look.want {
						t.Errorf("status after another %v = %q; want %q", look.after, status, look.want)
					}
				}
			})
		})
	}
}

// TestTroubleshootInfo plays each shape of what nobody has described, in failed
// actions alone.
func TestTroubleshootInfo(t *testing.T) {
	for _, test := range []struct{ shape, failed, want string }{
		{"", Failed, "<nil>"},
		{TroubleshootText, Failed, "string"},
		{TroubleshootObject, Failed, "map[string]interface {}"},
		{TroubleshootObject, Succeeded, "<nil>"},
	} {
		s := newServer(t, Options{AnyDevice: true, Troubleshoot: test.shape})
		c := s.client(t)
		action := c.made(device)
		if err := s.Finish(action, test.failed); err != nil {
			t.Fatal(err)
		}
		g := c.get("/api/machineactions/" + action)
		if info, there := g.fields["troubleshootInfo"]; !there || fmt.Sprintf("%T", info) != test.want {
			t.Errorf("with %q, troubleshootInfo of a %s action = %v; want %s", test.shape, test.failed, info, test.want)
		}
	}
}

func TestFailingShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newServer(t, Options{AnyDevice: true, PerMinute: 1000, Pending: time.Second, FailPercent: 20}).client(t)
		for i := range 200 {
			c.made(numbered(i))
		}
		time.Sleep(time.Second)
		for _, test := range []struct {
			status      string
			least, most int
		}{{Succeeded, 140, 180}, {Failed, 5, 40}, {TimeOut, 5, 40}, {Pending, 0, 0}} {
			if n := len(c.actions("status eq '" + test.status + "'").value); n < test.least || n > test.most {
				t.Errorf("%d of 200 actions are %s; want %d to %d", n, test.status, test.least, test.most)
			}
		}
	})
}

func TestLag(t *testing.T) {
	for _, test := range []struct {
		why string
		o   Options
	}{
		{"as an option", Options{Lag: 110 * time.Second}},
		{"as a fault", Options{Faults: "lag=110s"}},
		{"as a fault with a share", Options{Faults: "lag=100%:110s"}},
	} {
		t.Run(test.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.o.AnyDevice = true
				c := newServer(t, test.o).client(t)
				action := c.made(device)
				time.Sleep(110*time.Second - 1)
				if g := c.get("/api/machineactions/" + action); g.status != 404 || len(c.actions("type eq 'Offboard'").value) != 0 {
					t.Errorf("the action can be read too early")
				}
				if g := c.offboard(device); g.code != "ActiveRequestAlreadyExists" {
					t.Errorf("offboard of a device with an invisible action = %d %s; want ActiveRequestAlreadyExists", g.status, g.code)
				}
				time.Sleep(time.Nanosecond)
				if g := c.get("/api/machineactions/" + action); g.status != 200 || len(c.actions("type eq 'Offboard'").value) != 1 {
					t.Errorf("the action can not be read after 110s")
				}
			})
		})
	}
}

func TestRepeat(t *testing.T) {
	for _, test := range []struct {
		repeat  string
		status  int
		same    bool
		actions int
		doubled int
	}{
		{RepeatRefuse, 400, false, 1, 0},
		{RepeatExisting, 200, true, 1, 0},
		{RepeatSecond, 200, false, 2, 1},
	} {
		s := newServer(t, Options{AnyDevice: true, Repeat: test.repeat, Success: 200})
		c := s.client(t)
		first := c.made(device)
		g := c.offboard(device)
		if same := g.fields["id"] == first; g.status != test.status || same != test.same {
			t.Errorf("%s: second offboard = %d, same action %t; want %d, %t", test.repeat, g.status, same, test.status, test.same)
		}
		b := s.Books()
		if d := b.Devices[device]; len(d.Actions) != test.actions || d.Posts != 2 || d.MaxInFlight != 1 || len(b.Doubled) != test.doubled || b.Actions() != test.actions {
			t.Errorf("%s: Books() = %+v, doubled %v; want %d actions", test.repeat, d, b.Doubled, test.actions)
		}
	}
}

// A second action is one too many even when the first has long succeeded.
func TestDoubledAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, Pending: time.Minute})
		c := s.client(t)
		c.made(device)
		c.made(device2)
		time.Sleep(time.Minute)
		c.made(device)
		if b := s.Books(); !slices.Equal(b.Doubled, []string{device}) || b.Devices[device].Beside != 0 {
			t.Errorf("doubled %v; want %s", b.Doubled, device)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, Pending: time.Minute, Faults: "cancel/final-first@4"})
		c := s.client(t)
		action := c.made(device)
		g := c.cancel(action)
		if g.status != 200 || g.fields["status"] != Cancelled || g.fields["cancellationComment"] != "Wrong list" || g.fields["id"] != action {
			t.Errorf("cancel of a pending action = %d %s; want 200, Cancelled", g.status, g.body)
		}
		if g := c.cancel(action); g.status != 400 || g.code != "BadRequest" {
			t.Errorf("cancel of a cancelled action = %d %s; want 400", g.status, g.code)
		}
		late := c.made(device)
		time.Sleep(time.Minute)
		if g := c.cancel(late); g.status != 400 || c.statusOf(late) != Succeeded {
			t.Errorf("cancel of a final action = %d, then %s; want 400, Succeeded", g.status, c.statusOf(late))
		}
		raced := c.made(device2)
		if g := c.cancel(raced); g.status != 400 || c.statusOf(raced) != Succeeded {
			t.Errorf("cancel that lost a race = %d, then %s; want 400, Succeeded", g.status, c.statusOf(raced))
		}
		if d := s.Books().Devices[device]; d.Cancelled != 1 {
			t.Errorf("Books: %d cancelled; want 1", d.Cancelled)
		}
	})
}

func TestPreload(t *testing.T) {
	s := newServer(t, Options{Machines: inventory()})
	c := s.client(t)
	old := s.AddAction(Action{MachineID: strings.ToUpper(device), Type: "Isolate", Comment: "Looks odd", Created: time.Now().Add(-time.Hour)})
	if g := c.offboard(device); g.code != "ActiveRequestAlreadyExists" {
		t.Errorf("offboard beside an open action = %d %s; want ActiveRequestAlreadyExists", g.status, g.code)
	}
	if err := s.Finish(old, Failed); err != nil {
		t.Errorf("Finish() = %v; want nil", err)
	}
	if g := c.get("/api/machineactions/" + old); g.fields["status"] != Failed || g.fields["errorHResult"] == 0.0 || g.fields["requestor"] != "another-admin@example.com" {
		t.Errorf("the finished action is %s; want Failed with an error", g.body)
	}
	if g := c.offboard(device); g.status/100 != 2 {
		t.Errorf("offboard after the other action's end = %d; want 2xx", g.status)
	}
	if err := s.Finish("nobody", Failed); err == nil {
		t.Error("Finish(an unknown action) = nil; want an error")
	}
	s.SetMachine(Machine{ID: device2, OSPlatform: "Linux"})
	if g := c.offboard(device2); g.code != "OsPlatformNotSupported" {
		t.Errorf("offboard of a changed machine = %d %s; want OsPlatformNotSupported", g.status, g.code)
	}
	if n := len(c.get("/api/machines?$top=100").value); n != len(inventory()) {
		t.Errorf("%d machines after SetMachine of one of them; want %d", n, len(inventory()))
	}
}

func TestPages(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newServer(t, Options{PerMinute: 1000})
	for i := range 25 { // out of order, to be put in order
		n := i * 7 % 25
		s.AddAction(Action{ID: fmt.Sprint(n), MachineID: numbered(n), Created: start.Add(time.Duration(n) * time.Second)})
	}
	c := s.client(t)
	for _, test := range []struct {
		why, query string
		first      string
		n          int
	}{
		{"newest first when nothing is said", "", "24", 25},
		{"descending", "$orderby=creationDateTimeUtc%20desc&$top=10", "24", 10},
		{"ascending", "$orderby=creationDateTimeUtc%20asc&$top=10", "0", 10},
		{"ascending is the default of orderby", "$orderby=creationDateTimeUtc&$top=1", "0", 1},
		{"a later page", "$top=10&$skip=10", "14", 10},
		{"a short page", "$top=10&$skip=20", "4", 5},
		{"behind the end", "$top=10&$skip=30", "", 0},
		{"none", "$top=0", "", 0},
	} {
		g := c.get("/api/machineactions?" + test.query)
		first := ""
		if len(g.value) > 0 {
			first, _ = g.value[0]["id"].(string)
		}
		if g.status != 200 || len(g.value) != test.n || first != test.first {
			t.Errorf("%s: %d, %d actions from %q; want %d from %q", test.why, g.status, len(g.value), first, test.n, test.first)
		}
		if _, ok := g.fields["@odata.nextLink"]; ok {
			t.Errorf("%s: there is a nextLink; want none", test.why)
		}
	}
}

func TestNextLink(t *testing.T) {
	var machines []Machine
	for i := range maxTop + 1 {
		machines = append(machines, Machine{ID: numbered(i)})
	}
	s := newServer(t, Options{Machines: machines})
	c := s.client(t)
	link := func(path string) string {
		next, _ := c.get(path).fields["@odata.nextLink"].(string)
		return strings.TrimPrefix(next, s.URL())
	}
	if g := c.get(link("/api/machines")); len(g.value) != 1 {
		t.Errorf("behind the first nextLink there are %d machines; want 1", len(g.value))
	}
	s.SetMachine(Machine{ID: numbered(maxTop + 1)})
	for i := range maxTop {
		s.SetMachine(Machine{ID: numbered(maxTop + 2 + i)})
	}
	second := link("/api/machines?$filter=id%20ne%20'x'")
	if third := link(second); third == "" || third != second {
		t.Errorf("nextLink of a filtered list leads from %q to %q; want the same page for ever", second, third)
	}
	if next := link("/api/machines?$top=5"); next != "" {
		t.Errorf("nextLink with $top = %q; want none", next)
	}
}
