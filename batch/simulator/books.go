package simulator

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Books are what the server saw, for a judge. They marshal to JSON and are served at /simulator/books.
type Books struct {
	Simulated bool      `json:"simulated"` // always true
	Now       time.Time `json:"now"`       // by the server's clock
	First     time.Time `json:"first"`     // first and last arrival at the API
	Last      time.Time `json:"last"`

	PerMinute int           `json:"perMinute"`
	PerHour   int           `json:"perHour"`
	Minute    time.Duration `json:"minute"` // in nanoseconds
	Hour      time.Duration `json:"hour"`

	Calls   map[string]*KindBook   `json:"calls"`   // by kind; the kind "all" is all calls of the API together
	Devices map[string]*DeviceBook `json:"devices"` // by device id in lower case
	Doubled []string               `json:"doubled"` // devices with more than one action made by calls, or one made beside an open one
	Faults  map[string]int         `json:"faults"`  // how often each was played

	Throttled   int      `json:"throttled"`   // answers of 429
	DuringHold  int      `json:"duringHold"`  // calls that arrived while a hold was on, those under way when it began included
	LateEffects int      `json:"lateEffects"` // effects that are still to come
	Tokens      int      `json:"tokens"`      // tokens that were issued
	Foreign     []string `json:"foreign"`     // requests that arrived at another host
	Leaked      int      `json:"leaked"`      // those among them that carried a token

	arrivals map[string][]time.Time
}

// KindBook is what is known of one kind of call.
type KindBook struct {
	Calls         int            `json:"calls"`
	ByStatus      map[string]int `json:"byStatus"`      // "lost" and "hang" for answers that were not given
	DensestMinute int            `json:"densestMinute"` // most arrivals in any sliding window of that length
	DensestHour   int            `json:"densestHour"`
}

// DeviceBook is what is known of one device.
type DeviceBook struct {
	Posts       int      `json:"posts"`       // offboard calls that arrived
	Actions     []string `json:"actions"`     // ids of the actions that they made
	MaxInFlight int      `json:"maxInFlight"` // most offboard calls at once, from arrival to the end of the answer
	Cancelled   int      `json:"cancelled"`
	Comments    []string `json:"comments,omitempty"` // of the calls that cancelled them
	Beside      int      `json:"beside"`             // actions that were made while another one was open

	inFlight int
}

// Arrivals are the moments at which the calls of a kind arrived, in order; those of all for "all".
// They are not part of the JSON.
func (b Books) Arrivals(kind string) []time.Time { return b.arrivals[kind] }

// Actions is the number of actions that calls have made.
func (b Books) Actions() int {
	n := 0
	for _, d := range b.Devices {
		n += len(d.Actions)
	}
	return n
}

// books is the running account behind Books.
type books struct {
	kinds       map[string]*KindBook
	devices     map[string]*DeviceBook
	faults      map[string]int
	attempts    map[string]int // cancel and read calls by kind and id
	throttled   int
	duringHold  int
	lateEffects int
	tokens      int
	foreign     []string
	leaked      int
}

func newBooks() books {
	return books{kinds: map[string]*KindBook{}, devices: map[string]*DeviceBook{}, faults: map[string]int{}, attempts: map[string]int{}}
}

func (b *books) kind(name string) *KindBook {
	k, ok := b.kinds[name]
	if !ok {
		k = &KindBook{ByStatus: map[string]int{}}
		b.kinds[name] = k
	}
	return k
}

func (b *books) device(id string) *DeviceBook {
	d, ok := b.devices[id]
	if !ok {
		d = &DeviceBook{Actions: []string{}}
		b.devices[id] = d
	}
	return d
}

// arrive numbers a call and opens it; the function that it returns closes it, once.
func (b *books) arrive(c *call) func() {
	k := b.kind(c.kind)
	k.Calls++
	c.number = k.Calls
	if c.kind != KindOffboard {
		key := c.kind + " " + c.id
		b.attempts[key]++
		c.attempt = b.attempts[key]
		return func() {}
	}
	d := b.device(strings.ToLower(c.id))
	d.Posts++
	c.attempt = d.Posts
	d.inFlight++
	d.MaxInFlight = max(d.MaxInFlight, d.inFlight)
	return func() { d.inFlight-- }
}

func (b *books) answered(c *call, a answer) {
	word := strconv.Itoa(a.status)
	switch a.how {
	case lost, refused, goAway:
		word = "lost"
	case hang:
		word = "hang"
	}
	b.kind(c.kind).ByStatus[word]++
	if word == "429" {
		b.throttled++
	}
}

func (b *books) made(device, action string, beside bool) {
	d := b.device(device)
	d.Actions = append(d.Actions, action)
	if beside {
		d.Beside++
	}
}

// Books is a copy of the books as they stand.
func (s *Server) Books() Books {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot()
}

func (s *Server) snapshot() Books {
	b := Books{
		Simulated: true, Now: s.now(), PerMinute: s.opts.PerMinute, PerHour: s.opts.PerHour, Minute: s.opts.Minute, Hour: s.opts.Hour,
		Calls: map[string]*KindBook{}, Devices: make(map[string]*DeviceBook, len(s.books.devices)), Doubled: []string{},
		Faults: map[string]int{}, Throttled: s.books.throttled, DuringHold: s.books.duringHold, LateEffects: s.books.lateEffects,
		Tokens: s.books.tokens, Foreign: append([]string{}, s.books.foreign...), Leaked: s.books.leaked, arrivals: map[string][]time.Time{},
	}
	for name, k := range s.books.kinds {
		copied := KindBook{Calls: k.Calls, ByStatus: map[string]int{}}
		for status, n := range k.ByStatus {
			copied.ByStatus[status] = n
		}
		b.Calls[name] = &copied
	}
	for name, m := range s.meters {
		if b.Calls[name] == nil {
			b.Calls[name] = &KindBook{Calls: len(m.arrivals), ByStatus: map[string]int{}}
		}
		b.Calls[name].DensestMinute, b.Calls[name].DensestHour = m.windows[0].densest, m.windows[1].densest
		b.arrivals[name] = slices.Clip(m.arrivals) // append-only: what is there never changes
	}
	if all := b.arrivals[allCalls]; len(all) > 0 {
		b.First, b.Last = all[0], all[len(all)-1]
	}
	for name, n := range s.books.faults {
		b.Faults[name] = n
	}
	for id, d := range s.books.devices {
		copied := *d
		copied.Actions = slices.Clone(d.Actions)
		b.Devices[id] = &copied
		if len(d.Actions) > 1 || d.Beside > 0 {
			b.Doubled = append(b.Doubled, id)
		}
	}
	slices.Sort(b.Doubled)
	return b
}
