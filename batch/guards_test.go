package batch

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch/checkpoint"
)

// onboarded is an inventory of so many onboarded devices, of which none is listed.
func onboarded(n int) *Inventory {
	var all []Device
	for _, id := range devices(n) {
		all = append(all, Device{ID: device("fleet " + id), Onboarding: "Onboarded"})
	}
	// Neither of these counts.
	return NewInventory(noon, append(all, Device{ID: device("found"), Onboarding: "CanBeOnboarded"},
		Device{ID: device("gone"), Onboarding: "Onboarded", MergedInto: device("x")}))
}

func TestRefused(t *testing.T) {
	tag, name := protecting(t, "tag:tier0"), protecting(t, "\nsrv-*")
	for _, tc := range []struct {
		reason  string
		devices int
		text    string // in place of devices
		req     Request
		want    string // in the message; empty: not refused
	}{
		{"no guard", 20, "", Request{}, ""},
		{"as many as --max-devices", 20, "", Request{MaxDevices: 20}, ""},
		{"one more", 21, "", Request{MaxDevices: 20}, "21 devices are to be offboarded, more than --max-devices 20 allows"},
		{"half of the tenant", 10, "", Request{MaxPercent: 50, Inventory: onboarded(20)}, ""},
		{"one more than half", 11, "", Request{MaxPercent: 50, Inventory: onboarded(20)}, "55 % of the 20 that are onboarded: more than --max-percent 50 allows"},
		{"five of five: too few to be judged", 5, "", Request{MaxPercent: 50, Inventory: onboarded(5)}, ""},
		{"six of six", 6, "", Request{MaxPercent: 50, Inventory: onboarded(6)}, "100 % of the 6"},
		{"an empty inventory", 6, "", Request{MaxPercent: 50, Inventory: onboarded(0)}, "the inventory has no onboarded device"},
		{"all of them, and that is meant", 6, "", Request{MaxPercent: 100, Inventory: onboarded(6)}, ""},
		{"no inventory, so it is not judged", 600, "", Request{MaxPercent: 1}, ""},
		{"a tag without an inventory", 1, "", Request{Protect: tag}, "protect.txt:1) cannot be judged without the inventory"},
		{"a tag with one", 1, "", Request{Protect: tag, Inventory: onboarded(1)}, ""},
		{"a name that the list lacks", 1, "", Request{Protect: name}, "the list has no name for the device at list.csv:2"},
		{"a name that is none", 0, "MachineId,DeviceName,Comment\n" + device("a") + ",-,x\n", Request{Protect: name}, "the list has no name for the device at list.csv:2"},
		{"a full name, of which the list has a part", 0, "MachineId,DeviceName,Comment\n" + device("a") + ",DC01,x\n", Request{Protect: protecting(t, "dc*.contoso.com")},
			`protect.txt:1) cannot be judged without the inventory: the list has no full name for the device at list.csv:2, only "dc01"`},
		{"a name that the list has", 0, "MachineId,DeviceName,Comment\n" + device("a") + ",lap-1,x\n", Request{Protect: name}, ""},
		{"a name that the list has and that is protected", 0, "MachineId,DeviceName,Comment\n" + device("a") + ",srv-1,x\n", Request{Protect: name}, ""},
		{"when devices were seen, without an inventory", 1, "", Request{RecentlySeen: time.Hour}, "--recently-seen cannot be judged without the inventory"},
		{"no comment", 0, "MachineId\n" + device("a") + "\n" + device("b"), Request{SkipInvalid: true}, "list.csv: no line has a comment, and Defender requires one"},
		{"no line", 0, "MachineId,Comment\n", Request{}, "list.csv has no lines"},
		{"a bad line", 0, "MachineId,Comment\n" + device("a") + ",x\nlap-1,x\n", Request{}, "1 of 2 lines cannot be used"},
		{"a bad line that is left out", 0, "MachineId,Comment\n" + device("a") + ",x\nlap-1,x\n", Request{SkipInvalid: true}, ""},
	} {
		if tc.text == "" {
			tc.text = listOf(devices(tc.devices))
		}
		stop := planOf(t, tc.text, checkpoint.Batch{}, nil, tc.req).Refused()
		switch {
		case stop == nil && tc.want != "":
			t.Errorf("%s: not refused; want %q", tc.reason, tc.want)
		case stop != nil && (tc.want == "" || !strings.Contains(stop.Why, tc.want) || stop.Code != CodeUsage):
			t.Errorf("%s: refused with code %d: %s; want %d and %q", tc.reason, stop.Code, stop.Why, CodeUsage, tc.want)
		}
	}
}

