package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The words for the status of a machine action.
const (
	Pending    = "Pending"
	InProgress = "InProgress"
	Succeeded  = "Succeeded"
	Failed     = "Failed"
	TimeOut    = "TimeOut"
	Cancelled  = "Cancelled"
)

// Action is a machine action that was there before, or was made elsewhere: by another administrator, say.
type Action struct {
	ID              string // empty: a new one
	Type            string // empty: Offboard
	Status          string // empty: it lives as Options.Pending and Running say
	MachineID       string
	ComputerDNSName string
	Requestor       string // empty: another-admin@example.com
	Comment         string
	Created         time.Time // zero: now
}

// action is a machine action in the server's store.
type action struct {
	Action
	visible   time.Time // readable from then on
	outcome   string    // the final status that it reaches by itself; empty: none, it stays Pending
	fixed     string    // the status that somebody gave it, which ends its own life
	fixedAt   time.Time
	cancelBy  string
	cancelFor string
}

// state is the status at a moment and the moment since when it holds.
func (a *action) state(o *Options, now time.Time) (string, time.Time) {
	running := a.Created.Add(o.Pending)
	final := running.Add(o.Running)
	switch {
	case a.fixed != "":
		return a.fixed, a.fixedAt
	case a.outcome == "" || now.Before(running):
		return Pending, a.Created
	case now.Before(final):
		return InProgress, running
	default:
		return a.outcome, final
	}
}

func (a *action) open(o *Options, now time.Time) bool {
	status, _ := a.state(o, now)
	return status == Pending || status == InProgress
}

// AddAction puts an action into the store, visible at once, and returns its id.
func (s *Server) AddAction(a Action) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addAction(a).ID
}

// addAction stores a in the order of creation.
func (s *Server) addAction(a Action) *action {
	now := s.now()
	set(&a.ID, a.ID == "", s.guid("action", len(s.actions)))
	set(&a.Type, a.Type == "", "Offboard")
	set(&a.Requestor, a.Requestor == "", "another-admin@example.com")
	set(&a.Created, a.Created.IsZero(), now)
	a.MachineID = strings.ToLower(a.MachineID)
	made := &action{Action: a, visible: a.Created, fixed: a.Status, fixedAt: a.Created, outcome: s.outcome(a.MachineID)}
	at, _ := slices.BinarySearchFunc(s.actions, made, func(x, y *action) int {
		if x.Created.After(y.Created) {
			return 1
		}
		return -1 // equal times stay in the order in which they came
	})
	s.actions = slices.Insert(s.actions, at, made)
	s.actionByID[made.ID] = made
	s.actionsOf[made.MachineID] = append(s.actionsOf[made.MachineID], made)
	return made
}

// outcome is the final status that an action of the device reaches by itself, empty if none.
func (s *Server) outcome(device string) string {
	if s.opts.Outcome != nil {
		if word := s.opts.Outcome(device); word != "" {
			return word
		}
	}
	if m := magicOf(device); m.outcome != "" || m.offline {
		return m.outcome
	}
	if s.opts.Pending == 0 {
		return ""
	}
	draw := s.rand("outcome", device, 0)
	if draw.IntN(100) >= s.opts.FailPercent {
		return Succeeded
	}
	return []string{Failed, TimeOut}[draw.IntN(2)]
}

// Finish gives an action a status, whatever it was, as of now.
func (s *Server) Finish(actionID, status string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.actionByID[actionID]
	if !ok {
		return fmt.Errorf("no action %q", actionID)
	}
	a.fixed, a.fixedAt = status, s.now()
	return nil
}

// openAction is the oldest action of a device that is not final, nil if none is.
func (s *Server) openAction(device string, now time.Time) *action {
	for _, a := range s.actionsOf[device] {
		if a.open(&s.opts, now) {
			return a
		}
	}
	return nil
}

// actionJSON is a machine action as the API writes it.
type actionJSON struct {
	Context               string   `json:"@odata.context,omitempty"`
	ID                    string   `json:"id"`
	Type                  string   `json:"type"`
	Title                 *string  `json:"title"`
	Requestor             string   `json:"requestor"`
	RequestorComment      string   `json:"requestorComment"`
	Status                string   `json:"status"`
	MachineID             *string  `json:"machineId"`
	ComputerDNSName       *string  `json:"computerDnsName"`
	CreationDateTimeUTC   string   `json:"creationDateTimeUtc"`
	LastUpdateDateTimeUTC string   `json:"lastUpdateDateTimeUtc,omitempty"`
	LastUpdateTimeUTC     string   `json:"lastUpdateTimeUtc,omitempty"`
	CancellationRequestor *string  `json:"cancellationRequestor"`
	CancellationComment   *string  `json:"cancellationComment"`
	CancellationDateTime  *string  `json:"cancellationDateTimeUtc"`
	ErrorHResult          int64    `json:"errorHResult"`
	Scope                 *string  `json:"scope"`
	ExternalID            *string  `json:"externalId"`
	RequestSource         string   `json:"requestSource"`
	RelatedFileInfo       *string  `json:"relatedFileInfo"`
	Commands              []string `json:"commands"`
	TroubleshootInfo      any      `json:"troubleshootInfo"`
}

