package command

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // Windows has no zone data of its own that Go can read

	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/quota"
)

// hours are the flags that say when calls are allowed and when a run ends.
type hours struct {
	between  []string
	timezone string
	wait     bool
	until    string
	length   time.Duration

	parsed quota.Hours
	zone   string // its name, for people
}

// addFlags registers the flags of the hours that are allowed.
func (h *hours) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&h.between, "between", nil, "call only in these `HOURS`, such as 22:00-06:00 or \"Sat,Sun 00:00-24:00\"; repeatable (default: any)")
	h.addTimezone(f, "--between and --until")
	f.BoolVar(&h.wait, "wait", false, "outside of --between, wait instead of ending with code 4")
}

func (h *hours) addTimezone(f *pflag.FlagSet, of string) {
	f.StringVar(&h.timezone, "timezone", "local", "`ZONE` of "+of+", such as Europe/Madrid")
}

// addEndFlags registers the flags that end a run by the clock.
func (h *hours) addEndFlags(f *pflag.FlagSet) {
	f.StringVar(&h.until, "until", "", "begin no call from this `TIME` on, such as 06:00: the next time that the clock of --timezone shows it")
	f.DurationVar(&h.length, "for", 0, "begin no call after the run has lasted `D`, such as 8h (default: no end)")
}

// apply turns the flags into settings of a run that begins now.
func (h *hours) apply(now time.Time, opt *batch.Options) error {
	zone, err := loadZone(h.timezone)
	if err != nil {
		return usage{err}
	}
	if h.parsed, err = quota.ParseHours(h.between, zone); err != nil {
		return usage{fmt.Errorf("--between: %w", err)}
	}
	if opt.Until, err = h.endsAt(now); err != nil {
		return usage{err}
	}
	opt.Wait, h.zone = h.wait, zoneName(now.In(zone))
	if h.parsed.Always() {
		return nil
	}
	takes := opt.Timeout
	if h.parsed.Next(now, takes).IsZero() {
		return usage{fmt.Errorf("--between %s: no call may be made, as one can take %v (--timeout)", strings.Join(h.between, "; "), takes)}
	}
	opt.Night = h.night
	opt.Hours = strings.Join(h.between, "; ") + " " + h.zone
	opt.Allowed = func(t time.Time) time.Time { return next(h.parsed, t, takes) }
	return nil
}

// next is the first moment from t on at which a call may be made.
func next(h quota.Hours, t time.Time, takes time.Duration) time.Time {
	open := h.Next(t, takes)
	if open.IsZero() {
		open = t.AddDate(0, 0, 14) // asked again then
	}
	return open.In(h.Zone())
}

func loadZone(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("--timezone %q is no zone such as Europe/Madrid or UTC", name)
	}
	return zone, nil
}

// zoneName names the zone of a moment for who may read it elsewhere. The system's
// own has no name that Go can tell where TZ is not set, so it is told by what its
// clocks show.
func zoneName(at time.Time) string {
	if name := at.Location().String(); name != "Local" {
		return name
	}
	short, _ := at.Zone()
	offset := "UTC" + at.Format("-07:00")
	if short == "UTC" || strings.ContainsAny(short, "+-") { // nor has every zone a short name
		return "local time (" + offset + ")"
	}
	return "local time (" + short + ", " + offset + ")"
}

// endsAt is from when on a run begins no call; zero: it has no end.
func (h *hours) endsAt(now time.Time) (end time.Time, err error) {
	if h.length < 0 {
		return end, errors.New("--for must be positive")
	}
	if h.length > 0 {
		end = now.Add(h.length)
	}
	if h.until == "" {
		return end, nil
	}
	zone, err := loadZone(h.timezone)
	if err != nil {
		return end, err
	}
	text := h.until
	if text == "24:00" { // as --between has it
		text = "00:00"
	}
	at, err := time.Parse("15:04", text)
	if err != nil {
		return end, fmt.Errorf("--until %q is not a time such as 06:00", h.until)
	}
	if until := nextClock(now.In(zone), at.Hour()*60+at.Minute()); end.IsZero() || until.Before(end) {
		end = until
	}
	return end, nil
}

