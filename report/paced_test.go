package report

import (
	"fmt"
	"math/rand/v2"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// paced fills a batch of so many devices and sends to them as fast as the quota
// allows, until a run has sent so many; one run a night. Some answers are
// refusals, and one is a hold.
func paced(w *world, devices int, nights ...int) {
	w.t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	w.newBatch("retired-laptops-2026", false)
	plan := checkpoint.Plan{List: "retired-laptops-2026.csv", ListDigest: fmt.Sprintf("%064x", 7), PlanDigest: "4be01f9a77c3d2e8", Options: settings}
	w.plan(plan)
	w.lines(listed(devices)...)
	device := 0
	history := []time.Time{} // when each call was over
	for night, calls := range nights {
		if night > 0 {
			w.now = t0.Add(time.Duration(night) * 24 * time.Hour)
		}
		w.start("run", "typed the number of devices")
		w.in(func(tx *checkpoint.Tx) error {
			for range calls {
				device++
				w.wait(time.Duration(20+rng.IntN(200)) * time.Millisecond)
				from, why := w.now, ""
				for _, l := range documented {
					if k := len(history) - l.Limit; k >= 0 && w.now.Before(history[k].Add(l.Held())) {
						w.now, why = history[k].Add(l.Held()), span(l.Per)+" window"
					}
				}
				if err := w.waitedIn(tx, batch.WaitedForWindow, why, from); err != nil {
					return err
				}
				a := mixed(device, rng)
				if err := w.callIn(tx, int64(device), a); err != nil {
					return err
				}
				history = append(history, w.now.Add(a.after))
				if a.hold > 0 {
					w.wait(a.hold + a.after)
				}
			}
			return nil
		})
		w.wait(3 * time.Second)
		if device < devices {
			w.end("the time was used up", 4)
		} else {
			w.end("done", 3)
		}
	}
}

// listed are the lines of a list of so many devices.
func listed(devices int) (lines []checkpoint.Line) {
	owners := []string{"Hardware refresh, ticket CHG0042", "Returned by leaver", "Lab closed, ticket CHG0107"}
	for n := 1; n <= devices; n++ {
		lines = append(lines, checkpoint.Line{N: int64(n), Position: int64(n), File: "retired-laptops-2026.csv", Line: n + 1, Device: device(n),
			Name: fmt.Sprintf("lap-%05d.corp.example", n), Comment: owners[n%3]})
	}
	return lines
}

// mixed is an answer as a tenant gives them: mostly accepted.
func mixed(n int, rng *rand.Rand) answer {
	after := time.Duration(80+rng.IntN(300)) * time.Millisecond
	switch {
	case n%97 == 0:
		return answer{after: after, outcome: "refused", http: 404, code: "ResourceNotFound", message: "Machine " + device(n) + " was not found",
			target: "|a1b2.7", status: checkpoint.Refused, reason: "ResourceNotFound"}
	case n%61 == 0:
		return answer{after: after, outcome: "refused", http: 400, code: "OsPlatformNotSupported", message: "Operation is not supported on this platform",
			target: "|a1b2.8", status: checkpoint.Refused, reason: "OsPlatformNotSupported"}
	case n%83 == 0:
		return answer{after: after, outcome: "already-active", http: 400, code: "ActiveRequestAlreadyExists", message: "Action is already in progress",
			status: checkpoint.AlreadyActive, reason: "an offboard action of soc-automation is open", action: action(n, "Pending")}
	case n == 700:
		return answer{after: after, outcome: "again", http: 429, code: "TooManyRequests", message: "429 from Defender", status: checkpoint.Pending, hold: 4 * time.Minute}
	}
	a := accepted(n)
	a.after = after
	return a
}

// waitedIn writes a wait that is over by now, as a run does that has waited for
// two seconds.
func (w *world) waitedIn(tx *checkpoint.Tx, kind, why string, from time.Time) error {
	if w.now.Sub(from) < 2*time.Second {
		return nil
	}
	for _, e := range []checkpoint.Event{{At: from.Add(2 * time.Second), Wait: &checkpoint.Wait{Kind: kind, Why: why, Since: from, Until: w.now}},
		{At: w.now, Wait: &checkpoint.Wait{}}} {
		e.Kind, e.Run = "wait", w.run
		if _, err := tx.Append(w.batch, e); err != nil {
			return err
		}
	}
	return nil
}

// callIn is call within a transaction.
func (w *world) callIn(tx *checkpoint.Tx, n int64, a answer) error {
	id, err := tx.Append(w.batch, checkpoint.Event{Kind: "intent", At: w.now, Run: w.run,
		Intent: &checkpoint.Intent{Run: w.run, Key: w.key.String(), Kind: batch.CallOffboard, N: n, Device: device(int(n)), Number: 1, Tag: fmt.Sprintf("mdo-%08d", n)},
		Tasks:  []checkpoint.TaskChange{{N: n, Status: checkpoint.Sending}}})
	if err != nil {
		return err
	}
	over, one := w.now.Add(a.after), 1
	e := checkpoint.Event{Kind: "outcome", At: over, Run: w.run,
		Outcome: []checkpoint.Outcome{{Attempt: id, Over: over, Outcome: a.outcome, Status: a.http, Code: a.code, Message: a.message,
			Target: a.target, RequestID: fmt.Sprintf("5d0e6a3c-0001-4f0e-9d0f-%012d", n)}},
		Tasks: []checkpoint.TaskChange{{N: n, Status: a.status, Reason: &a.reason, Attempts: &one, Action: a.action}}}
	if a.hold > 0 {
		e.Hold = &checkpoint.HoldSet{Key: w.key.String(), Kind: "*", Until: over.Add(a.hold), Why: a.message}
	}
	_, err = tx.Append(w.batch, e)
	return err
}
