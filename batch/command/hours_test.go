package command

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEnd(t *testing.T) {
	tests := []struct {
		reason    string
		until     string
		length    time.Duration
		now, want string
		zone      string // Europe/Madrid, if none
	}{
		{"later today", "06:00", 0, "2026-11-21T01:00:00+01:00", "2026-11-21T06:00:00+01:00", ""},
		{"already past today", "06:00", 0, "2026-11-21T22:00:00+01:00", "2026-11-22T06:00:00+01:00", ""},
		{"at that very minute it is tomorrow's", "06:00", 0, "2026-11-21T06:00:00+01:00", "2026-11-22T06:00:00+01:00", ""},
		{"the earlier of two: the length", "06:00", time.Hour, "2026-11-21T01:00:00+01:00", "2026-11-21T02:00:00+01:00", ""},
		{"the earlier of two: the clock", "06:00", 8 * time.Hour, "2026-11-21T01:00:00+01:00", "2026-11-21T06:00:00+01:00", ""},
		{"a time that spring skips: when the clock jumps over it", "02:30", 0, "2026-03-29T00:00:00+01:00", "2026-03-29T03:00:00+02:00", ""},
		{"a time that autumn has twice: the first", "02:30", 0, "2026-10-25T00:00:00+02:00", "2026-10-25T02:30:00+02:00", ""},
		{"and after that the second", "02:30", 0, "2026-10-25T02:45:00+02:00", "2026-10-25T02:30:00+01:00", ""},
		{"midnight", "00:00", 0, "2026-11-21T23:59:30+01:00", "2026-11-22T00:00:00+01:00", ""},
		{"midnight by its other name", "24:00", 0, "2026-11-21T23:59:30+01:00", "2026-11-22T00:00:00+01:00", ""},
		{"the full hour that autumn has twice", "02:00", 0, "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", ""},
		{"skipped after midnight", "00:30", 0, "2025-09-06T22:00:00-04:00", "2025-09-07T01:00:00-03:00", "America/Santiago"},
		{"skipped with midnight itself", "00:00", 0, "2025-09-06T22:00:00-04:00", "2025-09-07T01:00:00-03:00", "America/Santiago"},
		{"skipped after midnight in Egypt", "00:30", 0, "2025-04-24T22:00:00+02:00", "2025-04-25T01:00:00+03:00", "Africa/Cairo"},
		{"the first of an hour before midnight that is twice", "23:30", 0, "2025-04-05T22:00:00-03:00", "2025-04-05T23:30:00-03:00", "America/Santiago"},
		{"a clock that is put back over midnight", "00:30", 0, "2025-04-05T23:30:00-03:00", "2025-04-06T00:30:00-04:00", "America/Santiago"},
	}
	for _, tt := range tests {
		h := hours{timezone: either(tt.zone, "Europe/Madrid"), until: tt.until, length: tt.length}
		got, err := h.endsAt(at(t, tt.now))
		if err != nil || !got.Equal(at(t, tt.want)) {
			t.Errorf("%s: endsAt(%s) = %v, %v; want %s", tt.reason, tt.now, got, err, tt.want)
		}
	}
}

func TestHoursRefused(t *testing.T) {
	tests := []struct {
		reason string
		h      hours
		want   string
	}{
		{"no such zone", hours{timezone: "Europe/Madird"}, "--timezone"},
		{"no such hours", hours{between: []string{"22-6"}}, "--between"},
		{"hours from a variable that is not set", hours{between: []string{""}}, "--between"},
		{"no such time", hours{until: "6 am"}, "--until"},
		{"nor this one", hours{until: "24:01"}, "--until"},
		{"a length that runs backwards", hours{length: -time.Hour}, "--for"},
		{"too short for one call", hours{between: []string{"22:00-22:01"}}, "no call may be made"},
	}
	for _, tt := range tests {
		err := tt.h.apply(at(t, "2026-11-21T12:00:00Z"), &batch.Options{Timeout: 2 * time.Minute})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: apply(%+v) = %v; want an error with %q", tt.reason, tt.h, err, tt.want)
		}
	}
}

