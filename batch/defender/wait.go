package defender

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxWait bounds what a server can ask for: a figure beyond it is taken for a
// slip and not for a wish, and cannot overflow a Duration.
const maxWait = 24 * time.Hour

var (
	secondsText = regexp.MustCompile(`(?i)\bin (\d+)(\.\d+)? seconds?\b`)
	windowText  = regexp.MustCompile(`(?i)\bper (?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})\b`)
)

// waitNamed finds how long an answer asks to be left alone, in the order in
// which the sources can be trusted: Retry-After in seconds or as a date, "in N
// seconds" in the message, the window that the message names. A wait that is
// not positive says nothing, and the next source is asked.
//
// A date is taken relative to the answer's own Date, so that this machine's
// clock does not matter, and a second is added, since both are whole seconds.
func waitNamed(h http.Header, message string, now time.Time) (time.Duration, bool) {
	for _, wait := range []time.Duration{
		retryAfter(h, now),
		wordedSeconds(message),
		wordedWindow(message),
	} {
		if wait > 0 {
			return min(wait, maxWait), true
		}
	}
	return 0, false
}

func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, ok := digits(v); ok {
		return seconds
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	wait := at.Sub(now)
	if wait <= 0 {
		return 0
	}
	return min(wait, maxWait) + time.Second
}

func wordedSeconds(message string) time.Duration {
	m := secondsText.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	wait, _ := digits(m[1])
	if m[2] != "" {
		wait += time.Second
	}
	return wait
}

// wordedWindow reads "100 per 00:01:00". Of several the longest counts: which
// one is full is not said.
func wordedWindow(message string) time.Duration {
	var longest time.Duration
	for _, m := range windowText.FindAllStringSubmatch(message, -1) {
		days, _ := digits(m[1])
		hours, _ := digits(m[2])
		minutes, _ := digits(m[3])
		seconds, _ := digits(m[4])
		longest = max(longest, min(days, maxWait)*24*60*60+hours*60*60+minutes*60+seconds)
	}
	return longest
}

// digits reads whole seconds. A number too long for one is the most there is.
func digits(s string) (time.Duration, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > int64(maxWait/time.Second) {
		return maxWait, true
	}
	return time.Duration(n) * time.Second, true
}
