package checkpoint

import (
	"errors"
	"testing"
	"time"
)

func TestForget(t *testing.T) {
	t.Parallel()
	const hour = 3600.0
	closed := "cancelled"
	for _, tt := range []struct {
		why    string
		status Status // of the one task
		over   bool   // its call
		ended  bool   // its run
		closed bool
		hold   float64
		when   float64
		may    bool
		action string // status of the one task's
	}{
		{why: "done long ago", status: Accepted, over: true, ended: true, when: 3 * hour, may: true},
		{why: "its action is open", status: Accepted, over: true, ended: true, when: 3 * hour, action: "Pending"},
		{why: "its action has a status that nobody knows", status: Accepted, over: true, ended: true, when: 3 * hour, action: "Paused"},
		{why: "its action failed", status: Accepted, over: true, ended: true, when: 3 * hour, action: "TimeOut", may: true},
		{why: "its action was cancelled", status: Accepted, over: true, ended: true, closed: true, when: 3 * hour, action: "Cancelled", may: true},
		{why: "its action is open, and half a year old", status: Accepted, over: true, ended: true, when: 181 * 24 * hour, action: "Pending", may: true},
		{why: "done an hour ago: the quota knows its calls", status: Accepted, over: true, ended: true, when: hour},
		{why: "in doubt", status: InDoubt, over: true, ended: true, when: 3 * hour},
		{why: "in doubt, and closed", status: InDoubt, over: true, ended: true, closed: true, when: 3 * hour},
		{why: "in flight", status: Sending, ended: true, when: 3 * hour},
		{why: "pending", status: Pending, over: true, ended: true, when: 3 * hour},
		{why: "pending, and closed", status: Pending, over: true, ended: true, closed: true, when: 3 * hour, may: true},
		{why: "its run died long ago with a list call open", status: Accepted, when: 3 * hour, may: true},
		{why: "its run died two hours ago with a list call open", status: Accepted, when: 2*hour + 60},
		{why: "a hold of its is not over", status: Accepted, over: true, ended: true, hold: 4 * hour, when: 3 * hour},
	} {
		path := temp(t)
		s := open(t, path)
		batch, run := start(t, s, "old", "d1")
		other, _ := start(t, s, "other", "d2")
		var a int64
		e := Event{Kind: "change", At: at(1), Tasks: []TaskChange{{N: 1, Status: tt.status}}}
		if tt.action != "" {
			a = s.mustReserve(t, batch, run, 1, "d1", budget(9), 0)
			e.Tasks[0].Action = &Action{ID: "a1", Status: tt.action}
		} else {
			a = s.mustReserve(t, batch, run, 0, "", budget(9), 0)
		}
		if tt.over {
			e.Outcome = []Outcome{{Attempt: a, Over: at(1)}}
		}
		if tt.ended {
			e.End = &RunEnd{Run: run}
		}
		if tt.closed {
			e.Closed = &closed
		}
		if tt.hold > 0 {
			e.Hold = &HoldSet{key.String(), "*", at(tt.hold), "429"}
		}
		s.mustAppend(t, batch, e)
		if err := s.writeHead(true); err != nil {
			t.Fatal(err)
		}
		err := s.Forget(batch, at(tt.when))
		var needed *ErrNeeded
		if tt.may && err != nil || !tt.may && !errors.As(err, &needed) {
			t.Errorf("%s: Forget = %v; want allowed: %v", tt.why, err, tt.may)
		}
		s.mustVerify(t)
		if err := s.View(t.Context(), func(r Reader) error {
			if _, err := r.Batch(batch); tt.may != errors.Is(err, ErrNoBatch) {
				t.Errorf("%s: Batch = %v; want it gone: %v", tt.why, err, tt.may)
			}
			_, err := r.Batch(other)
			return err
		}); err != nil {
			t.Errorf("%s: the other batch: %v", tt.why, err)
		}
		if id, _ := start(t, s, "new", "d3"); id == batch {
			t.Errorf("%s: a new batch got the id of the forgotten one, %d", tt.why, id)
		}
		s.mustVerify(t)
		copyTo(t, path, path+"-copy") // as a crash here would leave it
		open(t, path+"-copy").mustVerify(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		open(t, path).mustVerify(t)
	}
}

// TestForgetUntil has the time named from which a batch can be forgotten, and it
// holds.
func TestForgetUntil(t *testing.T) {
	s := open(t, temp(t))
	batch, run := start(t, s, "list", "d1")
	a := s.mustReserve(t, batch, run, 0, "", budget(9), 0)
	s.mustAppend(t, batch, Event{Kind: "change", At: at(1), Tasks: []TaskChange{{N: 1, Status: Accepted}},
		Outcome: []Outcome{{Attempt: a, Over: at(1)}}, End: &RunEnd{Run: run}})
	var needed *ErrNeeded
	if err := s.Forget(batch, at(60)); !errors.As(err, &needed) || needed.Until.Before(at(7200)) || needed.Until.After(at(7300)) {
		t.Fatalf("Forget a minute after the call = %v, %+v; want it needed for two hours from the call", err, needed)
	}
	if err := s.Forget(batch, needed.Until.Add(-time.Millisecond)); !errors.As(err, &needed) {
		t.Errorf("Forget before that time = %v; want it needed", err)
	}
	if err := s.Forget(batch, needed.Until); err != nil {
		t.Errorf("Forget at that time = %v; want it gone", err)
	}
}

func TestForgetARunAtWork(t *testing.T) {
	s := open(t, temp(t))
	batch, run := start(t, s, "list")
	now := t0.Add(5 * time.Hour)
	if err := s.Alive(batch, run, now); err != nil {
		t.Fatal(err)
	}
	var needed *ErrNeeded
	if err := s.Forget(batch, now.Add(time.Second)); !errors.As(err, &needed) {
		t.Errorf("Forget of a batch with a run at work = %v; want it needed", err)
	}
	if err := s.Forget(batch+7, now); !errors.Is(err, ErrNoBatch) {
		t.Errorf("Forget of a batch that is not there = %v; want ErrNoBatch", err)
	}
}

// TestForgetSimulated: nobody waits for the actions of a rehearsal.
func TestForgetSimulated(t *testing.T) {
	s := open(t, temp(t))
	var batch, run int64
	s.mustUpdate(t, func(tx *Tx) (err error) {
		batch, err = tx.NewBatch(NewBatch{Name: "list", Cloud: key.Cloud, Tenant: key.Tenant, Application: key.Application, Simulated: true}, t0)
		return err
	})
	s.mustAppend(t, batch, Event{Kind: "lines", At: t0, Lines: []Line{{N: 1, Position: 1, Device: "d1"}}})
	s.mustUpdate(t, func(tx *Tx) (err error) {
		run, err = tx.Append(batch, startOfRun())
		return err
	})
	a := s.mustReserve(t, batch, run, 1, "d1", budget(9), 0)
	s.mustAppend(t, batch, Event{Kind: "change", At: at(1), Tasks: []TaskChange{{N: 1, Status: Accepted, Action: &Action{ID: "a1", Status: "Pending"}}},
		Outcome: []Outcome{{Attempt: a, Over: at(1)}}, End: &RunEnd{Run: run}})
	if err := s.Forget(batch, at(3*3600)); err != nil {
		t.Errorf("Forget = %v; want it gone", err)
	}
}
