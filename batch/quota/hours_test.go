package quota

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestHoursOpen(t *testing.T) {
	madrid := zone(t, "Europe/Madrid")
	tests := []struct {
		reason string
		spec   string
		at     string // UTC
		want   bool
	}{
		{"in the evening", "22:00-06:00", "2026-11-20T21:00:00Z", true},
		{"a second before", "22:00-06:00", "2026-11-20T20:59:59Z", false},
		{"in the early morning", "22:00-06:00", "2026-11-21T04:59:59Z", true},
		{"the end is not in it", "22:00-06:00", "2026-11-21T05:00:00Z", false},
		{"a night that began on an allowed day goes on", "Fri 22:00-06:00", "2026-11-21T03:00:00Z", true},
		{"a night that began on another does not", "Sat 22:00-06:00", "2026-11-21T03:00:00Z", false},
		{"the whole weekend", "Sat,Sun 00:00-24:00", "2026-11-22T22:59:59Z", true},
		{"Monday is not in it", "Sat,Sun 00:00-24:00", "2026-11-22T23:00:00Z", false},
		{"a range of days", "mon-fri 19:00-24:00", "2026-11-20T22:59:00Z", true},
		{"a range over the week's end", "Sat-Mon 01:00-02:00", "2026-11-22T00:30:00Z", true},
		{"summer time: the same wall clock is an hour earlier", "22:00-06:00", "2026-07-01T20:00:00Z", true},
		{"autumn: half past two, the first time", "02:00-03:00", "2026-10-25T00:30:00Z", true},
		{"autumn: half past two, again", "02:00-03:00", "2026-10-25T01:30:00Z", true},
		{"spring: after 01:59 comes 03:00", "02:00-03:00", "2026-03-29T01:00:00Z", false},
		{"spaces around the dashes", "Mon - Fri 22:00 - 06:00", "2026-11-20T21:00:00Z", true},
		{"either of two", "06:00-07:00; 20:00-21:00", "2026-11-20T19:30:00Z", true},
	}
	for _, tt := range tests {
		h, err := ParseHours([]string{tt.spec}, madrid)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Open(at); got != tt.want {
			t.Errorf("%s: Open(%q, %v) = %v; want %v", tt.reason, tt.spec, at.In(madrid), got, tt.want)
		}
	}
}

func TestHoursNext(t *testing.T) {
	madrid := zone(t, "Europe/Madrid")
	tests := []struct {
		reason   string
		spec, at string
		want     string
	}{
		{"now", "22:00-06:00", "2026-11-20T21:00:00Z", "2026-11-20T21:00:00Z"},
		{"tonight", "22:00-06:00", "2026-11-20T10:00:00Z", "2026-11-20T21:00:00Z"},
		{"a call may not be under way when the hours end", "22:00-06:00", "2026-11-21T04:59:30Z", "2026-11-21T21:00:00Z"},
		{"a gap: the first moment after it", "02:30-05:00", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"},
		{"a gap that swallows all of it: the day after", "02:00-03:00", "2026-03-28T23:00:00Z", "2026-03-30T00:00:00Z"},
		{"an hour that comes twice: its second time", "22:00-02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"},
		{"next weekend", "Sat 00:00-24:00", "2026-11-22T12:00:00Z", "2026-11-27T23:00:00Z"},
	}
	for _, tt := range tests {
		h, err := ParseHours([]string{tt.spec}, madrid)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, tt.at)
		want, _ := time.Parse(time.RFC3339, tt.want)
		if got := h.Next(at, time.Minute); !got.Equal(want) {
			t.Errorf("%s: Next(%q, %v) = %v; want %v", tt.reason, tt.spec, at.In(madrid), got.In(madrid), want.In(madrid))
		}
	}
	gap, _ := ParseHours([]string{"10:00-10:05; 10:06-12:00"}, time.UTC)
	if got, want := gap.Next(day(10, 4), 5*time.Minute), day(10, 6); !got.Equal(want) {
		t.Errorf("a gap within a call: Next = %v; want %v", got, want)
	}
	if h, _ := ParseHours([]string{"10:00-10:01"}, time.UTC); !h.Next(t0, time.Hour).IsZero() {
		t.Error("Next of hours shorter than a call: want none")
	}
}

// day is a moment of a day without a change of clocks.
func day(hour, minute int) time.Time {
	return time.Date(2026, 11, 20, hour, minute, 0, 0, time.UTC)
}

func TestParseHoursRefuses(t *testing.T) {
	for spec, reason := range map[string]string{
		"22-06":            "no minutes",
		"22:00":            "no end",
		"22:00-22:00":      "nothing in between",
		"24:00-06:00":      "no day starts at 24:00",
		"22:60-06:00":      "no such minute",
		"Caturday 1:00-2":  "no such day",
		"Mo 10:00-11:00":   "too short to be a day",
		"22:00-06:00-7:00": "two ends",
		"-1:00-02:00":      "a sign",
		"22:3x-06:00":      "more than a minute",
		"+2:00-06:00":      "another sign",
		"22:00- 6:00":      "a space for a digit",
		"":                 "a variable that is not set",
		" ":                "nor this one",
		"22:00-06:00;":     "the second of two is not there",
	} {
		if h, err := ParseHours([]string{spec}, time.UTC); err == nil {
			t.Errorf("ParseHours(%q) = %v; want an error: %s", spec, h, reason)
		}
	}
}

