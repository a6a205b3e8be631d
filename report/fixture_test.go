package report

import (
	"crypto/sha1"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// t0 is when the fixtures' first run starts.
var t0 = time.Date(2026, 11, 22, 21, 58, 30, 0, time.UTC)

const tenant = "3f2b7c54-0d5e-4b7e-9a39-6f0d9b6f1c11"

// world is a checkpoint that a test fills as a run would, at times of its own.
type world struct {
	t     testing.TB
	s     *checkpoint.Store
	batch int64
	run   int64
	key   checkpoint.Key
	now   time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &world{t: t, s: s, now: t0, key: checkpoint.Key{Cloud: "commercial", Tenant: tenant, Application: "b0a1d1f6-2f64-4a35-8c3f-6d3f7b8e2a90"}}
}

// in runs fn in one transaction.
func (w *world) in(fn func(tx *checkpoint.Tx) error) {
	w.t.Helper()
	if err := w.s.Update(fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newBatch(name string, simulated bool) {
	w.t.Helper()
	w.in(func(tx *checkpoint.Tx) (err error) {
		w.batch, err = tx.NewBatch(checkpoint.NewBatch{Name: name, Cloud: w.key.Cloud, Tenant: w.key.Tenant,
			Application: w.key.Application, Host: "https://api.security.microsoft.com", Simulated: simulated}, w.now)
		return err
	})
}

func (w *world) plan(p checkpoint.Plan) {
	w.t.Helper()
	w.append(checkpoint.Event{Kind: "plan", Plan: &p})
}

// append adds an event at the world's time.
func (w *world) append(e checkpoint.Event) (seq int64) {
	w.t.Helper()
	e.At, e.Run = w.now, w.run
	w.in(func(tx *checkpoint.Tx) (err error) {
		seq, err = tx.Append(w.batch, e)
		return err
	})
	return seq
}

func (w *world) lines(lines ...checkpoint.Line) {
	w.t.Helper()
	w.append(checkpoint.Event{Kind: "lines", Lines: lines})
}

func (w *world) start(what, agreed string) {
	w.t.Helper()
	w.run = w.append(checkpoint.Event{Kind: "run", Start: &checkpoint.RunStart{What: what, Who: `CORP\anna`, Host: "OPS-07",
		PID: 4711, Version: "v1.0.0", Agreed: agreed, Grace: (2 * time.Minute).Microseconds()}})
}

func (w *world) end(why string, code int) {
	w.t.Helper()
	w.append(checkpoint.Event{Kind: "end", End: &checkpoint.RunEnd{Run: w.run, At: w.now, Why: why, Code: code}})
}

// alive writes a sign of life of the run, which is no event.
func (w *world) alive() {
	w.t.Helper()
	if err := w.s.Alive(w.batch, w.run, w.now); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) batches() (all []checkpoint.Batch) {
	w.t.Helper()
	if err := w.s.View(w.t.Context(), func(r checkpoint.Reader) (err error) {
		all, err = r.Batches()
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// beside makes another batch whose call counts against the same quota.
func (w *world) beside(call func()) {
	w.t.Helper()
	batch, run := w.batch, w.run
	w.newBatch("beside", false)
	w.plan(checkpoint.Plan{List: "beside.csv", Options: settings})
	w.lines(checkpoint.Line{N: 1, Position: 1, File: "beside.csv", Line: 2, Device: device(100)})
	w.start("run", "--yes")
	w.wait(9 * time.Second)
	call()
	w.wait(time.Second)
	w.end("", 0)
	w.batch, w.run = batch, run
}

func (w *world) wait(d time.Duration) { w.now = w.now.Add(d) }

// answer is what came back for a call; the zero answer is none at all.
type answer struct {
	after   time.Duration
	outcome string
	http    int
	code    string
	message string
	target  string
	status  checkpoint.Status
	reason  string
	action  *checkpoint.Action
	hold    time.Duration
}

// intent writes that an offboard call of a task leaves now.
func (w *world) intent(n int64, number int) (attempt int64) {
	w.t.Helper()
	return w.append(checkpoint.Event{Kind: "intent",
		Intent: &checkpoint.Intent{Run: w.run, Key: w.key.String(), Kind: batch.CallOffboard, N: n, Device: device(int(n)),
			Number: number, Tag: fmt.Sprintf("mdo-%08d", n*10+int64(number))},
		Tasks: []checkpoint.TaskChange{{N: n, Status: checkpoint.Sending}}})
}

// call writes an offboard call of a task that leaves now and its answer.
func (w *world) call(n int64, number int, a answer) {
	w.t.Helper()
	id := w.intent(n, number)
	before := w.now
	w.now = w.now.Add(a.after)
	e := checkpoint.Event{Kind: "outcome",
		Outcome: []checkpoint.Outcome{{Attempt: id, Over: w.now, Outcome: a.outcome, Status: a.http, Code: a.code,
			Message: a.message, Target: a.target, RequestID: fmt.Sprintf("5d0e6a3c-%04d-4f0e-9d0f-%012d", number, n), Date: w.now.Truncate(time.Second)}},
		Tasks: []checkpoint.TaskChange{{N: n, Status: a.status, Reason: &a.reason, Attempts: &number, Action: a.action}}}
	if a.hold > 0 {
		e.Hold = &checkpoint.HoldSet{Key: w.key.String(), Kind: batch.CallOffboard, Until: w.now.Add(a.hold), Why: a.message}
	}
	w.append(e)
	w.now = before
}

// settings are those of a run by default, as the runner writes them.
const settings = `{"again":false,"canary":0,"commentTag":true,"hours":"","inventory":true,"limit":0,"lookUps":true,"maxAttempts":5,"maxDevices":1000,` +
	`"maxFailures":"10%","maxOutage":"30m0s","maxPercent":50,"protect":[{"file":"never.txt","patterns":12,"sha256":"` +
	`9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],"recentlySeen":"0s","retry":[],"settleWait":"5m0s",` +
	`"sharedBudget":false,"skipInvalid":true,"timeout":"1m0s","windows":["100 in 1m0s","1500 in 1h0m0s"],"workers":20}`

// other writes a call that is not an offboard call, about a device or none.
func (w *world) other(kind, device string, a answer) {
	w.t.Helper()
	id := w.append(checkpoint.Event{Kind: "intent", Intent: &checkpoint.Intent{Run: w.run, Key: w.key.String(), Kind: kind, Device: device, Number: 1}})
	w.append(checkpoint.Event{Kind: "outcome", Outcome: []checkpoint.Outcome{{Attempt: id, Over: w.now.Add(a.after), Outcome: a.outcome,
		Status: a.http, Code: a.code, Message: a.message}}})
}

// device is the id of the fixtures' n-th device.
func device(n int) string { return fmt.Sprintf("%x", sha1.Sum([]byte(fmt.Sprint("device ", n)))) }

// action is the machine action of the fixtures' n-th device.
func action(n int, status string) *checkpoint.Action {
	return &checkpoint.Action{ID: fmt.Sprintf("7c9a4f10-5b1e-4c58-8e52-%012d", n), Type: "Offboard", Status: status,
		Requestor: "mde-offboard", Created: "2026-11-22T22:00:00.1234567Z"}
}

func accepted(n int) answer {
	return answer{after: 180 * time.Millisecond, outcome: "accepted", http: 201, status: checkpoint.Accepted, action: action(n, "Pending")}
}

// small fills a batch that has every status and every kind of answer once: a
// first run that a hold delays and that is interrupted, a second one, eight hours
// later, that ends, and a look at what became of the actions.
func small(w *world) {
	w.t.Helper()
	w.newBatch("decommission", false)
	plan := checkpoint.Plan{List: "decommission.csv", ListDigest: "0f343b0931126a20f133d67c2b018a3b5e6c4a27f4c1b8c19c0f9f9d2d4b6a11",
		PlanDigest: "b1946ac92492d2347c6235b4d2611184c2c2f1d7a4a0a5a6c1d7f1e6f1a2b3c4", Columns: []string{"Owner", "=Site"}, Options: settings}
	w.plan(plan)
	var lines []checkpoint.Line
	for n := 1; n <= 12; n++ {
		lines = append(lines, checkpoint.Line{N: int64(n), Position: int64(n), File: "decommission.csv", Line: n + 1, Device: device(n),
			Name: fmt.Sprintf("lap-%04d.corp.example", n), Comment: "Hardware refresh, ticket CHG0042", Extra: []string{"Ada", "Berlin"}})
	}
	lines[3].Comment, lines[3].Extra = "=HYPERLINK(\"http://evil.example\")", []string{"@SUM(A1)", "'-2"}
	lines[4].Comment = "first line\nsecond, \"quoted\""
	lines[8].Status, lines[8].Reason = checkpoint.Skipped, "duplicate of line 2"
	lines[9].Device, lines[9].Status, lines[9].Reason = "lap-0010", checkpoint.Skipped, `invalid: "lap-0010" is a name, not a device id`
	w.lines(lines...)
	w.start("run", "typed the number of devices, 10")
	w.wait(90 * time.Second)

	w.call(1, 1, accepted(1))
	w.wait(time.Second)
	w.call(2, 1, accepted(2))
	w.wait(time.Second)
	w.call(3, 1, answer{after: 250 * time.Millisecond, outcome: "already-active", http: 400, code: "ActiveRequestAlreadyExists",
		message: "Action is already in progress", target: "|8f2c.1", status: checkpoint.AlreadyActive, action: action(3, "InProgress")})
	w.wait(time.Second)
	w.call(4, 1, answer{after: 250 * time.Millisecond, outcome: "refused", http: 400, code: "OsPlatformNotSupported",
		message: "Operation is not supported on this platform", target: "|8f2c.2", status: checkpoint.Refused, reason: "OsPlatformNotSupported"})
	w.wait(time.Second)
	w.call(5, 1, answer{after: 250 * time.Millisecond, outcome: "again", http: 429, code: "TooManyRequests",
		message: "Too many requests, retry in 40 seconds", status: checkpoint.Pending, hold: 40 * time.Second})
	w.wait(41 * time.Second)
	w.call(5, 2, accepted(5))
	w.wait(time.Second)
	w.intent(6, 1)
	w.wait(5 * time.Second)
	w.end("interrupted", 4)

	w.wait(8 * time.Hour)
	plan.Options = strings.Replace(settings, `"hours":""`, `"hours":"22:00-07:00"`, 1)
	plan.PlanDigest = "9d5ed678fe57bcca610140957afab571d4e7a2f5c8b0d1e2f3a4b5c6d7e8f901"
	w.plan(plan)
	w.start("run", "--yes")
	w.wait(time.Second)
	w.call(7, 1, answer{after: 300 * time.Millisecond, outcome: "refused", http: 404, code: "ResourceNotFound",
		message: "Machine was not found", target: "|9aa1.7", status: checkpoint.Refused, reason: "ResourceNotFound"})
	w.wait(time.Second)
	w.call(8, 1, answer{after: 300 * time.Millisecond, outcome: "again", http: 503, status: checkpoint.Failed, reason: "5 attempts were not answered"})
	w.wait(time.Second)
	// Line 12 has left the list before it was sent.
	gone := lines[11]
	gone.Position, gone.Status, gone.Reason = 0, checkpoint.Skipped, "withdrawn: no longer in the list"
	w.lines(gone)
	w.end("the time was used up", 4)

	w.wait(time.Hour)
	w.start("track", "changes nothing")
	w.other(batch.CallListActions, "", answer{after: 200 * time.Millisecond, outcome: "ok", http: 200})
	w.append(checkpoint.Event{Kind: "tracked", Tasks: []checkpoint.TaskChange{{N: 1, Action: action(1, "Succeeded")}}})
	w.other(batch.CallCancel, device(2), answer{after: 200 * time.Millisecond, outcome: "refused", http: 400, code: "BadRequest", message: "The action is final"})
	w.wait(time.Second)
	w.end("done", 4)
}
