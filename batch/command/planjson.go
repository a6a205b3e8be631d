package command

import (
	"encoding/json"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// planFields is what planJSON looks like, for the help.
const planFields = `  batch, new (null: not known, as the list alone is refused), list, listDigest,
  lines, notes
  target     tenant, application, host, simulated (empty: not known)
  toDo       devices that would be called
  canary     how many go first, of these or of those in doubt; 0: all at once
  inDoubt    devices that are looked up first
  duplicate, invalid
  held       kind of reason → count, first: protected, perhaps protected,
             other name, merged, not onboarded, recently seen, accepted before
  warned     kind of doubt → count, first: not in the inventory, doubtful
             platform, in flight or in doubt in another batch
  done       status → count, of earlier runs of the batch
  changes    of the list since: added, withdrawn, gone, comment
  problems   file, line, column, kind, text, hint of the first 1,000 bad lines
  inventory  at, devices, onboarded; null: not read
  forecast   last (when the last call goes), why, calls, night (in which of the
             allowed hours that is; 0: at any hour)
    thisRun  calls, from, until (null: no end by the clock); outside of the
             hours, without --wait, of a run from when they open; null: no call
  refused    why, hint; null: it can be run
  digest     for run --plan; empty: the target is not known`

// planJSON is a plan as scripts read it. Names stay; new ones may come.
type planJSON struct {
	Batch      string                    `json:"batch"`
	New        *bool                     `json:"new"`
	List       string                    `json:"list"`
	ListDigest string                    `json:"listDigest"`
	Lines      int                       `json:"lines"`
	Notes      []string                  `json:"notes"`
	Target     targetJSON                `json:"target"`
	ToDo       int                       `json:"toDo"`
	Canary     int                       `json:"canary"`
	InDoubt    int                       `json:"inDoubt"`
	Duplicate  int                       `json:"duplicate"`
	Invalid    int                       `json:"invalid"`
	Held       map[string]*batch.Tally   `json:"held"`
	Warned     map[string]*batch.Tally   `json:"warned"`
	Done       map[checkpoint.Status]int `json:"done"`
	Changes    changesJSON               `json:"changes"`
	Problems   []problemJSON             `json:"problems"`
	Inventory  *inventoryJSON            `json:"inventory"`
	Forecast   *forecastJSON             `json:"forecast"`
	Refused    *refusedJSON              `json:"refused"`
	Digest     string                    `json:"digest"`
}

type targetJSON struct {
	Tenant      string `json:"tenant"`
	Application string `json:"application"`
	Host        string `json:"host"`
	Simulated   bool   `json:"simulated"`
}

type changesJSON struct {
	Added     int `json:"added"`
	Withdrawn int `json:"withdrawn"`
	Gone      int `json:"gone"`
	Comment   int `json:"comment"`
}

type problemJSON struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Kind   string `json:"kind"`
	Text   string `json:"text"`
	Hint   string `json:"hint"`
}

type inventoryJSON struct {
	At        time.Time `json:"at"`
	Devices   int       `json:"devices"`
	Onboarded int       `json:"onboarded"`
}

type forecastJSON struct {
	Last    time.Time   `json:"last"`
	Why     string      `json:"why"`
	Calls   int         `json:"calls"`
	Night   int         `json:"night"`
	ThisRun thisRunJSON `json:"thisRun"`
}

type thisRunJSON struct {
	Calls int        `json:"calls"`
	From  time.Time  `json:"from"`
	Until *time.Time `json:"until"`
}

type refusedJSON struct {
	Why  string `json:"why"`
	Hint string `json:"hint"`
}

// writePlan writes the plan to standard output.
func (a *app) writePlan(j *job, s *connected, p *batch.Plan) error {
	out := planJSON{Batch: j.name, List: p.List, ListDigest: p.ListDigest, Lines: p.Lines, Notes: p.Notes,
		Target: targetJSON{Tenant: s.Key.Tenant, Application: s.Key.Application, Host: s.Host, Simulated: s.Simulated},
		ToDo:   p.ToDo, Canary: p.CanaryLeft(), InDoubt: p.InDoubt, Duplicate: p.Duplicates, Invalid: p.Invalid,
		Held: p.Held, Warned: p.Warned, Done: p.Done, Problems: []problemJSON{},
		Changes: changesJSON{Added: p.Added, Withdrawn: p.Withdrawn, Gone: p.Gone, Comment: p.Recomment}}
	if !p.Drafted() {
		out.New = new(p.Batch.ID == 0)
	}
	for _, b := range p.Problems {
		out.Problems = append(out.Problems, problemJSON{File: b.File, Line: b.Line, Column: b.Column, Kind: string(b.Kind), Text: b.Text, Hint: b.Hint})
	}
	if inv := p.Request.Inventory; inv != nil {
		out.Inventory = &inventoryJSON{At: inv.At.UTC(), Devices: inv.Len(), Onboarded: inv.Onboarded}
	}
	if o, ok := a.outlook(j, s, p); ok {
		out.Forecast = &forecastJSON{Last: o.Last.UTC(), Why: o.Why, Calls: p.ToDo, Night: o.night, ThisRun: thisRunJSON{Calls: o.calls, From: o.from.UTC()}}
		if until := o.until.UTC(); !until.IsZero() {
			out.Forecast.ThisRun.Until = &until
		}
	}
	if stop := p.Refused(); stop != nil {
		out.Refused = &refusedJSON{Why: stop.Why, Hint: stop.Hint}
	}
	if s.targeted() {
		out.Digest = p.Digest(s.Target())
	}
	enc := json.NewEncoder(a.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