// TestNoComments has one message for a list without comments, and one for each
// line that lacks one in a list that has some.
func TestNoComments(t *testing.T) {
	ids := devices(3)
	for _, tc := range []struct {
		reason, text string
		req          Request
		want         []string
		bad, told    int
	}{
		{"no comment at all: the refusal says it", "MachineId\n" + strings.Join(ids, "\n"), Request{}, nil, 3, 3},
		{"and one id is bad", "MachineId\n" + ids[0] + "\nlap-1\n" + ids[1], Request{},
			[]string{`list.csv:3:1: "lap-1" is a name, not a device id (40 hexadecimal characters)`, "list.csv: no line has a comment, and Defender requires one"}, 3, 1},
		{"only some", "MachineId,Comment\n" + ids[0] + ",x\n" + ids[1] + ",\n" + ids[2] + ",", Request{},
			[]string{"list.csv:3:1: " + noComment, "list.csv:4:1: " + noComment}, 2, 0},
		{"one line", "MachineId\n" + ids[0], Request{}, []string{"list.csv:2:1: " + noComment}, 1, 0},
		{"--comment", "MachineId\n" + ids[0], Request{Comment: "x"}, nil, 0, 0},
	} {
		p := planOf(t, tc.text, checkpoint.Batch{}, nil, tc.req)
		var got []string
		for _, b := range p.Problems {
			got = append(got, b.Error())
		}
		if !slices.Equal(got, tc.want) || p.Bad != tc.bad || p.Told != tc.told {
			t.Errorf("%s: %q, %d bad, %d told in one; want %q, %d, %d", tc.reason, got, p.Bad, p.Told, tc.want, tc.bad, tc.told)
		}
	}
}

// TestGuardsJudgeWhatIsLeft has a batch of which most is done.
func TestGuardsJudgeWhatIsLeft(t *testing.T) {
	all := devices(30)
	var have []checkpoint.Task
	for i, id := range all[:20] {
		have = append(have, checkpoint.Task{N: int64(i + 1), Position: int64(i + 1), File: "list.csv", Line: i + 2, Device: id,
			Comment: "retired", Status: checkpoint.Accepted, Attempt: 1})
	}
	req := Request{MaxDevices: 10, MaxPercent: 50, Inventory: onboarded(20)}
	if p := planOf(t, listOf(all), checkpoint.Batch{ID: 1}, have, req); p.Refused() != nil || p.ToDo != 10 {
		t.Errorf("20 done, 10 to do: %d to do, refused: %v; want 10 and not", p.ToDo, p.Refused())
	}
}

