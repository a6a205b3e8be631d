package batch

import (
	"fmt"
	"sync"
	"time"
)

// outages keeps for how long each thing that is asked for has had no answer. It
// counts the time that was spent on asking, not that in which the hours, a
// window or a hold kept calls back: a night without calls is no night without
// answers.
type outages struct {
	between time.Duration // two calls in a row that wait for nothing but a back-off, at most
	mu      sync.Mutex
	what    map[string]silence
}

type silence struct {
	last   time.Time // when a call last came to nothing
	lasted time.Duration
}

// longestWait is more than any back-off.
const longestWait = 2 * time.Minute

func newOutages(opt *Options) outages {
	return outages{between: opt.Timeout + longestWait + opt.SettleWait/10, what: map[string]silence{}}
}

// unanswered notes that there was no answer, and says for how long by now.
func (o *outages) unanswered(what string) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, s := time.Now(), o.what[what]
	if !s.last.IsZero() {
		s.lasted += min(o.between, now.Sub(s.last))
	}
	s.last = now
	o.what[what] = s
	return s.lasted
}

func (o *outages) answered(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.what, what)
}

// silent notes that a call of a kind had no answer, and is why to stop if that
// has lasted for longer than is allowed.
func (c *caller) silent(kind string, err error) *Stop {
	if c.outages.unanswered(kind) <= c.opt.MaxOutage {
		return nil
	}
	return &Stop{Why: fmt.Sprintf("no answer of Defender's for %v", c.opt.MaxOutage), Err: err, Code: CodeStopped,
		Hint: "the same command goes on"}
}