// TestZonesAreBroughtAlong: the program knows zones where the system has no data of
// them. Here it may have, so the program itself is looked into.
func TestZonesAreBroughtAlong(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fileText(t, path), "Antarctica/Troll") {
		t.Error("the program has no data of zones in it")
	}
}

func TestHoursAllowed(t *testing.T) {
	h := hours{between: []string{"22:00-06:00"}, timezone: "Europe/Madrid", wait: true}
	opt := batch.Options{Timeout: time.Minute}
	if err := h.apply(at(t, "2026-11-21T12:00:00Z"), &opt); err != nil {
		t.Fatal(err)
	}
	if !opt.Wait || opt.Hours != "22:00-06:00 Europe/Madrid" {
		t.Errorf("Options = %+v; want to wait for the hours, and to say which", opt)
	}
	got := opt.Allowed(at(t, "2026-11-21T12:00:00Z")).Format("15:04 MST")
	if got != "22:00 CET" {
		t.Errorf("Allowed(noon) = %s; want 22:00 CET, the clock of the zone", got)
	}
}

// TestLocalHours has hours by the clock of a machine told so that they can be read
// on another one.
func TestLocalHours(t *testing.T) {
	defer func(was *time.Location) { time.Local = was }(time.Local)
	madrid, err := loadZone("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	now := at(t, "2026-11-21T12:00:00Z")
	for _, tt := range []struct {
		reason string
		local  *time.Location
		want   string
	}{
		{"TZ names it", madrid, "Europe/Madrid"},
		{"nothing does: by its short name and what its clocks show", local(t, "CET", 3600), "local time (CET, UTC+01:00)"},
		{"another offset", local(t, "NST", -12600), "local time (NST, UTC-03:30)"},
		{"it has no short name either", local(t, "-03", -10800), "local time (UTC-03:00)"},
		{"a server's", local(t, "UTC", 0), "local time (UTC+00:00)"},
	} {
		time.Local = tt.local
		h, opt := hours{between: []string{"22:00-06:00"}, timezone: "local"}, batch.Options{}
		if err := h.apply(now, &opt); err != nil {
			t.Fatal(err)
		}
		if opt.Hours != "22:00-06:00 "+tt.want {
			t.Errorf("%s: Hours = %q; want them by %q", tt.reason, opt.Hours, tt.want)
		}
		if got := h.inNight(1); !strings.Contains(got, "(22:00-06:00, "+tt.want+")") {
			t.Errorf("%s: inNight() = %q; want %q in it", tt.reason, got, tt.want)
		}
	}
}

// local is a zone as the system gives it, which names no place: one of a single type
// in the form of tzfile(5).
func local(t *testing.T, short string, offset int32) *time.Location {
	t.Helper()
	data := append([]byte("TZif"), make([]byte, 16)...)
	for _, count := range []uint32{0, 0, 0, 0, 1, uint32(len(short) + 1)} {
		data = binary.BigEndian.AppendUint32(data, count)
	}
	data = append(binary.BigEndian.AppendUint32(data, uint32(offset)), 0, 0)
	zone, err := time.LoadLocationFromTZData("Local", append(data, short+"\x00"...))
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestNight(t *testing.T) {
	tests := []struct {
		reason    string
		now, last string
		want      int
	}{
		{"tonight, seen at noon", "2026-11-21T12:00:00Z", "2026-11-21T23:00:00Z", 1},
		{"tonight, seen at night", "2026-11-21T22:30:00Z", "2026-11-21T23:00:00Z", 1},
		{"the third night", "2026-11-21T12:00:00Z", "2026-11-23T23:00:00Z", 3},
		{"the moment at which the second night opens", "2026-11-21T22:30:20Z", "2026-11-22T21:00:00Z", 2},
	}
	for _, tt := range tests {
		h := hours{between: []string{"22:00-06:00"}, timezone: "Europe/Madrid"}
		if err := h.apply(at(t, tt.now), &batch.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := h.night(at(t, tt.now), at(t, tt.last)); got != tt.want {
			t.Errorf("%s: night(%s, %s) = %d; want %d", tt.reason, tt.now, tt.last, got, tt.want)
		}
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 112: "112th"} {
		if got := ordinal(n); got != want {
			t.Errorf("ordinal(%d) = %s; want %s", n, got, want)
		}
	}
}
