package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Event is one entry of a batch's chain: what changed, all of it, so that the
// other tables can be made anew from the chain alone. Every field that is set
// is applied to its table in the transaction that appends the event.
type Event struct {
	Kind    string       `json:"kind"`
	At      time.Time    `json:"at"`
	Note    string       `json:"note,omitempty"`
	Run     int64        `json:"run,omitempty"`
	Batch   *NewBatch    `json:"batch,omitempty"`
	Plan    *Plan        `json:"plan,omitempty"`
	Closed  *string      `json:"closed,omitempty"`
	Start   *RunStart    `json:"start,omitempty"`
	End     *RunEnd      `json:"end,omitempty"`
	Lines   []Line       `json:"lines,omitempty"`
	Tasks   []TaskChange `json:"tasks,omitempty"`
	Intent  *Intent      `json:"intent,omitempty"`
	Outcome []Outcome    `json:"outcome,omitempty"`
	Hold    *HoldSet     `json:"hold,omitempty"`
	Wait    *Wait        `json:"wait,omitempty"`
}

// NewBatch is the first event of a chain.
type NewBatch struct {
	Name        string `json:"name"`
	Cloud       string `json:"cloud"`
	Tenant      string `json:"tenant"`
	Application string `json:"application"`
	Host        string `json:"host"`
	Simulated   bool   `json:"simulated"`
}

// Plan is what was agreed to be done.
type Plan struct {
	List       string   `json:"list"`
	ListDigest string   `json:"listDigest"`
	PlanDigest string   `json:"planDigest"`
	Columns    []string `json:"columns"`
	Options    string   `json:"options"`
}

// RunStart is the first event of a run; its number in the chain is the run's id.
type RunStart struct {
	What     string `json:"what"`
	Who      string `json:"who"`
	Host     string `json:"host"`
	PID      int64  `json:"pid"`
	Version  string `json:"version"`
	Agreed   string `json:"agreed"`
	Grace    int64  `json:"graceMicros"`
	Settings string `json:"settings,omitempty"` // JSON; empty: those of the plan before it
}

// RunEnd is the last event of a run that could say why it ended.
type RunEnd struct {
	Run  int64     `json:"run"`
	At   time.Time `json:"at,omitzero"` // for a run that was killed: its last sign of life; zero: the event's time
	Why  string    `json:"why"`
	Code int       `json:"code"`
}

// Line puts a line of the list into the batch, or changes what is known of it
// from the list. Status, if set, is its status before any call.
type Line struct {
	N        int64    `json:"n"`
	Position int64    `json:"pos"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line"`
	Device   string   `json:"device"`
	Name     string   `json:"name,omitempty"`
	Comment  string   `json:"comment,omitempty"`
	Extra    []string `json:"extra,omitempty"`
	Status   Status   `json:"status,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// TaskChange sets the fields that are given and leaves the others.
type TaskChange struct {
	N          int64      `json:"n"`
	Status     Status     `json:"status,omitempty"`
	Reason     *string    `json:"reason,omitempty"`
	Attempts   *int       `json:"attempts,omitempty"`
	Tries404   *int       `json:"tries404,omitempty"`
	NotBefore  *time.Time `json:"notBefore,omitempty"`
	DoubtSince *time.Time `json:"doubtSince,omitempty"`
	DoubtUntil *time.Time `json:"doubtUntil,omitempty"`
	Action     *Action    `json:"action,omitempty"`
	Health     *string    `json:"health,omitempty"`
	Taken      *int64     `json:"taken,omitempty"`
	Withdrawn  *int64     `json:"withdrawn,omitempty"`
}

// Intent says that a request is about to leave. The number of its event in the
// chain is the attempt's id.
type Intent struct {
	Run    int64  `json:"run"`
	Key    string `json:"key"`
	Kind   string `json:"call"`
	N      int64  `json:"n,omitempty"`
	Device string `json:"device,omitempty"`
	Number int    `json:"number,omitempty"`
	Tag    string `json:"tag,omitempty"`
	Action string `json:"action,omitempty"` // the id of the machine action that a cancel call is about
	Again  bool   `json:"again,omitempty"`  // although the device was accepted before, in this batch or another

	// Over says, for one with Again, whether an action with which the device was
	// accepted is known to be over; nil: none is, beside those of which the
	// checkpoint says so.
	Over func(Action) bool `json:"-"`
}

// Outcome says how an attempt ended. Over is the last moment at which the call
// can have arrived, from which its slot's window runs; zero is the event's time.
type Outcome struct {
	Attempt   int64     `json:"attempt"`
	Over      time.Time `json:"over,omitzero"`
	Outcome   string    `json:"outcome"`
	Unsent    bool      `json:"unsent,omitempty"`
	Status    int       `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
	Message   string    `json:"message,omitempty"`
	Target    string    `json:"target,omitempty"`
	RequestID string    `json:"requestId,omitempty"`
	Date      time.Time `json:"date,omitzero"`
}

// HoldSet stops all calls of a kind (all kinds, if Kind is "*") until a moment.
type HoldSet struct {
	Key   string    `json:"key"`
	Kind  string    `json:"call"`
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
}

// Wait says that a run sends nothing for now. One of no kind says that the wait
// is over. No table has it: it is for those who read the chain.
type Wait struct {
	Kind  string    `json:"wait,omitempty"`
	Why   string    `json:"why,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // zero: nobody knew
}

// encode gives the canonical form of an event, which is what is hashed: the
// JSON of encoding/json with the fields in the order above. The event's own
// time is UTC and has microseconds; other times are as their writer had them.
func (e *Event) encode() (string, error) {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	b, err := json.Marshal(e)
	return string(b), err
}

// written gives the canonical form of an event and the event that it is read
// back as. That one is applied to the tables, and not what the caller meant:
// JSON replaces bytes that are not UTF-8, and a table that had them would not be
// what the events make.
func (e Event) written() (body string, as Event, err error) {
	if body, err = e.encode(); err != nil {
		return "", Event{}, err
	}
	return body, as, json.Unmarshal([]byte(body), &as)
}

// link is the hash of an event: SHA-256 over the hash before it, its number and
// its canonical form, separated by line feeds. The first event names the batch.
func link(before string, seq int64, body string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%s", before, seq, body)
	return hex.EncodeToString(h.Sum(nil))
}
