package defender

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxTop is the largest page that the service gives.
const maxTop = 10000

// comment is the body of the calls that change something. Its name is
// case-sensitive.
type comment struct{ Comment string }

// Offboard orders that a device be offboarded, with one POST. The id must be 40
// hexadecimal characters (the service would take a host name elsewhere) and the
// comment not blank; else the call is [Refused] here and nothing is sent.
//
// Any 2xx with an action id is success. The action may be one that existed: its
// comment tells. When the answer names another device, the error is
// [WrongDevice] and the action is returned with it.
func (c *Client) Offboard(ctx context.Context, machineID, text string, gate Gate) (MachineAction, Exchange, error) {
	switch {
	case !isMachineID(machineID):
		return MachineAction{}, Exchange{}, &Error{Class: Refused, Message: "not a device id (40 hexadecimal characters)"}
	case strings.TrimSpace(text) == "":
		return MachineAction{}, Exchange{}, &Error{Class: Refused, Message: "a comment is required"}
	}
	a, x, err := c.post(ctx, "/api/machines/"+machineID+"/offboard", text, gate)
	if err == nil && a.MachineID != "" && !strings.EqualFold(a.MachineID, machineID) {
		err = &Error{
			Class: WrongDevice, Status: x.Status, RequestIDs: x.RequestID,
			Message: "asked for device " + machineID + ", the answer names " + tidy(a.MachineID),
		}
	}
	return a, x, err
}

// Cancel withdraws an action that is not final, with one POST; the action keeps
// its id. Any 400 of Defender's is [Refused], whatever its code: the action has
// become final, most likely, and reading it tells its true status.
func (c *Client) Cancel(ctx context.Context, actionID, text string, gate Gate) (MachineAction, Exchange, error) {
	switch {
	case strings.TrimSpace(actionID) == "":
		return MachineAction{}, Exchange{}, &Error{Class: Refused, Message: "an action id is required"}
	case strings.TrimSpace(text) == "":
		return MachineAction{}, Exchange{}, &Error{Class: Refused, Message: "a comment is required"}
	}
	a, x, err := c.post(ctx, "/api/machineactions/"+url.PathEscape(actionID)+"/cancel", text, gate)
	if e, ok := err.(*Error); ok && e.Status == http.StatusBadRequest && e.Code != "" {
		e.Class = Refused
	}
	if err == nil && !strings.EqualFold(a.ID, actionID) {
		err = &Error{
			Class: WrongDevice, Status: x.Status, RequestIDs: x.RequestID,
			Message: "asked for action " + actionID + ", the answer names " + tidy(a.ID),
		}
	}
	return a, x, err
}

func (c *Client) post(ctx context.Context, path, text string, gate Gate) (MachineAction, Exchange, error) {
	r := request{method: http.MethodPost, path: path, body: comment{text}, limit: objectLimit}
	cl, err := c.do(ctx, r, gate)
	if err != nil {
		return MachineAction{}, cl.known(), err
	}
	var a MachineAction
	if json.Unmarshal(cl.body, &a) != nil || a.ID == "" {
		return MachineAction{}, cl.known(), cl.unreadable(r.method, "the answer holds no machine action")
	}
	return a, cl.known(), nil
}

// GetAction reads one machine action. A fresh one may be [NotFound] for about
// two minutes.
func (c *Client) GetAction(ctx context.Context, id string, gate Gate) (MachineAction, Exchange, error) {
	a, x, err := get[MachineAction](ctx, c, "/api/machineactions/"+url.PathEscape(id), gate)
	if err == nil && a.ID == "" {
		err = &Error{Class: Outage, Status: x.Status, RequestIDs: x.RequestID, Message: "the answer holds no machine action"}
	}
	return a, x, err
}

// GetMachine reads one record of the inventory. The service takes a host name
// for an id here, so a hit says nothing about the shape of id.
func (c *Client) GetMachine(ctx context.Context, id string, gate Gate) (Machine, Exchange, error) {
	m, x, err := get[Machine](ctx, c, "/api/machines/"+url.PathEscape(id), gate)
	if err == nil && m.ID == "" {
		err = &Error{Class: Outage, Status: x.Status, RequestIDs: x.RequestID, Message: "the answer holds no machine"}
	}
	return m, x, err
}

