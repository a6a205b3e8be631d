package command

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
	"mde-offboard/batch/simulator"
)

// person is somebody at a terminal, of whom a real Defender wants to know.
type person struct {
	*virtual
	write   func(text string) // the protect file
	types   []string          // one answer after the other
	asked   []string          // so far
	thinks  func(n int)       // before the answer to the nth question, from 1
	listing func(n int)       // before the nth answer to who reads the inventory
	listed  int
}

// newPerson has somebody give the command run. It is in a bubble of synctest.
func newPerson(t *testing.T, dir string, devices int, opt simulator.Options, args ...string) *person {
	p := &person{thinks: func(int) {}, listing: func(int) {}}
	path, write := protectFile(t, dir)
	write(fmt.Sprintf("%040x\n", 1))
	p.write = write
	p.virtual = newVirtual(t, dir, devices, opt, append([]string{"--yes=false", "--timezone", "UTC", "--protect", path}, args...)...)
	p.j.config.Transport = through(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/api/machines" {
			p.listed++
			p.listing(p.listed)
		}
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		res, err := p.sim.Transport().RoundTrip(r)
		if err == nil {
			res.Header.Del(simulator.SimulatedHeader) // else nobody is asked
		}
		return res, err
	})
	p.a.answers = func(question string) (string, error) {
		p.asked = append(p.asked, question)
		p.thinks(len(p.asked))
		if len(p.asked) > len(p.types) {
			return "", errNoTerminal // and the test tells of the question
		}
		return p.types[len(p.asked)-1], nil
	}
	return p
}

type through func(*http.Request) (*http.Response, error)

func (t through) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// close closes the batch, as a cancel on another machine would.
func (p *person) close(t *testing.T) {
	t.Helper()
	store, err := p.a.openStore()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = store.Update(func(tx *checkpoint.Tx) error {
		b, err := find(tx.Reader, "list", "")
		if err != nil {
			return err
		}
		why := "cancelled by somebody"
		_, err = tx.Append(b.ID, checkpoint.Event{Kind: "close", At: time.Now(), Closed: &why})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAgreedTo has somebody asked, and once more where that was about something else.
// However the command ends it tells whether anything was sent, which its code must
// fit.
func TestAgreedTo(t *testing.T) {
	night, two := []string{"--between", "00:10-01:10", "--wait"}, []string{"--between", "00:00-00:05", "--between", "00:10-01:10", "--wait", "--per-minute", "1"}
	canary := []string{"--canary", "3"}
	first, rest := "the first 3 of 10 devices", "7 devices"
	const sent, none = "what was sent is in the results", "nothing was sent"
	for _, tt := range []struct {
		why   string
		args  []string
		types []string
		set   func(t *testing.T, p *person, cancel func())
		asks  []string // in the questions
		code  int
		says  string
		hint  string
		calls int
	}{
		{"all", nil, []string{"10"}, nil, []string{"10 devices"}, batch.CodeDone, "", "", 10},
		{"all, of a plan that is not shown", nil, []string{"10"}, func(_ *testing.T, p *person, _ func()) { p.a.global.quiet = true }, nil, batch.CodeUsage, "a plan that is not shown cannot be agreed to by typing", none, 0},
		{"not all", nil, []string{"no"}, nil, []string{"10 devices"}, batch.CodeUsage, "not agreed to", none, 0},
		{"a canary, and the rest", canary, []string{"3", "7"}, nil, []string{first, rest}, batch.CodeDone, "", "", 10},
		{"a canary, and not the rest", canary, []string{"3", "no"}, nil, []string{first, rest}, batch.CodeStopped, "the rest was not sent: not agreed to", sent, 3},
		{"a canary of which one had gone before: another is not called unasked", canary, []string{"3", "1", "no"}, func(_ *testing.T, p *person, _ func()) {
			p.sim.AddAction(simulator.Action{MachineID: p.machines[0].ID, Status: "Succeeded"})
		}, []string{first, "the first 1 of 7 devices", "6 devices"}, batch.CodeStopped, "the rest was not sent: not agreed to", sent, 3},
		{"a canary that is all there may be", append(canary, "--limit", "3"), []string{"3"}, nil, []string{first}, batch.CodeStopped, "", "", 3},
		{"a canary, and the batch is closed before the rest", canary, []string{"3", "7"}, func(t *testing.T, p *person, _ func()) {
			p.thinks = func(n int) {
				if n == 2 {
					p.close(t)
				}
			}
		}, []string{first, rest}, batch.CodeGuard, `the rest was not sent: batch "list" was closed: `, sent, 3},
		{"a canary, and an interrupt before the rest is planned", canary, []string{"3"}, func(_ *testing.T, p *person, cancel func()) {
			p.listing = func(n int) {
				if n == 2 {
					cancel()
				}
			}
		}, []string{first}, batch.CodeStopped, "the rest was not sent: interrupted", sent, 3},
		{"once, however long the hours are waited for", night, []string{"10"}, nil, []string{"10 devices"}, batch.CodeDone, "", "", 10},
		{"once, with hours in between", two, []string{"10"}, nil, []string{"10 devices"}, batch.CodeDone, "", "", 10},
		{"a canary once, with hours in between", append(two, "--canary", "9"), []string{"9", "1"}, nil, []string{"the first 9 of 10", "1 device "}, batch.CodeDone, "", "", 10},
		{"a plan that a night has changed", night, []string{"10", "no"}, func(_ *testing.T, p *person, _ func()) {
			time.AfterFunc(5*time.Minute, func() { p.write(p.machines[0].ID) })
		}, []string{"10 devices", "9 devices"}, batch.CodeUsage, "not agreed to", none, 0},
		{"a plan that was thought about for two hours, in which a device was protected", nil, []string{"10", "no"}, func(_ *testing.T, p *person, _ func()) {
			p.thinks = func(n int) {
				if n == 1 {
					time.Sleep(2 * time.Hour)
					p.write(p.machines[0].ID)
				}
			}
		}, []string{"10 devices", "9 devices"}, batch.CodeUsage, "not agreed to", none, 0},
		{"a plan that a guard refuses after a night", append(night, "--max-percent", "50"), []string{"10"}, func(_ *testing.T, p *person, _ func()) {
			others := func(status string) {
				for i := range 100 {
					p.sim.SetMachine(simulator.Machine{ID: fmt.Sprintf("%040x", 0xdef000+i), OnboardingStatus: status})
				}
			}
			others("Onboarded")
			time.AfterFunc(5*time.Minute, func() { others("CanBeOnboarded") })
		}, []string{"10 devices"}, batch.CodeUsage, "10 devices are to be offboarded, 100 %", none, 0},
		{"a protect file that has gone after a night", night, []string{"10"}, func(_ *testing.T, p *person, _ func()) {
			time.AfterFunc(5*time.Minute, func() { p.write("") })
		}, []string{"10 devices"}, batch.CodeUsage, "--protect: ", "", 0},
	} {
		t.Run(tt.why, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				p := newPerson(t, dir, 10, simulator.Options{}, tt.args...)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				p.a.Context, p.types = ctx, tt.types
				if tt.set != nil {
					tt.set(t, p, cancel)
				}
				err := p.a.run(p.j, []string{filepath.Join(dir, "list.csv")})
				code, says, hint := p.a.code, "", ""
				if err != nil {
					says = err.Error()
					code, hint = codeOf(err)
				}
				if code != tt.code || !strings.HasPrefix(says, tt.says) || (says == "") != (tt.says == "") || !strings.HasSuffix(hint, tt.hint) || tt.hint != none && strings.Contains(hint, none) {
					t.Errorf("code %d, %q; hint %q; want %d, %q, %q", code, says, hint, tt.code, tt.says, tt.hint)
				}
				if n := len(p.sim.Books().Arrivals("offboard")); n != tt.calls {
					t.Errorf("%d calls; want %d", n, tt.calls)
				}
				if !slices.EqualFunc(p.asked, tt.asks, strings.Contains) {
					t.Errorf("asked %q; want %q", p.asked, tt.asks)
				}
				if p.j.end.idle {
					t.Error("there was nothing to do")
				}
			})
		})
	}
}

