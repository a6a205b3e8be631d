package simulator

import (
	"net/http"
	"strings"
	"time"
)

// magic is what a device id with a known beginning does; the package comment has the table.
type magic struct {
	prefix  string
	does    string // in words
	unknown bool   // no such device
	offline bool   // its actions stay Pending for ever
	outcome string // the final status of its actions
	fault   func(s *Server, c *call) answer
	past    *Action // an action that was there before the first call
	age     time.Duration
}

var magics = []magic{
	{prefix: "dead0400", does: "400 OsPlatformNotSupported", fault: refuses(http.StatusBadRequest, "OsPlatformNotSupported", "Operating system is not supported for this action")},
	{prefix: "dead0426", does: "400 ClientVersionNotSupported", fault: refuses(http.StatusBadRequest, "ClientVersionNotSupported", "Client version is not supported for this action")},
	{prefix: "dead0403", does: "403 Forbidden, for this device alone", fault: refuses(http.StatusForbidden, "Forbidden", "The caller has no access to the device's group")},
	{prefix: "dead0404", does: "404 ResourceNotFound for good", unknown: true, fault: refuses(http.StatusNotFound, "ResourceNotFound", "Machine was not found")},
	{prefix: "dead0409", does: "an Offboard action of another administrator is open", offline: true,
		past: &Action{Type: "Offboard", Comment: "Retired by the other team"}, age: 26 * time.Hour},
	{prefix: "dead0410", does: "an Isolate action of another administrator is open", offline: true,
		past: &Action{Type: "Isolate", Comment: "Suspicious sign-in"}, age: 2 * time.Hour},
	{prefix: "dead0208", does: "an Offboard action succeeded 30 days ago",
		past: &Action{Type: "Offboard", Status: Succeeded, Comment: "Retired last month"}, age: 30 * 24 * time.Hour},
	{prefix: "dead0500", does: "500 InternalServerError each time, and nothing happens", fault: refuses(http.StatusInternalServerError, "InternalServerError", "Internal server error")},
	{prefix: "dead0502", does: "the connection is lost each time, and nothing happens", fault: func(*Server, *call) answer { return answer{how: lost} }},
	{prefix: "deadfa11", does: "the action ends Failed", outcome: Failed},
	{prefix: "dead713e", does: "the action ends TimeOut", outcome: TimeOut},
	{prefix: "deadca11", does: "the action is cancelled by somebody else", outcome: Cancelled},
	{prefix: "dead0ff1", does: "the device is never online again: the action stays Pending", offline: true},
}

func refuses(status int, code, message string) func(*Server, *call) answer {
	return func(s *Server, c *call) answer { return refuse(status, code, message, s.target(c)) }
}

// magicOf is what the device id stands for; the zero magic if for nothing.
func magicOf(id string) magic {
	if strings.HasPrefix(id, "dead") {
		for _, m := range magics {
			if strings.HasPrefix(id, m.prefix) {
				return m
			}
		}
	}
	return magic{}
}

// MagicIDs says in words what device ids with a known beginning do, by that beginning.
func MagicIDs() map[string]string {
	words := make(map[string]string, len(magics))
	for _, m := range magics {
		words[m.prefix] = m.does
	}
	return words
}

// magicPast makes the action that a magic device had before anybody called.
func (s *Server) magicPast(id string) {
	past := magicOf(id)
	if past.past == nil || len(s.actionsOf[id]) > 0 {
		return
	}
	a := *past.past
	a.MachineID, a.Created = id, s.now().Add(-past.age)
	if m := s.machine(id); m != nil {
		a.ComputerDNSName = m.ComputerDNSName
	}
	s.addAction(a)
}
