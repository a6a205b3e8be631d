package defender

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWaitNamed(t *testing.T) {
	const (
		date  = "Fri, 02 Jan 2026 10:00:00 GMT"
		later = "Fri, 02 Jan 2026 10:00:30 GMT"
	)
	now := time.Date(2026, 1, 2, 11, 0, 0, 0, time.UTC) // an hour ahead of the server's clock
	tests := []struct {
		reason             string
		after, date, words string
		want               time.Duration
		named              bool
	}{
		{"nothing", "", "", "", 0, false},
		{"seconds", "17", "", "", 17 * time.Second, true},
		{"a date, by the server's clock, and the second that it lost", later, date, "", 31 * time.Second, true},
		{"a date without a Date: by ours", "Fri, 02 Jan 2026 11:00:05 GMT", "", "", 6 * time.Second, true},
		{"a date that is over says nothing", date, date, "", 0, false},
		{"seconds come before words", "17", "", "Try again in 5 seconds", 17 * time.Second, true},
		{"in words", "", "", "Try again in 5 seconds.", 5 * time.Second, true},
		{"one", "", "", "try again IN 1 SECOND", time.Second, true},
		{"a part of a second is one", "", "", "in 5.2 seconds", 6 * time.Second, true},
		{"words come before the window", "", "", "quota 100 per 00:01:00, in 7 seconds", 7 * time.Second, true},
		{"the window", "", "", "maximum admitted 100 per 00:01:00", time.Minute, true},
		{"the longer of two windows", "", "", "1500 per 01:00:00 or 100 per 00:01:00", time.Hour, true},
		{"a day", "", "", "10 per 1.00:00:00", 24 * time.Hour, true},
		{"zero seconds say nothing: the words do", "0", "", "in 9 seconds", 9 * time.Second, true},
		{"half a second is not a number of them", "0.5", "", "", 0, false},
		{"negative", "-5", "", "", 0, false},
		{"more than a day is a slip", "99999999999999999999", "", "", 24 * time.Hour, true},
		{"a date in another age", "Fri, 02 Jan 2099 10:00:00 GMT", date, "", 24 * time.Hour, true},
		{"words that are not a wait", "", "", "logged in 2 places, 100 per minute", 0, false},
	}
	for _, test := range tests {
		h := http.Header{}
		h.Set("Retry-After", test.after)
		h.Set("Date", test.date)
		got, named := waitNamed(h, test.words, now)
		if got != test.want || named != test.named {
			t.Errorf("%s: waitNamed(%q, %q) = %v, %v; want %v, %v", test.reason, test.after, test.words, got, named, test.want, test.named)
		}
	}
}

func TestWaitWithoutAName(t *testing.T) {
	for _, test := range []struct {
		reason string
		status int
		want   time.Duration
	}{
		{"a 429 is a minute", 429, time.Minute},
		{"others are not", 503, 0},
	} {
		c := &call{exchange: &Exchange{Status: test.status, Sent: true}, header: http.Header{}}
		if e := c.failure(http.MethodPost); e.Wait != test.want || e.WaitNamed {
			t.Errorf("%s: failure() of a %d = wait %v, named %v; want %v, false", test.reason, test.status, e.Wait, e.WaitNamed, test.want)
		}
	}
}

// FuzzWaitNamed: whatever a server says, a wait is named or zero, positive if
// named, and never more than a day.
func FuzzWaitNamed(f *testing.F) {
	f.Add("17", "Fri, 02 Jan 2026 10:00:00 GMT", "Try again in 5 seconds")
	f.Add("Fri, 02 Jan 2026 10:00:30 GMT", "", "100 per 00:01:00")
	f.Add("9999999999999999999999", "x", "in 99999999999999999999.9 seconds, 1 per 99999999.99:99:99")
	f.Fuzz(func(t *testing.T, after, date, words string) {
		h := http.Header{"Retry-After": {after}, "Date": {date}}
		got, named := waitNamed(h, words, time.Unix(0, 0))
		if named != (got > 0) || got < 0 || got > maxWait {
			t.Errorf("waitNamed(%q, %q, %q) = %v, %v; want zero and not named, or up to %v and named", after, date, words, got, named, maxWait)
		}
	})
}

func TestTidy(t *testing.T) {
	token := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	tests := []struct{ reason, in, want string }{
		{"one line", "a\r\n\tb\x00c", "a b c"},
		{"a token", "bad token " + token + "!", "bad token [redacted]!"},
		{"a token that was cut", "bad token " + token[:40], "bad token [redacted]"},
		{"a proxy's password", "dial http://user:pass@proxy:8080: refused", "dial http://[redacted]@proxy:8080: refused"},
		{"long", strings.Repeat("é", maxText+1), strings.Repeat("é", maxText) + "…"},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
	}
	for _, test := range tests {
		if got := tidy(test.in); got != test.want {
			t.Errorf("%s: tidy(%q) = %q; want %q", test.reason, test.in, got, test.want)
		}
	}
}
