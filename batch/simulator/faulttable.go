package simulator

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	groupMixed = "mixed"
	groupQuick = "mixed-quick"
	faultLate  = "effect-late"
	faultLag   = "lag"
)

// faultKinds are the kinds of calls that a specification may name.
var faultKinds = []string{KindOffboard, KindCancel, KindActions, KindAction, KindMachines, KindMachine, KindToken}

// mixing says which group a fault belongs to.
type mixing int

const (
	alone        mixing = iota // stops a batch, or needs a duration that fits: never in a group
	mixes                      // transient, but a client has to wait
	mixesQuickly               // transient
)

// fault is one thing that can go wrong. When effect is set the call has its effect, and play gets the
// honest answer to spoil; else nothing happens.
type fault struct {
	name     string
	kind     string // of call, where the specification names none; empty: offboard
	effect   bool
	mixes    mixing
	param    time.Duration
	lasts    bool // @n is the first call that it meets
	byDevice bool // a share is one of devices
	applies  func(s *Server, c *call, r *rule) bool
	play     func(s *Server, c *call, r *rule, honest answer) answer
}

type player = func(s *Server, c *call, r *rule, honest answer) answer

// faultTable are all faults, in pairs "nothing happened" and "it happened" where that has sense.
// It is filled in by init because its entries refer to functions that refer to it.
var faultTable []fault

func init() {
	faultTable = []fault{
		{name: "lost-before", mixes: mixesQuickly, play: travels(lost)},
		{name: "lost-after", effect: true, mixes: mixesQuickly, play: travels(lost)},
		{name: "500-before", mixes: mixesQuickly, play: defenders(500, "InternalServerError", "Internal server error")},
		{name: "500-after", effect: true, mixes: mixesQuickly, play: defenders(500, "InternalServerError", "Internal server error")},
		{name: "502-html-before", mixes: mixesQuickly, play: page(502, "502 Bad Gateway")},
		{name: "502-html-after", effect: true, mixes: mixesQuickly, play: page(502, "502 Bad Gateway")},
		{name: "proxy-403", mixes: mixes, play: page(403, "Access denied by policy")},
		{name: "proxy-404", mixes: mixes, play: page(404, "No such host")},
		{name: "proxy-407", mixes: mixes, play: playProxy407},
		{name: "408", mixes: mixes, play: page(408, "Request timeout")},
		{name: "413", mixes: mixes, play: page(413, "Request entity too large")},
		{name: "503-retry-after", mixes: mixes, param: 5 * time.Second, play: play503},
		{name: "503-retry-after-after", effect: true, mixes: mixes, param: 5 * time.Second, play: play503},
		{name: "h2-refused", mixes: mixesQuickly, play: travels(refused)},
		{name: "h2-refused-after", effect: true, mixes: mixesQuickly, play: travels(refused)},
		{name: "h2-goaway", mixes: mixesQuickly, play: travels(goAway)},
		{name: "h2-goaway-after", effect: true, mixes: mixesQuickly, play: travels(goAway)},
		{name: "cut", effect: true, mixes: mixesQuickly, play: travels(cut)},
		{name: "empty", effect: true, mixes: mixesQuickly, play: playEmpty},
		{name: "empty-before", mixes: mixesQuickly, play: playEmpty},
		{name: "notjson", effect: true, mixes: mixesQuickly, play: page(200, "Welcome to the guest network")},
		{name: "notjson-before", mixes: mixesQuickly, play: page(200, "Welcome to the guest network")},
		{name: "noid", effect: true, mixes: mixesQuickly, play: playNoID},
		{name: "otherdevice", effect: true, play: playOtherDevice},
		{name: "hang-before", mixes: mixes, play: travels(hang)},
		{name: "hang-after", effect: true, mixes: mixes, play: travels(hang)},
		{name: "slow", effect: true, mixes: mixes, param: 20 * time.Second, play: playSlow},
		{name: "429-seconds", mixes: mixes, param: 10 * time.Second, play: play429(ThrottleSeconds)},
		{name: "429-date", mixes: mixes, param: 10 * time.Second, play: play429(ThrottleDate)},
		{name: "429-message", mixes: mixes, param: 10 * time.Second, play: play429(ThrottleMessage)},
		{name: "429-window", mixes: mixes, param: 10 * time.Second, play: play429(ThrottleWindow)},
		{name: "429-none", mixes: mixes, param: 10 * time.Second, play: play429(ThrottleNone)},
		{name: "401", mixes: mixesQuickly, applies: tokenWasUsed, play: play401},
		{name: "401-all", lasts: true, play: func(s *Server, c *call, _ *rule, _ answer) answer { return unauthorized() }},
		{name: "401-cae", mixes: mixesQuickly, applies: tokenWasUsed, play: play401CAE},
		{name: "403-device", byDevice: true, play: defenders(403, "Forbidden", "The caller has no access to the device's group")},
		{name: "403-all", lasts: true, play: defenders(403, "Forbidden", "The application was disabled")},
		{name: "404-once", mixes: mixesQuickly, applies: firstTime, play: play404Once},
		{name: "redirect", mixes: mixes, play: playRedirect},
		{name: "final-first", kind: KindCancel, play: playFinalFirst},
		{name: faultLate, param: 59 * time.Second, play: travels(lost)},
		{name: faultLag, param: 110 * time.Second},
	}
}

