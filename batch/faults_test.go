package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/simulator"
)

// repeats are what a second call may lead to while an action of the device is
// open. Nobody has said which it is, so all must come out right.
var repeats = []string{simulator.RepeatRefuse, simulator.RepeatExisting, simulator.RepeatSecond}

// again is how an attempt counts that a fault met.
type again int

const (
	free  again = iota // it is nobody's fault among the devices: no attempt is spent
	spent              // the device was called, and one attempt is spent
)

// TestEachFault plays each fault alone at the first two calls of a run, with
// actions that can be read after 110 s only. A call that should not have been
// repeated makes a second action.
func TestEachFault(t *testing.T) {
	slow(t)
	for _, tt := range []struct {
		fault  string
		spends again
		posts  int // calls of a device that met the fault, until it is accepted
		why    string
	}{
		{"lost-before", spent, 2, "nothing happened, which shows when the settle wait is over"},
		{"lost-after", spent, 1, "it happened: the action is found by its tag"},
		{"500-before", spent, 2, "a 500 leaves the effect open"},
		{"500-after", spent, 1, "a 500 leaves the effect open"},
		{"502-html-before", spent, 2, "a gateway does not know what became of the call"},
		{"502-html-after", spent, 1, "a gateway does not know what became of the call"},
		{"proxy-403", free, 2, "a proxy's page is not Defender's refusal"},
		{"proxy-404", free, 2, "a proxy's page is not Defender's refusal"},
		{"proxy-407", free, 2, "the proxy wants a login, the device is innocent"},
		{"408", free, 2, "the request did not arrive as a whole"},
		{"413", free, 2, "somebody in between refuses the size"},
		{"503-retry-after", free, 2, "turned away, with the time to come back; looked up before"},
		{"503-retry-after-after", spent, 1, "a gateway says that, and has passed the call on"},
		{"h2-refused", spent, 2, "a stream that was refused is not sent again below us"},
		{"h2-refused-after", spent, 1, "refused although it was read"},
		{"h2-goaway", spent, 2, "a connection that goes away is not used again below us"},
		{"h2-goaway-after", spent, 1, "went away after it was read"},
		{"cut", spent, 1, "half an answer is none"},
		{"empty", spent, 1, "a 2xx without a body names no action"},
		{"empty-before", spent, 2, "a 2xx without a body proves nothing"},
		{"notjson", spent, 1, "a guest network's page instead of the answer"},
		{"notjson-before", spent, 2, "a guest network's page with status 200"},
		{"noid", spent, 1, "an action without an id cannot be reported"},
		{"hang-before", spent, 2, "given up after the time-out"},
		{"hang-after", spent, 1, "given up after the time-out, and it had happened"},
		{"slow", spent, 1, "a slow answer is an answer"},
		{"429-seconds", free, 2, "a hold for all, no fault of the device"},
		{"429-date", free, 2, "the wait as a date"},
		{"429-message", free, 2, "the wait in the message only"},
		{"429-window", free, 2, "the window in the message only"},
		{"429-none", free, 2, "no wait named: a minute"},
		{"401", free, 2, "a fresh token, and again"},
		{"401-cae", free, 2, "the challenged request is sent again with claims"},
		{"404-once", spent, 2, "false 404s go away"},
		{"redirect", free, 2, "never followed, the token never sent there"},
		{"effect-late", spent, 1, "the effect comes 59 s after the connection was lost"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simulator.Options{Seed: 1, Faults: tt.fault + "=2", Lag: 110 * time.Second, Repeat: simulator.RepeatSecond})
				w.opt.Workers = 1 // so that what a fault costs can be counted
				end := w.run(devices(5))
				b := w.judge(end, false)
				met := b.Faults[tt.fault]
				if met == 0 {
					t.Fatalf("the fault was not played")
				}
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != 5 {
					t.Errorf("code %d, counts %v, stop %v; want 0 and all accepted: %s", end.code, end.counts, end.stop, tt.why)
				}
				posts, attempts := 0, 0
				for _, task := range end.tasks {
					if d := b.Devices[task.Device]; d != nil {
						posts += d.Posts
					}
					attempts += task.Attempts
				}
				if want := 5 + met*(tt.posts-1); posts != want {
					t.Errorf("%d calls for 5 devices of which %d met the fault; want %d: %s", posts, met, want, tt.why)
				}
				want := 5
				if tt.spends == spent {
					want += met * (tt.posts - 1)
				}
				if attempts != want {
					t.Errorf("%d attempts spent; want %d: %s", attempts, want, tt.why)
				}
			})
		})
	}
}

// TestMixedFaults plays every transient fault at once, each at 5 % of the calls.
func TestMixedFaults(t *testing.T) {
	slow(t)
	for _, repeat := range repeats {
		t.Run(repeat, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := newWorld(t, simulator.Options{Seed: 7, Faults: "mixed=5%,effect-late=5%,actions/lost-before=5%,actions/503-retry-after=5%",
					Lag: 110 * time.Second, Repeat: repeat, Throttle: simulator.ThrottleMixed, Echo: simulator.EchoMixed,
					LatencyMin: 20 * time.Millisecond, LatencyMax: 400 * time.Millisecond})
				w.opt.MaxAttempts, w.opt.Workers = 50, 5
				end := w.run(devices(100))
				b := w.judge(end, false)
				if end.code != CodeDone || end.counts[checkpoint.Accepted] != 100 {
					t.Errorf("code %d, counts %v, stop %v; want 0 and all accepted", end.code, end.counts, end.stop)
				}
				t.Logf("%v of virtual time, faults %v", time.Since(start), b.Faults)
			})
		})
	}
}

// TestNotFound: a device that Defender does not know is called once more, since that
// answer is wrong at times, and refused then.
func TestNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{})
		ids := append(devices(3), magicIDs("dead0404", 1)...)
		end := w.run(ids)
		task := end.tasks[3]
		if n := posts(w.judge(end, false), task.Device); n != 2 || task.Status != checkpoint.Refused || task.Reason != "ResourceNotFound" || end.code != CodeIncomplete {
			t.Errorf("%s (%s) after %d calls, code %d; want refused after two, 3", task.Status, task.Reason, n, end.code)
		}
	})
}
