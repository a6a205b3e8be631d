package simulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFaultsThatLast(t *testing.T) {
	for _, test := range []struct {
		spec string
		want []int
	}{
		{"403-all@2", []int{200, 403, 403, 403}},
		{"401-all@3", []int{200, 200, 401, 401}},
		{"404-once", []int{404, 404, 404, 404}}, // each device its own
		{"500-before=2", []int{500, 500, 200, 200}},
		{"500-before@2,408@3", []int{200, 500, 408, 200}},
		{"cancel/500-before", []int{200, 200, 200, 200}},
		{"500-before=0%", []int{200, 200, 200, 200}},
		{"429-seconds@2", []int{200, 429, 429, 429}}, // the hold goes on
	} {
		c := newServer(t, Options{AnyDevice: true, Success: 200, Faults: test.spec}).client(t)
		var have []int
		for i := range test.want {
			have = append(have, c.offboard(numbered(i)).status)
		}
		if !slices.Equal(have, test.want) {
			t.Errorf("%s: statuses %v; want %v", test.spec, have, test.want)
		}
	}
}

func TestOncePerDevice(t *testing.T) {
	c := newServer(t, Options{AnyDevice: true, Success: 200, Faults: "404-once"}).client(t)
	for i, want := range []int{404, 200} {
		if g := c.offboard(device); g.status != want {
			t.Errorf("call %d = %d; want %d", i+1, g.status, want)
		}
	}
}

func TestSharesAreSeededAndFair(t *testing.T) {
	play := func(spec string, order func(int) int) map[string]int {
		s := newServer(t, Options{AnyDevice: true, PerMinute: 10_000, PerHour: 10_000, Faults: spec})
		c := s.client(t)
		fates := map[string]int{}
		for i := range 1000 {
			id := numbered(order(i))
			fates[id] = c.offboard(id).status
		}
		return fates
	}
	forward, backward := func(i int) int { return i }, func(i int) int { return 999 - i }
	for _, spec := range []string{"500-before=10%,seed=3", "403-device=10%,seed=3"} {
		first := play(spec, forward)
		n := 0
		for id, status := range play(spec, backward) {
			if (first[id] >= 400) != (status >= 400) {
				t.Fatalf("%s: device %s meets %d in one order and %d in another; want the same", spec, id, first[id], status)
			}
			if status >= 400 {
				n++
			}
		}
		if n < 60 || n > 140 {
			t.Errorf("%s: %d of 1000 calls; want about 100", spec, n)
		}
	}
}

func TestGroups(t *testing.T) {
	s := newServer(t, Options{AnyDevice: true, PerMinute: 10_000, PerHour: 10_000, Faults: "mixed-quick=2%"})
	c := s.client(t)
	for i := range 1500 {
		if g := c.offboard(numbered(i)); g.status == 401 {
			c.token = s.newTokenForTest()
		}
	}
	b := s.Books()
	for i := range faultTable {
		f := &faultTable[i]
		if (b.Faults[f.name] > 0) != (f.mixes == mixesQuickly) {
			t.Errorf("mixed-quick played %s %d times; want it: %t", f.name, b.Faults[f.name], f.mixes == mixesQuickly)
		}
	}
	mixed, err := ParseFaults("mixed=5%")
	if err != nil {
		t.Fatal(err)
	}
	notMixed := []string{"otherdevice", "401-all", "403-device", "403-all", "final-first", faultLate, faultLag}
	for i := range faultTable {
		f := &faultTable[i]
		in := slices.ContainsFunc(mixed.rules, func(r *rule) bool { return r.fault == f })
		if in == slices.Contains(notMixed, f.name) {
			t.Errorf("mixed has %s: %t; want %t", f.name, in, !in)
		}
	}
}

// newTokenForTest answers a challenge.
func (s *Server) newTokenForTest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newToken(AudienceCommercial, false, true)
}

func TestParseFaultsRefuses(t *testing.T) {
	for _, test := range []struct{ spec, want string }{
		{"flood", `fault "flood": "flood" is not known`},
		{"500-before=5%,flood=5%", `fault "flood=5%"`},
		{"portal/500-before", `"portal" is no kind of call; known are offboard cancel`},
		{"500-before=101%", `"101%" is not a share`},
		{"500-before=-1", `neither a share`},
		{"500-before=often", `"often" is neither a share`},
		{"500-before=NaN%", `is not a share`},
		{"500-before@0", `"0" is not the number of a call`},
		{"500-before@x", `"x" is not the number of a call`},
		{"slow=5%:later", `"later" is not a duration`},
		{"slow=-5s", `neither a share`},
		{"seed=x", `"x" is not a number`},
	} {
		if _, err := ParseFaults(test.spec); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseFaults(%s) = %v; want an error with %q", test.spec, err, test.want)
		}
	}
	if f, err := ParseFaults(" , 408 ,, "); err != nil || len(f.rules) != 1 {
		t.Errorf("ParseFaults with empty items = %d rules, %v; want 1", len(f.rules), err)
	}
}

// What is accepted keeps within its bounds, and an error names the item.
func FuzzParseFaults(f *testing.F) {
	for _, spec := range []string{"mixed=5%,seed=3", "cancel/lost-after@3:5s", "effect-late=59s", "x", "a/b/c", "408=", "@", "=%", ":"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		faults, err := ParseFaults(spec)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fault ") {
				t.Errorf("ParseFaults(%q) = %v; want the item named", spec, err)
			}
			return
		}
		for _, r := range faults.rules {
			if r.share < 0 || r.share > 1 || r.count < 0 || r.at < 0 || r.param < 0 || r.fault == nil || r.kind == "" {
				t.Errorf("ParseFaults(%q) has the rule %s", spec, fmt.Sprintf("%+v", *r))
			}
		}
	})
}
