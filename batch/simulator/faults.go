package simulator

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults is a parsed fault specification.
type Faults struct {
	rules  []*rule
	seed   int64
	seeded bool
}

// rule is one item of a specification: which fault, of which kind of call, and when.
type rule struct {
	fault  *fault
	kind   string
	share  float64       // of the calls
	count  int           // the first calls
	at     int           // the call of that number
	always bool          // every call
	param  time.Duration // what the fault does with it is the fault's own
}

// ParseFaults reads a specification: items separated by commas, each
//
//	[KIND/]NAME[=5% | =3 | @17][:DURATION]
//
// that is, a share of the calls (seeded), the first so many, or exactly the call of that number; a bare
// name is every call. KIND is the kind of call, offboard when it is left out. The duration replaces the
// fault's own, and NAME=DURATION is every call with that duration. mixed=5% is each transient fault at
// that share, mixed-quick=5% each of those after which a client need not wait long, and seed=7 replaces
// Options.Seed. For faults that last (403-all, 401-all), @17 is the first call that they meet.
// FaultNames lists the names.
func ParseFaults(spec string) (Faults, error) {
	var f Faults
	for _, item := range strings.Split(spec, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if err := f.add(item); err != nil {
			return Faults{}, fmt.Errorf("fault %q: %w", item, err)
		}
	}
	return f, nil
}

func (f *Faults) add(item string) error {
	if text, ok := strings.CutPrefix(item, "seed="); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		f.seed, f.seeded = n, true
		return nil
	}
	var r rule
	rest := item
	if kind, tail, ok := strings.Cut(item, "/"); ok {
		if !slices.Contains(faultKinds, kind) {
			return fmt.Errorf("%q is no kind of call; known are %s", kind, strings.Join(faultKinds, " "))
		}
		r.kind, rest = kind, tail
	}
	name, err := r.parseWhen(rest)
	if err != nil {
		return err
	}
	if quick := name == groupQuick; quick || name == groupMixed {
		f.addGroup(r, quick)
		return nil
	}
	r.fault = faultNamed(name)
	if r.fault == nil {
		return fmt.Errorf("%q is not known", name)
	}
	f.rules = append(f.rules, r.complete())
	return nil
}

func (f *Faults) addGroup(r rule, quick bool) {
	for i := range faultTable {
		if table := &faultTable[i]; table.mixes == mixesQuickly || table.mixes == mixes && !quick {
			one := r
			one.fault = table
			f.rules = append(f.rules, one.complete())
		}
	}
}

// complete fills in what the item left out.
func (r rule) complete() *rule {
	set(&r.kind, r.kind == "", r.fault.kind)
	set(&r.kind, r.kind == "", KindOffboard)
	set(&r.param, r.param == 0, r.fault.param)
	return &r
}

// parseWhen reads all behind the kind and returns the name.
func (r *rule) parseWhen(text string) (string, error) {
	head, duration, ok := strings.Cut(text, ":")
	if ok {
		if err := r.parseDuration(duration); err != nil {
			return "", err
		}
	}
	if name, number, ok := strings.Cut(head, "@"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return "", fmt.Errorf("%q is not the number of a call, from 1", number)
		}
		r.at = n
		return name, nil
	}
	name, when, ok := strings.Cut(head, "=")
	if !ok {
		r.always = true
		return name, nil
	}
	return name, r.parseShare(when)
}

func (r *rule) parseShare(when string) error {
	if percent, ok := strings.CutSuffix(when, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || math.IsNaN(p) || p < 0 || p > 100 {
			return fmt.Errorf("%q is not a share from 0%% to 100%%", when)
		}
		r.share = p / 100
		return nil
	}
	if n, err := strconv.Atoi(when); err == nil && n >= 0 {
		r.count = n
		return nil
	}
	if r.parseDuration(when) != nil {
		return fmt.Errorf("%q is neither a share (5%%) nor a count (3) nor a duration (59s)", when)
	}
	r.always = true
	return nil
}

func (r *rule) parseDuration(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration (59s)", text)
	}
	r.param = d
	return nil
}

// FaultNames are the names that ParseFaults knows, groups included.
func FaultNames() []string {
	names := []string{groupMixed, groupQuick, "seed"}
	for _, f := range faultTable {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names
}

func faultNamed(name string) *fault {
	for i := range faultTable {
		if faultTable[i].name == name {
			return &faultTable[i]
		}
	}
	return nil
}

// drawFault finds the rule that a call meets, nil if none. Certain ones come before drawn ones; of
// several that were drawn, one is drawn.
func (s *Server) drawFault(c *call) *rule {
	var drawn []*rule
	for _, r := range s.faults.rules {
		lucky := r.share > 0 && c.draw.Float64() < r.share
		if r.kind != c.kind || r.fault.play == nil || r.fault.applies != nil && !r.fault.applies(s, c, r) {
			continue
		}
		if r.certain(s, c) {
			return s.playing(r)
		}
		if lucky && !r.fault.byDevice {
			drawn = append(drawn, r)
		}
	}
	if len(drawn) == 0 {
		return nil
	}
	return s.playing(drawn[c.draw.IntN(len(drawn))])
}

// certain says whether a rule is met without a draw.
func (r *rule) certain(s *Server, c *call) bool {
	switch {
	case r.at > 0 && r.fault.lasts:
		return c.number >= r.at
	case r.at > 0:
		return c.number == r.at
	case r.count > 0:
		return s.played[r] < r.count
	case r.fault.byDevice && r.share > 0:
		return s.rand(r.fault.name, strings.ToLower(c.id), 0).Float64() < r.share
	}
	return r.always
}

func (s *Server) playing(r *rule) *rule {
	s.played[r]++
	s.books.faults[r.fault.name]++
	return r
}