// travels changes how the answer travels.
func travels(how delivery) player {
	return func(_ *Server, _ *call, _ *rule, honest answer) answer {
		honest.how = how
		return honest
	}
}

// defenders answers with Defender's own error.
func defenders(status int, code, message string) player {
	return func(s *Server, c *call, _ *rule, _ answer) answer {
		return refuse(status, code, message, s.target(c))
	}
}

// page answers with a page of somebody else.
func page(status int, text string) player {
	return func(*Server, *call, *rule, answer) answer { return html(status, text) }
}

func playProxy407(*Server, *call, *rule, answer) answer {
	a := html(http.StatusProxyAuthRequired, "Proxy authentication required")
	a.header.Set("Proxy-Authenticate", `Basic realm="proxy"`)
	return a
}

func play503(_ *Server, _ *call, r *rule, _ answer) answer {
	a := refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "The service is unavailable", "")
	a.header.Set("Retry-After", strconv.Itoa(int((r.param+time.Second-1)/time.Second)))
	return a
}

func playEmpty(s *Server, c *call, _ *rule, honest answer) answer {
	if honest.status == 0 {
		honest = bare(s.success(c))
	}
	honest.body = nil
	return honest
}

// playNoID takes the id of the action out of the answer; the machine's stays.
func playNoID(_ *Server, _ *call, _ *rule, honest answer) answer {
	if i := bytes.Index(honest.body, []byte(`"id":"`)); i >= 0 && honest.status < 300 {
		end := i + bytes.Index(honest.body[i:], []byte(`,`)) + 1
		honest.body = append(append([]byte{}, honest.body[:i]...), honest.body[end:]...)
	}
	return honest
}

// playOtherDevice answers with the first digit of the device's id changed.
func playOtherDevice(_ *Server, c *call, _ *rule, honest answer) answer {
	id := strings.ToLower(c.id)
	other := "0"
	if strings.HasPrefix(id, "0") {
		other = "1"
	}
	if id != "" {
		honest.body = bytes.ReplaceAll(honest.body, []byte(`"machineId":"`+id), []byte(`"machineId":"`+other+id[1:]))
		honest.body = bytes.ReplaceAll(honest.body, []byte(`"machineId":null`), []byte(`"machineId":"`+other+id[1:]+`"`))
	}
	return honest
}

func playSlow(_ *Server, _ *call, r *rule, honest answer) answer {
	honest.how, honest.over = slow, r.param
	return honest
}

func play429(style string) player {
	return func(s *Server, c *call, r *rule, _ answer) answer { return s.hold(c, style, r.param) }
}

// tokenWasUsed keeps the revoking faults from a fresh token, with which no call was answered without a
// fault yet: its refusal would rightly end a batch. That is what 401-all is for.
func tokenWasUsed(s *Server, c *call, _ *rule) bool {
	t := s.authority.tokens[bearer(c)]
	return t != nil && t.used && !s.revoked(t)
}

func play401(s *Server, _ *call, _ *rule, _ answer) answer {
	s.revoke()
	return unauthorized()
}

func play401CAE(s *Server, c *call, _ *rule, _ answer) answer {
	s.revokeCAE()
	return s.challenge()
}

func firstTime(s *Server, c *call, _ *rule) bool { return !s.once[strings.ToLower(c.id)] }

func play404Once(s *Server, c *call, _ *rule, _ answer) answer {
	s.once[strings.ToLower(c.id)] = true
	return refuse(http.StatusNotFound, "ResourceNotFound", "Machine "+c.id+" was not found", s.target(c))
}

func playRedirect(s *Server, c *call, _ *rule, _ answer) answer {
	a := bare(http.StatusTemporaryRedirect)
	to := s.opts.RedirectTo
	if to == "" {
		to = s.foreignURL()
	}
	a.header.Set("Location", strings.TrimSuffix(to, "/")+c.path)
	return a
}

// playFinalFirst loses a race: the action became final a moment before the cancel call.
func playFinalFirst(s *Server, c *call, _ *rule, _ answer) answer {
	if a := s.actionByID[strings.ToLower(c.id)]; a != nil && a.open(&s.opts, c.at) {
		a.fixed, a.fixedAt = Succeeded, c.at
	}
	return s.reply(c)
}
