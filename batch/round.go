package batch

import (
	"encoding/json"

	"mde-offboard/batch/checkpoint"
)

// round is which of a batch's calls belong together for --canary: those since
// devices were last added to what is to be done, by a longer list, --again or
// --retry. What was answered for in an earlier round vouches for nothing in this
// one. A list that grows every day thus has a canary every day.
//
// It is kept among the settings of each plan, as numbers of events. A batch that
// never was added to is in its first round, from 0.
type round struct {
	From  int64 `json:"roundFrom"`
	Again int64 `json:"roundAgain"` // the last event before --again or --retry took devices up; 0: they did not

	open         bool // some of it is still to be sent
	added, taken bool // by the plan at hand
}

// roundOf is the round in which a batch is. Settings of an older program, which
// have none, are those of a first one.
func roundOf(b checkpoint.Batch, have []checkpoint.Task) (r round) {
	// What cannot be read is no round: the audit tells of damaged settings.
	_ = json.Unmarshal([]byte(b.Options), &r)
	for i := range have {
		r.open = r.open || have[i].Status == checkpoint.Pending
	}
	return r
}

// has says that --again or --retry took a task up in this round and it was called
// since. While the rest is pending, the same command goes on with that and does not
// begin anew.
func (r *round) has(t *checkpoint.Task) bool { return r.begunBefore(t.Attempt) }

// begunBefore says whether --again or --retry took devices up before an event, in
// the round that is still to be gone on with.
func (r *round) begunBefore(event int64) bool { return r.open && r.Again > 0 && event > r.Again }

// next begins a new round if the plan has added anything to what is to be done.
func (r *round) next(b checkpoint.Batch) {
	if r.taken && (!r.open || r.Again == 0) {
		r.Again = b.Events
	}
	if r.added || r.taken {
		r.From = b.Events
	}
}

// among puts the round among a plan's settings.
func (r *round) among(settings string) string {
	all := map[string]any{}
	if r.From == 0 && r.Again == 0 || json.Unmarshal([]byte(settings), &all) != nil {
		return settings
	}
	all["roundFrom"], all["roundAgain"] = r.From, r.Again
	b, err := json.Marshal(all)
	if err != nil {
		return settings
	}
	return string(b)
}
