package defender

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Class says what an error means for the device, the call and the batch.
type Class int

const (
	// Unclassified is the class of nil and of errors that are not of this package.
	Unclassified Class = iota
	// Refused: Defender said no to this request for good, with a code that is
	// known (400). Status 0: refused here, before anything was sent.
	Refused
	// AlreadyActive: an action is open for the device; find it (400
	// ActiveRequestAlreadyExists).
	AlreadyActive
	// NotFound: Defender does not know the device or the action. It is wrong at
	// times, so one more try is due.
	NotFound
	// Forbidden: Defender does not let this caller do this, to one device or to all.
	Forbidden
	// Unauthorized: the token was not taken (401). [Client.RefreshAfter] gets another.
	Unauthorized
	// Throttled: 429, for everybody who shares the quota. Wait says how long.
	Throttled
	// Outage: the answer is not Defender's, or says that it takes nothing now:
	// no fault of a device, and nothing happened.
	Outage
	// InDoubt: a POST was sent and its effect is unknown.
	InDoubt
	// NotSent: nothing left: the gate said no, or no connection was had.
	NotSent
	// WrongDevice: accepted, but the answer is about another device or action
	// than the one that was named.
	WrongDevice
	// BadIdentity: no token could be had, or one for another tenant or
	// application than before, or without a permission.
	BadIdentity
)

var classNames = [...]string{
	"unclassified", "refused", "already active", "not found", "forbidden", "unauthorized",
	"throttled", "outage", "in doubt", "not sent", "wrong device", "bad identity",
}

// String returns the class in words.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class %d", int(c))
	}
	return classNames[c]
}

// Error is what each method of a [Client] fails with.
type Error struct {
	Class  Class
	Status int // of the answer; 0: none
	// Code, Message and Target are Defender's own words, tidied for one line.
	// Target is opaque and what Microsoft's support asks for.
	Code, Message, Target string
	// RequestIDs are those of the answer, as in [Exchange.RequestID].
	RequestIDs string
	// Wait is how long the server asked to be left alone, counted from
	// [Exchange.Over]: a Retry-After, else the message's words, else one minute
	// for a 429 and zero for others. WaitNamed tells the first two from the last.
	Wait      time.Duration
	WaitNamed bool
	// Hint is what the reader can do about it, empty if nothing is known.
	Hint string
	// Err is the cause, if there is one: the gate's error, the connection's.
	Err error
}

// Error is one line, except for [BadIdentity], which may list what was tried.
func (e *Error) Error() string {
	var parts []string
	switch {
	case e.Status != 0:
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, e.Code)))
	case e.Class != BadIdentity: // its message says it all
		parts = append(parts, e.Class.String())
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	line := strings.Join(parts, ": ")
	if e.RequestIDs != "" {
		line += " (request " + e.RequestIDs + ")"
	}
	return line
}

// Busy says whether the answer is a 503 that names a time to come back. It is an
// outage for all, whatever it leaves in doubt.
func (e *Error) Busy() bool { return e.Status == http.StatusServiceUnavailable && e.WaitNamed }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of the first [Error] in err's tree.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Unclassified
}
