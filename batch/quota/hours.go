package quota

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Hours are the times of the week at which calling is allowed, on the clock of
// a zone. The zero value allows always.
//
// They are a predicate of the wall clock and not a schedule of starts, so both
// changes of the clock come out right: an hour that does not exist allows
// nothing, and one that comes twice is judged both times.
type Hours struct {
	zone  *time.Location
	spans []span
}

// span is from one minute of the day to another on some days. One that does not
// end after it starts goes on past midnight, and belongs to the day it starts on.
type span struct {
	days     [7]bool
	from, to int // minutes, to at most 24:00
}

const dayMinutes = 24 * 60

// ParseHours reads specifications such as "22:00-06:00", "Mon-Fri 19:00-24:00"
// or "Sat,Sun 00:00-24:00"; several may be joined by semicolons. They add up. No
// specification is no restriction, but one that is empty is an error: it is what
// a script makes of a variable that is not set.
func ParseHours(specs []string, zone *time.Location) (Hours, error) {
	h := Hours{zone: zone}
	for _, spec := range specs {
		for part := range strings.SplitSeq(spec, ";") {
			part = strings.TrimSpace(part)
			s, err := parseSpan(part)
			if err != nil {
				return Hours{}, fmt.Errorf("hours %q: %w", part, err)
			}
			h.spans = append(h.spans, s)
		}
	}
	return h, nil
}

// dash stands between two times or days, with spaces or without.
var dash = regexp.MustCompile(`\s*-\s*`)

func parseSpan(part string) (s span, err error) {
	if part == "" {
		return s, fmt.Errorf("nothing is given; any time is 00:00-24:00")
	}
	part = dash.ReplaceAllString(part, "-")
	times := part
	if i := strings.LastIndexByte(part, ' '); i >= 0 {
		times = part[i+1:]
		if s.days, err = parseDays(part[:i]); err != nil {
			return s, err
		}
	} else {
		s.days = [7]bool{true, true, true, true, true, true, true}
	}
	from, to, ok := strings.Cut(times, "-")
	if strings.Contains(times, ",") {
		return s, fmt.Errorf("several are joined by semicolons, and commas are for days")
	}
	if !ok {
		return s, fmt.Errorf("not of the form 22:00-06:00")
	}
	if s.from, err = parseMinute(from); err != nil {
		return s, err
	}
	if s.to, err = parseMinute(to); err != nil {
		return s, err
	}
	if s.from == dayMinutes || s.from == s.to {
		return s, fmt.Errorf("no time lies between %s and %s; the whole day is 00:00-24:00", from, to)
	}
	return s, nil
}

func parseMinute(text string) (int, error) {
	if len(text) != len("22:00") || text[2] != ':' {
		return 0, fmt.Errorf("%q is not a time such as 22:00", text)
	}
	h, wrongHour := strconv.ParseUint(text[:2], 10, 8)
	m, wrongMinute := strconv.ParseUint(text[3:], 10, 8)
	if wrongHour != nil || wrongMinute != nil || m > 59 || h*60+m > dayMinutes {
		return 0, fmt.Errorf("%q is not a time from 00:00 to 24:00", text)
	}
	return int(h*60 + m), nil
}

// parseDays reads "Sat,Sun" and "Mon-Fri".
func parseDays(text string) (days [7]bool, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		from, err := parseDay(first)
		if err != nil {
			return days, err
		}
		to := from
		if ranged {
			if to, err = parseDay(last); err != nil {
				return days, err
			}
		}
		for d := from; ; d = (d + 1) % 7 {
			days[d] = true
			if d == to {
				break
			}
		}
	}
	return days, nil
}

func parseDay(text string) (time.Weekday, error) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if len(text) >= 3 && len(text) <= len(d.String()) && strings.EqualFold(text, d.String()[:len(text)]) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is not a day such as Mon", text)
}

// Always says whether there is no restriction.
func (h Hours) Always() bool { return len(h.spans) == 0 }

// Open says whether calling is allowed at t.
func (h Hours) Open(t time.Time) bool {
	if h.Always() {
		return true
	}
	t = t.In(h.zone)
	minute, day := t.Hour()*60+t.Minute(), t.Weekday()
	for _, s := range h.spans {
		if s.open(day, minute) {
			return true
		}
	}
	return false
}

func (s span) open(day time.Weekday, minute int) bool {
	if s.from < s.to {
		return s.days[day] && s.from <= minute && minute < s.to
	}
	return s.days[day] && minute >= s.from || s.days[(day+6)%7] && minute < s.to
}

// Next is the first moment from t on from which calling is allowed for at least
// as long as a call may take, so that none is under way outside the hours. It
// is zero if there is none within two weeks.
func (h Hours) Next(t time.Time, takes time.Duration) time.Time {
	if h.Always() || h.stays(t, takes) {
		return t
	}
	// The clocks of all zones change on whole minutes.
	for at, n := t.Truncate(time.Minute), 0; n < 2*7*dayMinutes; n++ {
		at = at.Add(time.Minute)
		if h.stays(at, takes) {
			return at
		}
	}
	return time.Time{}
}

// Closes is the first moment from t on at which calling is not allowed. It is zero
// if there is none within two weeks.
func (h Hours) Closes(t time.Time) time.Time {
	for at, n := t, 0; n < 2*7*dayMinutes; n++ {
		if !h.Open(at) {
			return at
		}
		at = at.Truncate(time.Minute).Add(time.Minute)
	}
	return time.Time{}
}

// stays says whether calling is allowed from t on for as long as a call takes,
// without a gap in between.
func (h Hours) stays(t time.Time, takes time.Duration) bool {
	for at := t; at.Before(t.Add(takes)); at = at.Add(time.Minute) {
		if !h.Open(at) {
			return false
		}
	}
	return h.Open(t.Add(takes))
}

// Zone is whose clock counts.
func (h Hours) Zone() *time.Location { return h.zone }
