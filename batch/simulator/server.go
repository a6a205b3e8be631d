package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The kinds of calls, as faults, books and quotas name them.
const (
	KindOffboard = "offboard" // POST /api/machines/{id}/offboard
	KindCancel   = "cancel"   // POST /api/machineactions/{id}/cancel
	KindActions  = "actions"  // GET /api/machineactions
	KindAction   = "action"   // GET /api/machineactions/{id}
	KindMachines = "machines" // GET /api/machines
	KindMachine  = "machine"  // GET /api/machines/{id}
	KindToken    = "token"    // POST to the authority for a token or a device code: no quota
	KindOther    = "other"    // what the API does not know: counted, and refused

	allCalls     = "all"       // the quota key that all calls of the API share
	kindBooks    = "books"     // this server's own page
	kindDiscover = "discovery" // the authority's own description
)

// Server is a Defender, its OAuth authority and the books of both. It is an http.Handler, a transport
// (Transport) and a network server (Listen); all three may be in use at once.
type Server struct {
	opts    Options // complete, and never changed
	network         // listeners and certificates

	mu         sync.Mutex // guards all that follows; nothing waits under it
	machines   map[string]*Machine
	inventory  []*Machine // in the order in which they came
	actions    []*action  // in the order of creation
	actionByID map[string]*action
	actionsOf  map[string][]*action
	meters     map[string]*meter
	faults     Faults
	played     map[*rule]int
	once       map[string]bool // devices that had their one 404
	books      books
	authority  authority
	latency    *rand.Rand
	late       map[*time.Timer]struct{} // effects that are still to come
	down       bool
}

// New makes a server of the given options.
func New(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	faults, err := ParseFaults(o.Faults)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	if faults.seeded {
		o.Seed = faults.seed
	}
	s := &Server{
		opts: o, faults: faults,
		machines: map[string]*Machine{}, actionByID: map[string]*action{}, actionsOf: map[string][]*action{},
		meters: map[string]*meter{}, played: map[*rule]int{}, once: map[string]bool{}, late: map[*time.Timer]struct{}{},
		books: newBooks(), authority: newAuthority(),
	}
	s.latency = s.rand("latency", "", 0)
	for _, m := range o.Machines {
		s.setMachine(m)
	}
	return s, nil
}

func (s *Server) now() time.Time { return s.opts.Now() }

// rand is a source of its own for one question, so that an answer does not depend on the order in
// which concurrent calls arrive.
func (s *Server) rand(about, id string, n int) *rand.Rand {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %d", s.opts.Seed, about, id, n))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])))
}

// guid is a made-up id that the seed determines.
func (s *Server) guid(about string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", s.opts.Seed, about, n))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// delay draws the time that a call or an answer travels.
func (s *Server) delay() time.Duration {
	if s.opts.LatencyMax == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.LatencyMin + time.Duration(s.latency.Int64N(int64(s.opts.LatencyMax-s.opts.LatencyMin)+1))
}

// call is one HTTP request that has arrived.
type call struct {
	method    string
	path      string
	query     url.Values
	queryErr  error
	header    http.Header
	body      []byte
	base      string    // scheme and host, for links
	at        time.Time // arrival, by the server's clock
	kind, id  string
	number    int // of this kind, from 1
	attempt   int // for this device and kind, from 1
	requestor string
	token     *token
	draw      *rand.Rand
}

// newCall copies what it needs of r: in process the caller may give up and go on using it.
func newCall(r *http.Request, base string, body []byte) *call {
	query, err := url.ParseQuery(r.URL.RawQuery)
	return &call{method: r.Method, path: r.URL.Path, query: query, queryErr: err, header: r.Header.Clone(), body: body, base: base}
}

func (c *call) context(what string) string { return c.base + "/api/$metadata#" + what }

// target is what Microsoft's support would ask for.
func (s *Server) target(c *call) string { return s.guid("target "+c.kind+c.id, c.number) }

// route finds the kind of a call and the id in its path.
func route(path string) (kind, id string) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	switch {
	case path == "/simulator/books":
		return kindBooks, ""
	case at(0) != "api":
		return authorityRoute(parts), at(0)
	case at(1) == "machines" && len(parts) == 2:
		return KindMachines, ""
	case at(1) == "machines" && len(parts) == 3:
		return KindMachine, at(2)
	case at(1) == "machines" && len(parts) == 4 && at(3) == "offboard":
		return KindOffboard, at(2)
	case at(1) == "machineactions" && len(parts) == 2:
		return KindActions, ""
	case at(1) == "machineactions" && len(parts) == 3:
		return KindAction, at(2)
	case at(1) == "machineactions" && len(parts) == 4 && at(3) == "cancel":
		return KindCancel, at(2)
	}
	return KindOther, ""
}

