package report

import (
	"bufio"
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"io"
	"slices"
	"time"

	"mde-offboard/batch/checkpoint"
)

// AuditSchema is the JSON Schema of audit.json.
//
//go:embed audit.schema.json
var AuditSchema []byte

const (
	auditFormat  = "mde-offboard audit"
	auditVersion = 2
)

// The types below are the document that audit.schema.json describes. A field is
// never taken away or given another meaning without another version.
type (
	auditDoc struct {
		Format    string      `json:"format"`
		Version   int         `json:"version"`
		Simulated bool        `json:"simulated"`
		Batch     batchDoc    `json:"batch"`
		Counts    countsDoc   `json:"counts"`
		Actions   []tallyDoc  `json:"actions"`
		Reasons   []reasonDoc `json:"reasons"`
		Quota     quotaDoc    `json:"quota"`
		Plans     []planDoc   `json:"plans"`
		Runs      []runDoc    `json:"runs"`
		Holds     []holdDoc   `json:"holds"`
		Calls     []callDoc   `json:"calls"`
	}
	batchDoc struct {
		Name        string   `json:"name"`
		Cloud       string   `json:"cloud"`
		TenantID    string   `json:"tenantId"`
		Application string   `json:"applicationId"`
		Host        string   `json:"host"`
		Created     string   `json:"created"`
		Closed      string   `json:"closed,omitempty"`
		List        string   `json:"list"`
		ListSHA256  string   `json:"listSha256"`
		Columns     []string `json:"columns"`
		Chain       chainDoc `json:"chain"`
	}
	chainDoc struct {
		Events int64  `json:"events"`
		Head   string `json:"head"`
	}
	countsDoc struct {
		Lines         int `json:"lines"`
		NoLongerThere int `json:"noLongerInList"`
		Accepted      int `json:"accepted"`
		AlreadyActive int `json:"alreadyActive"`
		Refused       int `json:"refused"`
		Failed        int `json:"failed"`
		InDoubt       int `json:"inDoubt"`
		Skipped       int `json:"skipped"`
		Pending       int `json:"pending"`
	}
	tallyDoc struct {
		Status  string `json:"status"`
		Devices int    `json:"devices"`
	}
	reasonDoc struct {
		Status     string `json:"status"`
		HTTPStatus int    `json:"httpStatus,omitempty"`
		ErrorCode  string `json:"errorCode,omitempty"`
		Reason     string `json:"reason,omitempty"`
		Devices    int    `json:"devices"`
	}
	quotaDoc struct {
		Shared      bool        `json:"sharedBudget"`
		Calls       int         `json:"calls"`
		OtherCalls  int         `json:"callsOfOtherBatches"`
		Windows     []windowDoc `json:"windows"`
		Explanation string      `json:"explanation"`
	}
	windowDoc struct {
		Call    string  `json:"call"`
		Limit   int     `json:"limit"`
		Seconds float64 `json:"seconds"`
		Most    int     `json:"most"`
		MostAt  string  `json:"mostAt,omitempty"`
	}
	planDoc struct {
		At         string          `json:"at"`
		List       string          `json:"list"`
		ListSHA256 string          `json:"listSha256"`
		Digest     string          `json:"digest"`
		Settings   json.RawMessage `json:"settings,omitempty"`
	}
	runDoc struct {
		ID       int64  `json:"id"`
		What     string `json:"what"`
		Who      string `json:"who"`
		Host     string `json:"host"`
		PID      int64  `json:"pid"`
		Version  string `json:"version"`
		Agreed   string `json:"agreed"`
		Started  string `json:"started"`
		Ended    string `json:"ended,omitempty"`
		LastSign string `json:"lastSignOfLife,omitempty"`
		Why      string `json:"why,omitempty"`
		ExitCode *int   `json:"exitCode,omitempty"`
	}
	holdDoc struct {
		At    string `json:"at"`
		Until string `json:"until"`
		Call  string `json:"call"`
		Why   string `json:"why"`
	}
	actionDoc struct {
		ID        string `json:"id"`
		Type      string `json:"type,omitempty"`
		Status    string `json:"status,omitempty"`
		Requestor string `json:"requestor,omitempty"`
		Created   string `json:"created,omitempty"`
		Updated   string `json:"updated,omitempty"`
		Error     string `json:"error,omitempty"`
	}
	deviceDoc struct {
		Line     int        `json:"line"`
		File     string     `json:"file,omitempty"`
		InList   bool       `json:"inList"`
		Device   string     `json:"machineId"`
		Name     string     `json:"computerDnsName,omitempty"`
		Comment  string     `json:"comment,omitempty"`
		Cells    []string   `json:"cells,omitempty"`
		Status   string     `json:"status"`
		Reason   string     `json:"reason,omitempty"`
		Action   *actionDoc `json:"action,omitempty"`
		Health   string     `json:"health,omitempty"`
		Spent    int        `json:"attemptsSpent"`
		Attempts []callDoc  `json:"attempts,omitempty"`
	}
	callDoc struct {
		ID         int64  `json:"id"`
		Run        int64  `json:"run"`
		Call       string `json:"call"`
		Number     int    `json:"number,omitempty"`
		Tag        string `json:"tag,omitempty"`
		Action     string `json:"machineActionId,omitempty"`
		Sent       bool   `json:"sent"`
		ReservedAt string `json:"reservedAt"`
		OverAt     string `json:"overAt,omitempty"`
		Outcome    string `json:"outcome,omitempty"`
		HTTPStatus int    `json:"httpStatus,omitempty"`
		ErrorCode  string `json:"errorCode,omitempty"`
		Message    string `json:"message,omitempty"`
		Target     string `json:"target,omitempty"`
		RequestID  string `json:"requestId,omitempty"`
		ServerDate string `json:"serverDate,omitempty"`
	}
)