func TestCanaryLeft(t *testing.T) {
	for _, tc := range []struct {
		reason               string
		canary, sent, listed int
		known                int // of the list, by an earlier run
		status               checkpoint.Status
		want                 int
	}{
		{"none asked for", 0, 0, 10, 0, "", 0},
		{"the first of a new batch", 3, 0, 10, 0, "", 3},
		{"interrupted after one", 3, 1, 10, 10, checkpoint.Accepted, 2},
		{"over", 3, 3, 10, 10, checkpoint.Refused, 0},
		{"long over", 3, 7, 10, 10, checkpoint.AlreadyActive, 0},
		{"the list is no longer than that", 10, 0, 10, 0, "", 0},
		{"what was called had no answer", 3, 7, 10, 10, checkpoint.Pending, 3},
		{"what was called is in doubt", 3, 5, 10, 10, checkpoint.InDoubt, 3},
		{"it was over, and the list is longer now", 3, 6, 10, 6, checkpoint.Accepted, 3},
		{"it was not even over, and the list is longer now", 3, 1, 10, 6, checkpoint.Accepted, 3},
	} {
		all := devices(tc.listed)
		var have []checkpoint.Task
		for i, id := range all[:tc.known] {
			have = append(have, checkpoint.Task{N: int64(i + 1), Position: int64(i + 1), Device: id, Status: checkpoint.Pending})
			if i < tc.sent {
				have[i].Status, have[i].Attempt = tc.status, int64(i+1)
			}
		}
		p := planOf(t, listOf(all), checkpoint.Batch{Events: int64(tc.sent)}, have, Request{Canary: tc.canary})
		if got := p.CanaryLeft(); got != tc.want {
			t.Errorf("%s: CanaryLeft() = %d with %d to do; want %d", tc.reason, got, p.ToDo, tc.want)
		}
	}
}