// serve is the arrival of a call: the moment at which it counts and has its effect. It never waits.
func (s *Server) serve(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.at = s.now()
	c.kind, c.id = route(c.path)
	var a answer
	switch c.kind {
	case kindBooks:
		a = jsonAnswer(http.StatusOK, s.snapshot())
	case kindDiscover:
		a = s.discover(c)
	default:
		a = s.arrive(c)
	}
	s.sign(c, &a)
	return a
}

// arrive books a call, draws its fault, and answers it.
func (s *Server) arrive(c *call) answer {
	end := s.books.arrive(c)
	c.draw = s.rand("call "+c.kind, strings.ToLower(c.id), c.attempt)
	a, end := s.judge(c, end)
	s.books.answered(c, a)
	a.end = end
	return a
}

// judge puts the quota before the faults and the faults before the answer.
func (s *Server) judge(c *call, end func()) (answer, func()) {
	if c.kind != KindToken {
		s.meter(allCalls).arrive(c.at)
		s.meter(c.kind).arrive(c.at)
		if a, over := s.throttle(c); over {
			return a, end
		}
	}
	r := s.drawFault(c)
	switch {
	case r == nil:
		a := s.reply(c)
		if c.token != nil {
			c.token.used = true
		}
		return a, end
	case r.fault.name == faultLate:
		s.effectLater(c, r.param, end)
		return answer{how: lost}, func() {}
	case r.fault.effect:
		return r.fault.play(s, c, r, s.reply(c)), end
	default:
		return r.fault.play(s, c, r, answer{}), end
	}
}

// effectLater lets a call have its effect after its connection was lost. Until then it is in flight.
func (s *Server) effectLater(c *call, wait time.Duration, end func()) {
	s.books.lateEffects++
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.late, timer)
		s.books.lateEffects--
		c.at = s.now()
		s.reply(c)
		end()
	})
	s.late[timer] = struct{}{}
}

// reply is the honest answer.
func (s *Server) reply(c *call) answer {
	if c.kind == KindToken {
		return s.issue(c)
	}
	if a, ok := s.authorize(c); !ok {
		return a
	}
	if c.queryErr != nil {
		return refuse(http.StatusBadRequest, "BadRequest", "The query string can not be read", "query")
	}
	want := http.MethodGet
	if c.kind == KindOffboard || c.kind == KindCancel {
		want = http.MethodPost
	}
	if c.method != want && c.kind != KindOther {
		return refuse(http.StatusBadRequest, "BadRequest", "The method "+c.method+" is not allowed here", "method")
	}
	switch c.kind {
	case KindOffboard:
		return s.offboard(c)
	case KindCancel:
		return s.cancelAction(c)
	case KindActions:
		return s.listActions(c)
	case KindAction:
		return s.getAction(c)
	case KindMachines:
		return s.listMachines(c)
	case KindMachine:
		return s.getMachine(c)
	}
	return refuse(http.StatusNotFound, "NotFound", "There is nothing at "+c.path, "")
}

// sign adds the headers that every answer has.
func (s *Server) sign(c *call, a *answer) {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(SimulatedHeader, "1")
	a.header.Set("Date", c.at.UTC().Format(http.TimeFormat))
	a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	if c.draw == nil {
		return
	}
	a.header.Set("request-id", s.guid("request "+c.kind, c.number))
	a.header.Set("mise-correlation-id", s.guid("correlation "+c.kind, c.number))
	if id := c.header.Get("x-ms-client-request-id"); id != "" {
		a.header.Set("client-request-id", id)
	}
}