// TestHoursByCommas: the mistake that is made most is told by its remedy.
func TestHoursByCommas(t *testing.T) {
	_, err := ParseHours([]string{"20:00-22:00,23:00-24:00"}, time.UTC)
	if err == nil || !strings.HasSuffix(err.Error(), "several are joined by semicolons, and commas are for days") {
		t.Errorf("ParseHours = %v; want how several are given", err)
	}
}

// TestCloses: hours that meet are one stretch, and those that never close have no end.
func TestCloses(t *testing.T) {
	for _, tt := range []struct{ reason, spec, from, want string }{
		{"tonight's end", "22:00-06:00", "2026-11-21T22:30:10Z", "2026-11-22T06:00:00Z"},
		{"closed already", "22:00-06:00", "2026-11-21T12:00:10Z", "2026-11-21T12:00:10Z"},
		{"two that meet", "22:00-24:00;00:00-05:00", "2026-11-21T23:00:00Z", "2026-11-22T05:00:00Z"},
		{"a weekend", "Sat,Sun 00:00-24:00", "2026-11-21T09:00:00Z", "2026-11-23T00:00:00Z"},
		{"never", "00:00-24:00", "2026-11-21T09:00:00Z", ""},
	} {
		h, err := ParseHours([]string{tt.spec}, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		from, _ := time.Parse(time.RFC3339, tt.from)
		want, _ := time.Parse(time.RFC3339, tt.want)
		if got := h.Closes(from); !got.Equal(want) {
			t.Errorf("%s: Closes(%s) of %s = %v; want %v", tt.reason, tt.from, tt.spec, got, want)
		}
	}
}

func FuzzParseHours(f *testing.F) {
	f.Add("Sat,Sun 00:00-24:00; 22:00-06:00")
	f.Fuzz(func(t *testing.T, spec string) {
		h, err := ParseHours([]string{spec}, time.UTC)
		if err != nil {
			return
		}
		if next := h.Next(t0, 0); !next.IsZero() && !h.Open(next) {
			t.Errorf("ParseHours(%q): Next gives %v, at which it is not open", spec, next)
		}
	})
}

// TestHoursOfDaysThatChange: hours of named days are as long as those days are on the
// clock, in the week of either change and in one without.
func TestHoursOfDaysThatChange(t *testing.T) {
	madrid := zone(t, "Europe/Madrid")
	october, march, plain := time.Date(2026, 10, 22, 12, 0, 0, 0, madrid), time.Date(2026, 3, 26, 12, 0, 0, 0, madrid), time.Date(2026, 11, 19, 12, 0, 0, 0, madrid)
	for _, tt := range []struct {
		spec                  string
		october, march, plain time.Duration // that are open in the week from a Thursday at noon on
	}{
		{"Sat,Sun 00:00-24:00", 49 * time.Hour, 47 * time.Hour, 48 * time.Hour},
		{"Sun 00:00-24:00", 25 * time.Hour, 23 * time.Hour, 24 * time.Hour},
		{"Fri 22:00-06:00", 8 * time.Hour, 8 * time.Hour, 8 * time.Hour},
		{"Sat 22:00-06:00", 9 * time.Hour, 7 * time.Hour, 8 * time.Hour},
		{"Sun 22:00-06:00", 8 * time.Hour, 8 * time.Hour, 8 * time.Hour},
		{"Sun 02:00-03:00", 2 * time.Hour, 0, time.Hour},
		{"Fri 22:00-06:00; Sat,Sun 00:00-24:00", 51 * time.Hour, 49 * time.Hour, 50 * time.Hour},
	} {
		h, err := ParseHours([]string{tt.spec}, madrid)
		if err != nil {
			t.Fatal(err)
		}
		for from, want := range map[time.Time]time.Duration{october: tt.october, march: tt.march, plain: tt.plain} {
			var open time.Duration
			for at := from; at.Before(from.AddDate(0, 0, 7)); at = at.Add(time.Minute) {
				if h.Open(at) {
					open += time.Minute
				}
			}
			if open != want {
				t.Errorf("%s is open for %v in the week from %v on; want %v", tt.spec, open, from, want)
			}
		}
	}
	weekend, _ := ParseHours([]string{"Sat,Sun 00:00-24:00"}, madrid)
	for _, from := range []time.Time{october, march, plain} {
		opens, closes := from.AddDate(0, 0, 2).Add(-12*time.Hour), time.Date(from.Year(), from.Month(), from.Day()+4, 0, 0, 0, 0, madrid)
		if got := weekend.Next(from, time.Minute); !got.Equal(opens) {
			t.Errorf("the weekend opens at %v; want %v", got.In(madrid), opens)
		}
		if got := weekend.Closes(opens); !got.Equal(closes) {
			t.Errorf("the weekend closes at %v; want %v", got.In(madrid), closes)
		}
	}
}
