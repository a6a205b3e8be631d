package defender

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// known are the codes that say something about a device, by status. They are
// compared without regard to case. A 4xx of Defender's with a code that is not
// here is an outage: what nobody has described marks no device.
var known = map[int]map[string]Class{
	http.StatusBadRequest: {
		"badrequest":                 Refused,
		"odataerror":                 Refused,
		"invalidinput":               Refused,
		"invalidrequestbody":         Refused,
		"missingrequiredparameter":   Refused,
		"maximumbatchsizeexceeded":   Refused,
		"osplatformnotsupported":     Refused,
		"clientversionnotsupported":  Refused,
		"activerequestalreadyexists": AlreadyActive,
	},
	http.StatusForbidden: {
		"forbidden":           Forbidden,
		"disabledfeature":     Forbidden,
		"disallowedoperation": Forbidden,
	},
	http.StatusNotFound: {
		"notfound":         NotFound,
		"resourcenotfound": NotFound,
	},
}

// detail is Defender's JSON error.
type detail struct {
	code, message, target string
}

// readDetail reads Defender's JSON error, and reports whether body is one: an
// object with an error that has a code. A proxy's page is not.
func readDetail(body []byte) (detail, bool) {
	var answer struct {
		Error *struct {
			Code, Message, Target text
		}
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == nil || answer.Error.Code == "" {
		return detail{}, false
	}
	e := answer.Error
	return detail{tidy(string(e.Code)), tidy(string(e.Message)), tidy(string(e.Target))}, true
}

// failure turns an answer that is not a success, or none, into an error.
//
// The status decides first. 401 and 429 mean what they mean whoever says them.
// A 4xx counts against a device only as Defender's own error with a known code.
// A 5xx after a POST leaves its effect open, whatever it says: a gateway that
// names a time to come back may have passed the request on before. Nothing is in
// doubt about a read.
func (c *call) failure(method string) *Error {
	x := c.exchange
	d, ours := readDetail(c.body)
	e := &Error{
		Status: x.Status, Code: d.code, Message: d.message, Target: d.target,
		RequestIDs: x.RequestID, Err: hush(c.err),
	}
	if x.Status != 0 && !ours {
		e.Message = "the answer is not Defender's (" + contentType(c.header) + ")"
	}
	e.Wait, e.WaitNamed = waitNamed(c.header, d.message, x.Over)
	switch {
	case x.Status == 0:
		e.Class = lost(method, x.Sent)
		if !x.Sent {
			e.Hint = hintNetwork
		}
	case x.Status == http.StatusTooManyRequests:
		e.Class = Throttled
		if !e.WaitNamed {
			e.Wait = time.Minute
		}
	case x.Status == http.StatusUnauthorized:
		e.Class = Unauthorized
	case x.Status >= 500:
		e.Class = lost(method, true)
	default:
		e.Class = Outage
		if class, ok := known[x.Status][strings.ToLower(d.code)]; ok {
			e.Class = class
		}
	}
	return e
}

// lost is the class of a request without an answer, or with one that does not say
// what became of it.
func lost(method string, sent bool) Class {
	switch {
	case !sent:
		return NotSent
	case method == http.MethodPost:
		return InDoubt
	}
	return Outage
}

// unreadable is the error of a 2xx that cannot be understood.
func (c *call) unreadable(method, why string) *Error {
	return &Error{Class: lost(method, true), Status: c.exchange.Status, Message: why, RequestIDs: c.exchange.RequestID, Err: hush(c.err)}
}

func contentType(h http.Header) string {
	if t := tidy(h.Get("Content-Type")); t != "" {
		return t
	}
	return "no content type"
}