// troubleshootInfo is what a failed action says in it, by Options.Troubleshoot.
var troubleshootInfo = map[string]any{
	TroubleshootText:   "The script of the action ended with an error",
	TroubleshootObject: map[string]any{"errorCode": -2147024809, "steps": []string{"download", "run"}},
}

func (a *action) wire(o *Options, now time.Time) actionJSON {
	status, since := a.state(o, now)
	w := actionJSON{
		ID: a.ID, Type: a.Type, Requestor: a.Requestor, RequestorComment: a.Comment, Status: status,
		MachineID: nullable(a.MachineID), ComputerDNSName: nullable(a.ComputerDNSName),
		CreationDateTimeUTC: stamp(a.Created), LastUpdateDateTimeUTC: stamp(since),
		RequestSource: "PublicApi", Commands: []string{},
	}
	if a.cancelBy != "" {
		when := stamp(a.fixedAt)
		w.CancellationRequestor, w.CancellationComment, w.CancellationDateTime = &a.cancelBy, &a.cancelFor, &when
	}
	if status == Failed {
		w.ErrorHResult = -2147024809 // 0x80070057, E_INVALIDARG
		w.TroubleshootInfo = troubleshootInfo[o.Troubleshoot]
	}
	if o.OddSpellings {
		w.LastUpdateTimeUTC, w.LastUpdateDateTimeUTC = w.LastUpdateDateTimeUTC, ""
		if status == Cancelled {
			w.Status = "Canceled"
		}
	}
	return w
}

// actionField reads a property that a filter on actions may name.
func actionField(a *action, field string, o *Options, now time.Time) any {
	switch field {
	case "id":
		return a.ID
	case "type":
		return a.Type
	case "machineId":
		return orNil(a.MachineID)
	case "requestor":
		return a.Requestor
	case "creationDateTimeUtc":
		return a.Created
	default:
		status, _ := a.state(o, now)
		return status
	}
}

var actionFields = []string{"id", "status", "machineId", "type", "requestor", "creationDateTimeUtc"}

// listActions answers GET /api/machineactions: newest first unless told otherwise.
func (s *Server) listActions(c *call) answer {
	q, err := parseQuery(c.query, actionFields, []string{"creationDateTimeUtc"})
	if err != nil {
		return refuse(http.StatusBadRequest, "ODataError", err.Error(), "query")
	}
	var found []*action
	for _, a := range s.actions {
		if !a.visible.After(c.at) && q.keep(func(field string) any { return actionField(a, field, &s.opts, c.at) }) {
			found = append(found, a)
		}
	}
	if !q.ascending {
		slices.Reverse(found)
	}
	low, high := q.page(len(found))
	list := listJSON{Context: c.context("MachineActions"), Next: q.next(c, high, len(found)), Value: make([]any, 0, high-low)}
	for _, a := range found[low:high] {
		list.Value = append(list.Value, a.wire(&s.opts, c.at))
	}
	return jsonAnswer(http.StatusOK, list)
}

// getAction answers GET /api/machineactions/{id}; a fresh action may not be there yet.
func (s *Server) getAction(c *call) answer {
	if a, bad := refuseQuery(c); bad {
		return a
	}
	a, ok := s.actionByID[strings.ToLower(c.id)]
	if !ok || a.visible.After(c.at) {
		return refuse(http.StatusNotFound, "ResourceNotFound", "Machine action "+c.id+" was not found", "")
	}
	return s.sendAction(c, http.StatusOK, a)
}

func (s *Server) sendAction(c *call, status int, a *action) answer {
	w := a.wire(&s.opts, c.at)
	w.Context = c.context("MachineActions/$entity")
	return jsonAnswer(status, w)
}

// cancelAction answers POST /api/machineactions/{id}/cancel. It sees fresh actions: only reads lag.
func (s *Server) cancelAction(c *call) answer {
	comment, bad := readComment(c, s.opts.MaxComment)
	if bad != nil {
		return *bad
	}
	a, ok := s.actionByID[strings.ToLower(c.id)]
	if !ok {
		return refuse(http.StatusNotFound, "ResourceNotFound", "Machine action "+c.id+" was not found", "")
	}
	if status, _ := a.state(&s.opts, c.at); status != Pending && status != InProgress {
		return refuse(http.StatusBadRequest, "BadRequest", "An action in status "+status+" can not be cancelled", a.ID)
	}
	a.fixed, a.fixedAt, a.cancelBy, a.cancelFor = Cancelled, c.at, c.requestor, comment
	book := s.books.device(a.MachineID)
	book.Cancelled++
	book.Comments = append(book.Comments, comment)
	return s.sendAction(c, http.StatusOK, a)
}
