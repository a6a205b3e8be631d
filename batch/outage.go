package batch

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"mde-offboard/batch/defender"
)

// outages keeps for how long each thing that is asked for has had no answer. It
// counts the time that was spent on asking, not that in which the hours, a
// window or a hold kept calls back: a night without calls is no night without
// answers.
type outages struct {
	between time.Duration // two calls in a row that wait for nothing but a back-off, at most; a wait that an answer named comes on top
	mu      sync.Mutex
	what    map[string]silence
}

type silence struct {
	last   time.Time // when a call last came to nothing
	lasted time.Duration
	named  time.Duration // the wait that its answer asked for
}

// longestWait is more than any back-off.
const longestWait = 2 * time.Minute

func newOutages(opt *Options) outages {
	return outages{between: opt.Timeout + longestWait + opt.SettleWait/10, what: map[string]silence{}}
}

// unanswered notes that there was no answer but perhaps one that named a wait, and
// says for how long by now.
func (o *outages) unanswered(what string, named time.Duration) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, s := time.Now(), o.what[what]
	if !s.last.IsZero() {
		s.lasted += min(o.between+s.named, now.Sub(s.last))
	}
	s.last, s.named = now, named
	o.what[what] = s
	return s.lasted
}

func (o *outages) answered(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.what, what)
}

// silent notes that a call of a kind had no answer, and is why to stop if that
// has lasted for longer than is allowed, or would after the wait that is asked for.
func (c *caller) silent(kind string, err error) *Stop {
	named := patience(0, err)
	lasted := c.outages.unanswered(kind, named)
	why, until := fmt.Sprintf("no answer of Defender's for %v", c.opt.MaxOutage), c.clock.Now().Add(named).Format("Mon 15:04 MST")
	switch {
	case lasted > c.opt.MaxOutage:
	case lasted+named <= c.opt.MaxOutage:
		return nil
	case named > c.opt.MaxOutage:
		why = fmt.Sprintf("Defender asks to wait until %s, for longer than %v without an answer", until, c.opt.MaxOutage)
	default: // the time would be over in the middle of the wait
		why = fmt.Sprintf("no answer of Defender's for %v, and it asks to wait until %s", lasted.Round(time.Second), until)
	}
	return &Stop{Why: why, Err: err, Code: CodeStopped, Hint: strings.TrimPrefix(hint(err)+"; the same command goes on", "; ")}
}

// toldToWait notes that a call of a kind is told to wait, and is why to stop if that is
// what each has been told for as long as an outage may last. Of the waits that were
// named a part counts, as who shares the quota may have it used up for an hour.
func (c *caller) toldToWait(kind string) *Stop {
	if c.outages.unanswered(noTurn+kind, 0) <= c.opt.MaxOutage {
		return nil
	}
	return &Stop{Why: fmt.Sprintf("Defender has told each %s call to wait, for longer than %v", kind, c.opt.MaxOutage), Code: CodeStopped, Hint: hintPutOff}
}

// noTurn is what goes without an answer while calls are told to wait.
const noTurn = "turn"

const hintPutOff = "others may be using the application's quota; the same command goes on"

// unreachable says of a call without an answer why there was none.
func unreachable(err error) error { return fmt.Errorf("%s: %w", unreached, err) }

const unreached = "Defender cannot be reached"

// inWords makes one that is told words one that is told of errors after which a read
// is tried again; nil stays nil.
func inWords(note func(string)) func(error) {
	if note == nil {
		return nil
	}
	return func(err error) { note(err.Error() + "; trying again …") }
}

// backoff is the wait before the n-th try again, from one second to a minute.
func backoff(n int) time.Duration {
	return min(time.Minute, time.Second<<min(n, 6))
}

// patience is a wait before what was not answered is tried again: at least as long
// as the answer asks for, if there was one.
func patience(wait time.Duration, err error) time.Duration {
	if e, ok := errors.AsType[*defender.Error](err); ok {
		return max(wait, e.Wait)
	}
	return wait
}