// TestAgreementCovers what was agreed to, and once a run of it has begun what is left
// of it; not a device that an inventory which was read since lets through.
func TestAgreementCovers(t *testing.T) {
	now := time.Now()
	ids := []string{fmt.Sprintf("%040x", 1), fmt.Sprintf("%040x", 2)}
	var have []checkpoint.Task
	for i, id := range ids {
		have = append(have, checkpoint.Task{N: int64(i + 1), Position: int64(i + 1), File: "list.csv", Line: i + 2, Device: id, Comment: "retired", Status: checkpoint.Pending})
	}
	plan := func(seen time.Duration) *batch.Plan {
		list, err := input.NewList("list.csv", strings.NewReader("MachineId,Comment\n"+ids[0]+",retired\n"+ids[1]+",retired\n"), input.Options{})
		if err != nil {
			t.Fatal(err)
		}
		inv := batch.NewInventory(now, []batch.Device{{ID: ids[0], Onboarding: "Onboarded", LastSeen: now.Add(-48 * time.Hour)}, {ID: ids[1], Onboarding: "Onboarded", LastSeen: now.Add(-seen)}})
		p, err := batch.MakePlan(list, "list.csv", checkpoint.Batch{ID: 1, Name: "list"}, have, batch.Request{Name: "list", RecentlySeen: 24 * time.Hour, Inventory: inv})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	s := &connected{}
	shown, later := plan(time.Hour), plan(48*time.Hour)
	j := &job{agreed: agreement{how: "typed 1", plan: shown.Digest(s.Target())}}
	if j.agreed.canary = true; j.covered(s, shown) {
		t.Error("a plan without a canary is covered by what was said of one")
	}
	if j.agreed.canary = false; !j.covered(s, shown) || j.covered(s, later) {
		t.Errorf("the plan that was shown is covered: %v, one with another device: %v; want the first alone", j.covered(s, shown), j.covered(s, later))
	}
	if j.begun = true; !j.covered(s, later) {
		t.Error("what is left of a plan that was begun is not covered")
	}
}