// TestDigest changes one thing at a time. What is agreed to by a digest is what
// is sent to whom, and nothing that is only told.
func TestDigest(t *testing.T) {
	ids := devices(3)
	text := "MachineId,Comment\n" + strings.Join(ids, ",retired\n") + ",retired\n"
	seen := func(at time.Time) *Inventory {
		return NewInventory(noon, []Device{{ID: ids[0], Onboarding: "Onboarded", LastSeen: at}, {ID: ids[1], Onboarding: "Onboarded"}})
	}
	base := Request{Name: "list", RecentlySeen: 24 * time.Hour, Inventory: seen(noon.Add(-time.Hour))}
	key := checkpoint.Key{Cloud: "c", Tenant: "t", Application: "a"}
	want := planOf(t, text, checkpoint.Batch{}, nil, base).Digest(Target{key, "host"})
	with := func(change func(*Request)) Request {
		req := base
		change(&req)
		return req
	}
	protect, err := ReadProtection([]string{protectFile(t, "lap-*")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reason string
		text   string
		batch  checkpoint.Batch
		req    Request
		key    checkpoint.Key
		host   string
		same   bool
	}{
		{"nothing", text, checkpoint.Batch{}, base, key, "host", true},
		{"seen at another hour, held back as before", text, checkpoint.Batch{}, with(func(r *Request) { r.Inventory = seen(noon.Add(-2 * time.Hour)) }), key, "host", true},
		{"an inventory by which it is not held back", text, checkpoint.Batch{}, with(func(r *Request) { r.Inventory = seen(noon.Add(-48 * time.Hour)) }), key, "host", false},
		{"no inventory", text, checkpoint.Batch{}, with(func(r *Request) { r.Inventory = nil }), key, "host", false},
		{"a comment", strings.Replace(text, "retired", "sold", 1), checkpoint.Batch{}, base, key, "host", false},
		{"a byte that means nothing", text + "\n", checkpoint.Batch{}, base, key, "host", false},
		{"a look since, which has changed nothing", text, checkpoint.Batch{ID: 1, Events: 9}, base, key, "host", true},
		{"another tenant", text, checkpoint.Batch{}, base, checkpoint.Key{Cloud: "c", Tenant: "u", Application: "a"}, "host", false},
		{"another application", text, checkpoint.Batch{}, base, checkpoint.Key{Cloud: "c", Tenant: "t", Application: "b"}, "host", false},
		{"another host", text, checkpoint.Batch{}, base, key, "other", false},
		{"another batch", text, checkpoint.Batch{}, with(func(r *Request) { r.Name = "x" }), key, "host", false},
		{"a wider guard", text, checkpoint.Batch{}, with(func(r *Request) { r.MaxDevices = 5 }), key, "host", false},
		{"a wider share", text, checkpoint.Batch{}, with(func(r *Request) { r.MaxPercent = 5 }), key, "host", false},
		{"a longer time since a device was seen, by which the same are held back", text, checkpoint.Batch{}, with(func(r *Request) { r.RecentlySeen = 25 * time.Hour }), key, "host", false},
		{"a canary", text, checkpoint.Batch{}, with(func(r *Request) { r.Canary = 1 }), key, "host", false},
		{"a protect list", text, checkpoint.Batch{}, with(func(r *Request) { r.Protect = protect }), key, "host", false},
		{"--again", text, checkpoint.Batch{}, with(func(r *Request) { r.Again = true }), key, "host", false},
		{"--retry", text, checkpoint.Batch{}, with(func(r *Request) { r.Retry = []checkpoint.Status{checkpoint.Failed} }), key, "host", false},
		{"--comment", text, checkpoint.Batch{}, with(func(r *Request) { r.Comment = "x" }), key, "host", false},
		{"a setting of the run", text, checkpoint.Batch{}, with(func(r *Request) { r.Settings = "02:00-03:00" }), key, "host", false},
		{"--skip-invalid", text, checkpoint.Batch{}, with(func(r *Request) { r.SkipInvalid = true }), key, "host", false},
	} {
		if got := planOf(t, tc.text, tc.batch, nil, tc.req).Digest(Target{tc.key, tc.host}); (got == want) != tc.same {
			t.Errorf("%s has changed: digest %s, before %s; want the same: %v", tc.reason, got, want, tc.same)
		}
	}
	seenBy := map[string]string{}
	for _, status := range []checkpoint.Status{checkpoint.Pending, checkpoint.InDoubt, checkpoint.Accepted} {
		for i := range ids[1:] {
			have := []checkpoint.Task{{N: int64(i + 1), Position: int64(i + 2), File: "list.csv", Line: i + 3, Device: ids[i+1], Comment: "retired", Status: status, Action: checkpoint.Action{ID: "a"}}}
			got, which := planOf(t, text, checkpoint.Batch{ID: 1}, have, base).Digest(Target{key, "host"}), fmt.Sprint(i, status)
			if other, same := seenBy[got]; same {
				t.Errorf("device %s and device %s give the same digest", which, other)
			}
			seenBy[got] = which
		}
	}
}

// The audit has every guard of a plan and what it was set to.
func TestDescribed(t *testing.T) {
	file := protectFile(t, "srv-*\n# comment\ntag:tier0\n")
	protect, err := ReadProtection([]string{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reason string
		req    Request
		want   []string
	}{
		{"no guard", Request{}, []string{`"protect":[]`, `"retry":[]`, `"canary":0`, `"recentlySeen":"0s"`, `"skipInvalid":false`, `"maxDevices":0`, `"inventory":false`}},
		{"all guards", Request{MaxDevices: 1000, MaxPercent: 12.5, Canary: 3, RecentlySeen: 72 * time.Hour, SkipInvalid: true, Again: true,
			Retry: []checkpoint.Status{checkpoint.Failed}, Protect: protect, Inventory: onboarded(1)},
			[]string{`"maxDevices":1000`, `"maxPercent":12.5`, `"canary":3`, `"recentlySeen":"72h0m0s"`, `"skipInvalid":true`, `"again":true`, `"retry":["failed"]`,
				`"maxFailures":"5"`, `"inventory":true`,
				fmt.Sprintf(`"protect":[{"file":%q,"patterns":2,"sha256":"%x"}]`, file, sha256.Sum256([]byte("name:srv-*\ntag:tier0")))}},
	} {
		b, err := json.Marshal((&Plan{Request: tc.req}).described(&Options{MaxFailures: Threshold{Count: 5}}))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tc.want {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s: %s has no %s", tc.reason, b, want)
			}
		}
	}
}
