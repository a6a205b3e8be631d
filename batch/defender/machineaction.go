package defender

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// MachineAction is what Defender made of an order. Fields that an answer left
// out are empty; words are as the service spelled them.
type MachineAction struct {
	ID               string
	Type             string // Offboard, Isolate, …
	Status           string // Pending, InProgress, Succeeded, Failed, TimeOut, Cancelled, or a word of later
	MachineID        string // lower case; empty in some answers
	ComputerDNSName  string
	Requestor        string
	RequestorComment string // the comment as it was sent, an attempt's tag included
	RequestSource    string
	Created, Updated time.Time

	CancellationRequestor, CancellationComment string
	Cancelled                                  time.Time

	ErrorHResult int64 // 0 when fine
	// Troubleshoot is troubleshootInfo, of which nobody has described the shape. What
	// is no text is JSON, with its keys sorted and its numbers as they came. It is on
	// one line, without control characters and secrets, and cut if it is long.
	Troubleshoot string
	Title        string
	Scope        string
	ExternalID   string
}

// Final reports whether the action will not change any more. A word that is not
// known is taken for one that may.
func (a MachineAction) Final() bool {
	switch strings.ToLower(a.Status) {
	case "succeeded", "failed", "timeout", "cancelled", "canceled":
		return true
	}
	return false
}

// Succeeded reports whether the device has carried the action out.
func (a MachineAction) Succeeded() bool { return strings.EqualFold(a.Status, "Succeeded") }

// UnmarshalJSON takes an action as the service writes it.
func (a *MachineAction) UnmarshalJSON(b []byte) error {
	var w struct {
		ID, Type, Status, MachineID, ComputerDNSName text
		Requestor, RequestorComment, RequestSource   text
		CreationDateTimeUTC                          moment
		LastUpdateDateTimeUTC, LastUpdateTimeUTC     moment
		CancellationRequestor, CancellationComment   text
		CancellationDateTimeUTC                      moment
		ErrorHResult                                 number
		TroubleshootInfo                             json.RawMessage
		Title, Scope, ExternalID                     text
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	updated := w.LastUpdateDateTimeUTC.Time
	if updated.IsZero() {
		updated = w.LastUpdateTimeUTC.Time // so in some samples
	}
	*a = MachineAction{
		ID: string(w.ID), Type: string(w.Type), Status: string(w.Status),
		MachineID: strings.ToLower(string(w.MachineID)), ComputerDNSName: string(w.ComputerDNSName),
		Requestor: string(w.Requestor), RequestorComment: string(w.RequestorComment), RequestSource: string(w.RequestSource),
		Created: w.CreationDateTimeUTC.Time, Updated: updated,
		CancellationRequestor: string(w.CancellationRequestor), CancellationComment: string(w.CancellationComment),
		Cancelled:    w.CancellationDateTimeUTC.Time,
		ErrorHResult: int64(w.ErrorHResult), Troubleshoot: raw(w.TroubleshootInfo),
		Title: string(w.Title), Scope: string(w.Scope), ExternalID: string(w.ExternalID),
	}
	return nil
}

// raw is a value whose shape is not known, in words, and without the escapes behind
// which a secret would not be seen.
func raw(b json.RawMessage) string {
	in := json.NewDecoder(bytes.NewReader(b))
	in.UseNumber() // of any size, digit by digit
	var v any
	if in.Decode(&v) != nil || v == nil {
		return ""
	}
	if words, ok := v.(string); ok {
		return tidy(words)
	}
	var again strings.Builder
	out := json.NewEncoder(&again)
	out.SetEscapeHTML(false)
	out.Encode(v) // which cannot fail: it has just been read
	return tidy(again.String())
}
