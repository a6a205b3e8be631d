package checkpoint

import (
	"errors"
	"testing"
)

func TestReserveOneCallForADevice(t *testing.T) {
	t.Parallel()
	const device = "d1"
	closed := "cancelled"
	for _, tt := range []struct {
		why     string
		there   Status // of the task in the other batch
		closed  bool   // the other batch is
		same    bool   // it is the same task of the same batch
		again   bool
		want    Status // of Busy; empty: the call may go
		another Key    // the other batch's, if not the same
		action  string // status of the action there
		over    bool   // it was seen to be over
	}{
		{why: "in flight elsewhere", there: Sending, want: Sending},
		{why: "in doubt elsewhere", there: InDoubt, want: InDoubt},
		{why: "in flight in a batch that was closed is in flight", there: Sending, closed: true, want: Sending},
		{why: "in doubt in a batch that was closed is in doubt", there: InDoubt, closed: true, want: InDoubt},
		{why: "in doubt is not to be called again on request", there: InDoubt, again: true, want: InDoubt},
		{why: "accepted elsewhere", there: Accepted, want: Accepted},
		{why: "accepted elsewhere, wanted again, and its action is open", there: Accepted, again: true, action: "Pending", want: Accepted},
		{why: "accepted elsewhere, wanted again, and its action is over", there: Accepted, again: true, action: "Succeeded"},
		{why: "accepted elsewhere, wanted again, and its action was seen to be over", there: Accepted, again: true, action: "Pending", over: true},
		{why: "accepted elsewhere, and its action was seen to be over", there: Accepted, action: "Pending", over: true, want: Accepted},
		{why: "accepted in a batch that was closed", there: Accepted, closed: true, want: Accepted},
		{why: "accepted elsewhere, and nobody knows how it went", there: Accepted, action: "Paused", want: Accepted},
		{why: "done elsewhere", there: Accepted, action: "Succeeded", want: Accepted},
		{why: "accepted elsewhere, and it failed", there: Accepted, action: "Failed"},
		{why: "accepted elsewhere, and it timed out", there: Accepted, action: "TimeOut"},
		{why: "accepted elsewhere, and it was cancelled", there: Accepted, action: "Cancelled"},
		{why: "in doubt elsewhere after one that failed", there: InDoubt, action: "Failed", want: InDoubt},
		{why: "refused elsewhere", there: Refused},
		{why: "pending elsewhere", there: Pending},
		{why: "another tenant's device", there: Sending, another: Key{"commercial", "another", "app"}},
		{why: "another cloud's tenant", there: Sending, another: Key{"gcc-high", "tenant", "app"}},
		{why: "another application of the tenant", there: Sending, another: Key{"commercial", "tenant", "another"}, want: Sending},
		{why: "the same task in flight", there: Sending, same: true, want: Sending},
		{why: "the same task in doubt was looked up", there: InDoubt, same: true},
		{why: "the same task accepted", there: Accepted, same: true, want: Accepted},
	} {
		s := open(t, temp(t))
		batch, run := start(t, s, "list", device)
		other := batch
		if !tt.same {
			k := tt.another
			if k == (Key{}) {
				k = key
			}
			s.mustUpdate(t, func(tx *Tx) (err error) {
				other, err = tx.NewBatch(NewBatch{Name: "other", Cloud: k.Cloud, Tenant: k.Tenant, Application: k.Application}, t0)
				return err
			})
			s.mustAppend(t, other, Event{Kind: "lines", At: t0, Lines: []Line{{N: 1, Position: 1, Device: device}}})
		}
		e := Event{Kind: "change", At: t0, Tasks: []TaskChange{{N: 1, Status: tt.there, Action: &Action{ID: "a1", Requestor: "ada", Status: tt.action}}}}
		if tt.closed {
			e.Closed = &closed
		}
		s.mustAppend(t, other, e)
		var beforehand map[string]Busy
		if err := s.View(t.Context(), func(r Reader) (err error) {
			beforehand, err = r.Elsewhere(key.Cloud, key.Tenant, batch)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, held := beforehand[device]; !tt.same && !tt.again && held != (tt.want != "") {
			t.Errorf("%s: Elsewhere = %v; want what Reserve says, %q", tt.why, beforehand, tt.want)
		}
		_, err := s.Reserve(batch, Intent{Run: run, N: 1, Device: device, Again: tt.again, Over: func(a Action) bool { return tt.over && a.ID == "a1" }}, budget(9), clock(1))
		var busy *Busy
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: Reserve = %v; want a slot", tt.why, err)
		case tt.want != "" && (!errors.As(err, &busy) || busy.Status != tt.want || busy.Action.ID != "a1"):
			t.Errorf("%s: Reserve = %v; want busy, %s, with its action", tt.why, err, tt.want)
		case tt.want != "" && s.free(t, budget(9), 1) != 9:
			t.Errorf("%s: a refusal took a slot", tt.why)
		}
		s.mustVerify(t)
	}
}

func TestReserveNeedsARunAtWork(t *testing.T) {
	s := open(t, temp(t))
	batch, run := start(t, s, "list", "d1")
	if _, err := s.reserve(batch, run+7, 1, "d1", budget(9), 1); err == nil {
		t.Error("Reserve for a run that is not there = nil; want an error: its call would be in no history")
	}
	s.mustAppend(t, batch, Event{Kind: "end", At: at(1), End: &RunEnd{Run: run, Why: "done"}})
	if _, err := s.reserve(batch, run, 1, "d1", budget(9), 2); err == nil {
		t.Error("Reserve for a run that has ended = nil; want an error: others take its calls for over")
	}
	if err := s.Alive(batch, run, at(3)); err == nil {
		t.Error("Alive for a run that has ended = nil; want an error")
	}
	s.mustVerify(t)
}
