package checkpoint

import (
	"slices"
	"strings"
	"time"
)

// Status is what the result says of a line of the list.
type Status string

// The statuses of a task. Sending is for the time of a call only: a task that
// is found in it when no runner is at work is in doubt.
const (
	Pending       Status = "pending"
	Sending       Status = "sending"
	Accepted      Status = "accepted"
	AlreadyActive Status = "already-active"
	Refused       Status = "refused"
	Failed        Status = "failed"
	InDoubt       Status = "in-doubt"
	Skipped       Status = "skipped"
)

// Final says that nothing more will be done for a task of this status unless
// somebody asks for it.
func (s Status) Final() bool {
	switch s {
	case Accepted, AlreadyActive, Refused, Failed, Skipped:
		return true
	}
	return false
}

// Key is whose quota a call counts against.
type Key struct{ Cloud, Tenant, Application string }

// String is the form in which attempts carry it.
func (k Key) String() string { return k.Cloud + "|" + k.Tenant + "|" + k.Application }

// Batch is what is to be done from one list.
type Batch struct {
	ID         int64
	Name       string
	Key        Key
	Host       string
	Simulated  bool
	Created    time.Time
	List       string
	ListDigest string
	PlanDigest string
	Columns    []string
	Options    string // JSON
	Closed     string // why no run goes on with it; empty while one may
	Events     int64
	Head       string // hash of the last event of its chain
}

// Run is one execution of the program on a batch.
type Run struct {
	Batch, ID       int64
	What            string
	Who, Host       string
	PID             int64
	Version, Agreed string
	Started         time.Time
	Grace           time.Duration // how long after the last sign of life a call can still take effect
	Alive, Ended    time.Time
	Why             string
	Code            int
}

// Action is a machine action as the API told of it. Times are kept as text:
// they are evidence, and nothing is computed from them here.
type Action struct {
	ID        string `json:"id"`
	Type      string `json:"type,omitempty"`
	Status    string `json:"status,omitempty"`
	Requestor string `json:"requestor,omitempty"`
	Created   string `json:"created,omitempty"`
	Updated   string `json:"updated,omitempty"`
	Error     string `json:"error,omitempty"`
}

// Final says whether the action will not change any more. A word that is not
// known is taken for one that may.
func (a Action) Final() bool {
	return a.Failed() || slices.ContainsFunc([]string{"Succeeded", "Cancelled", "Canceled"}, func(word string) bool { return strings.EqualFold(a.Status, word) })
}

// Failed says whether the action is over without having done its work: it failed
// or timed out on the device. One that was cancelled was so on purpose.
func (a Action) Failed() bool {
	return strings.EqualFold(a.Status, "Failed") || strings.EqualFold(a.Status, "TimeOut")
}

// Task is one line of a list.
type Task struct {
	Batch, N, Position int64
	File               string
	Line               int
	Device             string // 40 hexadecimal characters, or what stood in the list
	Name, Comment      string
	Extra              []string
	Status             Status
	Reason             string
	Attempts           int // those that were spent
	Tries404           int
	NotBefore          time.Time
	DoubtSince         time.Time // when the oldest call was reserved that is or was in doubt since the task was taken up
	DoubtUntil         time.Time // last moment at which the last of them can take effect; zero: there is none
	Attempt            int64     // the last one
	Taken              int64     // the last event before it was taken up again: attempts up to it are of an earlier round
	Withdrawn          int64     // the last event before a cancel of some named its device, which no run calls since; 0: none did
	Action             Action
	Health             string
}

// Attempt is one HTTP request.
type Attempt struct {
	Batch, ID, Run int64
	Key, Kind      string
	N              int64
	Device         string
	Number         int
	Tag            string
	Reserved, Over time.Time
	Outcome        string
	Sent           bool
	Status         int
	Code           string
	Message        string
	Target         string
	RequestID      string
	Date           time.Time // the server's
}

// micros is how times stand in the database.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