// ActionQuery chooses machine actions. Empty fields choose nothing out.
type ActionQuery struct {
	Type      string    // Offboard
	Since     time.Time // created then or later, to the second
	MachineID string
	Status    string
	Top, Skip int // Top 0: 10,000, the most there is
}

// ListActions reads exactly one page with one request, the youngest actions
// first: those that are made while one pages push others to a later page, where
// they are seen twice, never to an earlier one, where they would be missed.
// Fresh actions may be absent for about two minutes. A page shorter than Top is
// the last one; a nextLink is not followed, since it has led in circles.
func (c *Client) ListActions(ctx context.Context, q ActionQuery, gate Gate) ([]MachineAction, Exchange, error) {
	var f filter
	f.eq("type", q.Type)
	f.eq("machineId", q.MachineID)
	f.eq("status", q.Status)
	if !q.Since.IsZero() {
		f.add("creationDateTimeUtc ge " + q.Since.UTC().Truncate(time.Second).Format(time.RFC3339))
	}
	return list[MachineAction](ctx, c, "/api/machineactions", f.query(q.Top, q.Skip, "creationDateTimeUtc desc"), gate)
}

// MachineQuery chooses records of the inventory. Empty fields choose nothing out.
type MachineQuery struct {
	Name        string // computerDnsName, whole
	NamePrefix  string // computerDnsName, its beginning
	AADDeviceID string
	Onboarding  string // Onboarded, …
	Top, Skip   int    // Top 0: 10,000, the most there is
}

// ListMachines reads exactly one page with one request. A 404 of Defender's is
// an empty list: it is documented so.
func (c *Client) ListMachines(ctx context.Context, q MachineQuery, gate Gate) ([]Machine, Exchange, error) {
	var f filter
	f.eq("computerDnsName", q.Name)
	if q.NamePrefix != "" {
		f.add("startswith(computerDnsName," + quote(q.NamePrefix) + ")")
	}
	f.eq("aadDeviceId", q.AADDeviceID)
	f.eq("onboardingStatus", q.Onboarding)
	machines, x, err := list[Machine](ctx, c, "/api/machines", f.query(q.Top, q.Skip, ""), gate)
	if ClassOf(err) == NotFound {
		return nil, x, nil
	}
	return machines, x, err
}

func get[T any](ctx context.Context, c *Client, path string, gate Gate) (v T, x Exchange, err error) {
	r := request{method: http.MethodGet, path: path, limit: objectLimit}
	cl, err := c.do(ctx, r, gate)
	if err != nil {
		return v, cl.known(), err
	}
	if json.Unmarshal(cl.body, &v) != nil {
		return v, cl.known(), cl.unreadable(r.method, "the answer cannot be read")
	}
	return v, cl.known(), nil
}

func list[T any](ctx context.Context, c *Client, path, query string, gate Gate) ([]T, Exchange, error) {
	r := request{method: http.MethodGet, path: path, query: query, limit: listLimit}
	cl, err := c.do(ctx, r, gate)
	if err != nil {
		return nil, cl.known(), err
	}
	var p page[T]
	if json.Unmarshal(cl.body, &p) != nil || p.Value == nil {
		return nil, cl.known(), cl.unreadable(r.method, "the answer holds no list")
	}
	return *p.Value, cl.known(), nil
}

// filter is an OData filter whose terms must all hold.
type filter []string

func (f *filter) add(term string) { *f = append(*f, term) }

func (f *filter) eq(name, value string) {
	if value != "" {
		f.add(name + " eq " + quote(value))
	}
}

// query writes the options. A space is %20: not every server takes a plus.
func (f filter) query(top, skip int, order string) string {
	if top <= 0 || top > maxTop {
		top = maxTop
	}
	q := "$top=" + strconv.Itoa(top) + "&$skip=" + strconv.Itoa(max(skip, 0))
	if order != "" {
		q += "&$orderby=" + escape(order)
	}
	if len(f) > 0 {
		q += "&$filter=" + escape(strings.Join(f, " and "))
	}
	return q
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// quote writes an OData string.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// isMachineID reports whether s is 40 hexadecimal characters.
func isMachineID(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