// nextClock is the next moment at which a clock shows a minute of the day, or
// one that it skips when it is put forward.
func nextClock(now time.Time, minute int) time.Time {
	const day = 24 * 60
	shown := func(t time.Time) int { return t.Hour()*60 + t.Minute() }
	for at := now.Truncate(time.Minute); ; {
		before := shown(at)
		at = at.Add(time.Minute)
		here := shown(at)
		// The hour that is skipped may hold midnight. A step of more than half a
		// day is a clock that is put back.
		step, want := (here-before+day)%day, (minute-before+day)%day
		if here == minute || step < day/2 && 0 < want && want < step {
			return at
		}
	}
}

// night says in which stretch of the hours a later moment lies: 1 is the one
// that is open now, or the next to open.
func (h *hours) night(now, later time.Time) int {
	n, open := 1, true
	for at := next(h.parsed, now, 0).Truncate(time.Minute); !at.After(later); at = at.Add(time.Minute) {
		is := h.parsed.Open(at)
		if is && !open {
			n++
		}
		open = is
	}
	return n
}

// ordinal writes 1st, 2nd, 3rd, 4th.
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n, suffix)
}

// inNight is what a forecast adds where hours are set: in which of them the
// batch will be done.
func (h *hours) inNight(n int) string {
	if h.parsed.Always() {
		return ""
	}
	s := fmt.Sprintf(", in the %s of the allowed hours (%s, %s)", ordinal(n), strings.Join(h.between, "; "), h.zone)
	if n > 1 && !h.wait {
		s += "; run the same command again in each"
	}
	return s
}

// span is when a run begins to call that is started now, or outside of the hours,
// where it does not wait for them, the one to be started when they open; and until
// when, zero: that has no end.
func (h *hours) span(now time.Time, opt *batch.Options) (from, until time.Time) {
	from, until = now, opt.Until
	if h.parsed.Always() || h.wait {
		return from, until
	}
	if open := opt.Allowed(now); open.After(now) {
		from = open
		until, _ = h.endsAt(from) // which apply has tried
	}
	if closes := h.parsed.Closes(from); !closes.IsZero() && (until.IsZero() || closes.Before(until)) {
		until = closes
	}
	return from, until
}

// readingHours are the settings to read with before a plan is shown. Somebody
// who is asked now is not kept waiting for the hours: what a plan reads changes
// nothing. Where nobody will be asked the hours hold for reading too, and with
// --wait they are waited for here, so that the plan is one of that time.
func (a *app) readingHours(j *job, s *connected, b *batch.Open) (batch.Options, error) {
	opt := j.opt
	asked := !j.agreedAhead() && !s.Simulated
	if opt.Allowed == nil {
		return opt, nil
	}
	if j.planning || asked && j.wait {
		opt.Allowed = nil
		return opt, nil
	}
	for said := false; j.wait; said = true {
		now := s.Clock.Now()
		open, stop := opt.Closed(now)
		if stop != nil {
			return opt, stop
		}
		if open.IsZero() {
			break
		}
		if !said {
			a.say("Outside the allowed hours: waiting until %s", clockIn(open, a.zone))
			a.log.Info(batch.LogWait, "batch", j.name, "reason", batch.WaitClosed, "until", open.UTC().Truncate(time.Second))
		}
		j.waits(batch.Progress{Batch: j.name, Simulated: s.Simulated, Total: len(b.Tasks), Counts: counted(b.Tasks), Wait: batch.WaitClosed, Until: open})
		if !opt.Until.IsZero() && opt.Until.Before(open) {
			open = opt.Until // what ends then is not to wait ten seconds more
		}
		select {
		case <-time.After(min(10*time.Second, open.Sub(now))):
			stop, err := b.ClosedNow(a.Context, j.req.Again)
			if err != nil {
				return opt, err
			}
			if stop != nil {
				return opt, stop
			}
		case <-a.Context.Done():
			return opt, interrupted
		}
	}
	return opt, nil
}