// exact gives a time as the checkpoint has it, to the microsecond.
func exact(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// writeJSON writes audit.json: the document with its devices last, one a line,
// so that the largest part can be written and read without holding it whole.
func (a *audit) writeJSON(w io.Writer, r checkpoint.Reader, doc auditDoc) error {
	head, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	out.Write(bytes.TrimSuffix(head, []byte("\n}")))
	out.WriteString(",\n  \"devices\": [")
	sep := "\n    "
	if err := r.EachResult(a.batch.ID, func(t checkpoint.Task, _ checkpoint.Attempt) error {
		line, err := json.Marshal(a.device(t))
		if err != nil {
			return err
		}
		out.WriteString(sep)
		sep = ",\n    "
		_, err = out.Write(line)
		return err
	}); err != nil {
		return err
	}
	out.WriteString("\n  ]\n}\n")
	return out.Flush()
}

// doc is the document without its devices.
func (a *audit) doc() auditDoc {
	b := a.batch
	d := auditDoc{
		Format: auditFormat, Version: auditVersion, Simulated: b.Simulated,
		Batch: batchDoc{Name: b.Name, Cloud: b.Key.Cloud, TenantID: b.Key.Tenant, Application: b.Key.Application, Host: b.Host,
			Created: exact(b.Created), Closed: b.Closed, List: b.List, ListSHA256: b.ListDigest, Columns: some(b.Columns),
			Chain: chainDoc{b.Events, b.Head}},
		Counts: countsDoc{a.sum.Lines, a.sum.Gone, a.sum.Counts[checkpoint.Accepted], a.sum.Counts[checkpoint.AlreadyActive],
			a.sum.Counts[checkpoint.Refused], a.sum.Counts[checkpoint.Failed], a.sum.Counts[checkpoint.InDoubt],
			a.sum.Counts[checkpoint.Skipped], a.sum.Counts[checkpoint.Pending]},
		Quota: a.schedule.doc(), Actions: []tallyDoc{}, Reasons: []reasonDoc{}, Plans: []planDoc{}, Runs: []runDoc{}, Holds: []holdDoc{},
		Calls: a.callDocs(a.about[""]),
	}
	for _, t := range a.actions {
		if k := len(d.Actions) - 1; k >= 0 && d.Actions[k].Status == t.name {
			d.Actions[k].Devices += t.n
		} else {
			d.Actions = append(d.Actions, tallyDoc{t.name, t.n})
		}
	}
	for _, r := range a.reasons {
		d.Reasons = append(d.Reasons, reasonDoc{string(r.status), r.http, r.code, r.why, r.devices})
	}
	for _, p := range a.plans {
		doc := planDoc{At: exact(p.at), List: p.List, ListSHA256: p.ListDigest, Digest: p.PlanDigest}
		if json.Valid([]byte(p.Options)) {
			doc.Settings = json.RawMessage(p.Options)
		}
		d.Plans = append(d.Plans, doc)
	}
	for _, r := range a.runs {
		d.Runs = append(d.Runs, runDocOf(r))
	}
	for _, h := range a.holds {
		d.Holds = append(d.Holds, holdDoc{exact(h.at), exact(h.Until), h.Kind, h.Why})
	}
	return d
}

// some makes an empty list of none, which JSON tells apart.
func some(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (s *schedule) doc() quotaDoc {
	d := quotaDoc{Windows: []windowDoc{},
		Explanation: "most is the largest number of calls of the kind that Defender may have counted in any window of that length: " +
			"those that had been reserved and were not over for that long"}
	for _, b := range s.budgets {
		d.Shared = b.kind == allKinds
		d.Calls, d.OtherCalls = d.Calls+len(b.own), d.OtherCalls+len(b.others)
		for _, l := range b.levels {
			d.Windows = append(d.Windows, windowDoc{b.kind, l.Limit, l.Per.Seconds(), l.most, exact(l.mostAt)})
		}
	}
	return d
}

func runDocOf(r checkpoint.Run) runDoc {
	d := runDoc{ID: r.ID, What: r.What, Who: r.Who, Host: r.Host, PID: r.PID, Version: r.Version, Agreed: r.Agreed,
		Started: exact(r.Started), Ended: exact(r.Ended), Why: r.Why}
	if r.Ended.IsZero() {
		d.LastSign = exact(r.Alive)
	} else {
		d.ExitCode = &r.Code
	}
	return d
}

// device is a task with all its attempts, in the order of time.
func (a *audit) device(t checkpoint.Task) deviceDoc {
	attempts := a.attempts[t.N]
	if t.Action.ID != "" || len(attempts) > 0 { // not a duplicate of the line: such a call is told once
		attempts = slices.Concat(attempts, a.about[t.Device])
		slices.SortFunc(attempts, func(x, y checkpoint.Attempt) int { return cmp.Compare(x.ID, y.ID) })
	}
	d := deviceDoc{Line: t.Line, File: t.File, InList: t.Position != 0, Device: t.Device, Name: t.Name, Comment: t.Comment,
		Cells: t.Extra, Status: string(told(t.Status)), Reason: t.Reason, Health: t.Health, Spent: t.Attempts,
		Attempts: a.callDocs(attempts)}
	if t.Action.ID != "" {
		d.Action = &actionDoc{t.Action.ID, t.Action.Type, t.Action.Status, t.Action.Requestor, t.Action.Created, t.Action.Updated, t.Action.Error}
	}
	return d
}

func (a *audit) callDocs(attempts []checkpoint.Attempt) []callDoc {
	docs := make([]callDoc, 0, len(attempts))
	for _, at := range attempts {
		docs = append(docs, callDoc{ID: at.ID, Run: at.Run, Call: at.Kind, Number: at.Number, Tag: at.Tag, Action: a.ids.of[at.ID],
			Sent: at.Sent, ReservedAt: exact(at.Reserved), OverAt: exact(at.Over), Outcome: at.Outcome,
			HTTPStatus: at.Status, ErrorCode: at.Code, Message: at.Message, Target: at.Target, RequestID: at.RequestID,
			ServerDate: exact(at.Date)})
	}
	return docs
}
