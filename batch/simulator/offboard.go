package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// offboard answers POST /api/machines/{id}/offboard. It checks what was asked, then who is meant,
// then what is already under way, and only then does it make an action.
func (s *Server) offboard(c *call) answer {
	comment, bad := readComment(c, s.opts.MaxComment)
	if bad != nil {
		return *bad
	}
	if !isDeviceID(c.id) {
		return refuse(http.StatusBadRequest, "InvalidInput", "The machine id is not 40 hexadecimal characters", "id")
	}
	id := strings.ToLower(c.id)
	magic := magicOf(id)
	if magic.fault != nil {
		return magic.fault(s, c)
	}
	m := s.machine(id)
	if m == nil || m.MergedIntoMachineID != "" {
		return refuse(http.StatusNotFound, "ResourceNotFound", "Machine "+id+" was not found", s.target(c))
	}
	if !strings.HasPrefix(m.OSPlatform, "Windows") {
		return refuse(http.StatusBadRequest, "OsPlatformNotSupported", "Offboarding is not supported on "+m.OSPlatform, s.target(c))
	}
	if m.OnboardingStatus != "Onboarded" {
		return refuse(http.StatusBadRequest, "InvalidInput", "Machine "+id+" is not onboarded", s.target(c))
	}
	if len(s.actionsOf[id]) == 0 {
		s.magicPast(id)
	}
	return s.makeOffboard(c, m, comment)
}

// makeOffboard makes the action, or answers as Options.Repeat says while another one is open.
func (s *Server) makeOffboard(c *call, m *Machine, comment string) answer {
	open := s.openAction(m.ID, c.at)
	if open != nil && s.opts.Repeat == RepeatRefuse {
		return refuse(http.StatusBadRequest, "ActiveRequestAlreadyExists", "Action is already in progress", s.target(c))
	}
	if open != nil && s.opts.Repeat == RepeatExisting {
		return s.sendAction(c, s.success(c), open)
	}
	a := s.addAction(Action{MachineID: m.ID, ComputerDNSName: m.ComputerDNSName, Requestor: c.requestor, Comment: comment, Created: c.at})
	a.visible = c.at.Add(s.lag(c))
	s.books.made(m.ID, a.ID, open != nil)
	if s.opts.Echo == EchoNever || s.opts.Echo == EchoMixed && c.draw.IntN(10) == 0 {
		bare := *a
		bare.MachineID, bare.ComputerDNSName = "", ""
		return s.sendAction(c, s.success(c), &bare)
	}
	return s.sendAction(c, s.success(c), a)
}

func (s *Server) success(c *call) int {
	if s.opts.Success != 0 {
		return s.opts.Success
	}
	return []int{http.StatusOK, http.StatusCreated}[c.draw.IntN(2)]
}

// lag is the time for which a fresh action can not be read.
func (s *Server) lag(c *call) time.Duration {
	for _, r := range s.faults.rules {
		if r.fault.name == faultLag && (r.certain(s, c) || r.share > c.draw.Float64()) {
			return s.playing(r).param
		}
	}
	return s.opts.Lag
}

// readComment reads the body of a call that needs a comment, as strictly as the documentation allows:
// JSON, the name Comment in exactly that spelling, and nothing else.
func readComment(c *call, longest int) (string, *answer) {
	bad := func(code, message, target string) (string, *answer) {
		a := refuse(http.StatusBadRequest, code, message, target)
		return "", &a
	}
	if a, wrong := refuseQuery(c); wrong {
		return "", &a
	}
	if kind, _, err := mime.ParseMediaType(c.header.Get("Content-Type")); err != nil || kind != "application/json" {
		return bad("InvalidRequestBody", "The content type is not application/json", "Content-Type")
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(c.body, &body); err != nil || body == nil {
		return bad("InvalidRequestBody", "Request body is incorrect", "body")
	}
	raw, ok := body["Comment"]
	if !ok {
		return bad("MissingRequiredParameter", "Comment is required", "Comment")
	}
	if len(body) > 1 {
		return bad("InvalidRequestBody", "The body holds a property that is not known", "body")
	}
	var comment string
	if err := json.Unmarshal(raw, &comment); err != nil || bytes.Equal(raw, []byte("null")) {
		return bad("InvalidRequestBody", "Comment is not a string", "Comment")
	}
	if strings.TrimSpace(comment) == "" {
		return bad("InvalidInput", "Comment is blank", "Comment")
	}
	if utf8.RuneCountInString(comment) > longest {
		return bad("InvalidInput", fmt.Sprintf("Comment is longer than %d characters", longest), "Comment")
	}
	return comment, nil
}

func isDeviceID(id string) bool {
	if len(id) != 40 {
		return false
	}
	for _, r := range id {
		if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}
