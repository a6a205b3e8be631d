package simulator

import (
	"strings"
	"testing"
	"time"
)

var sample = map[string]any{
	"id": "a1", "type": "Offboard", "status": "Pending", "machineId": nil, "requestor": "O'Brien (admin)",
	"creationDateTimeUtc": time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC), "machineTags": []string{"old", "x,y"}, "rbacGroupId": 7.0,
}

func sampleFields() []string { return fieldNames(sample) }

func TestFilter(t *testing.T) {
	for _, test := range []struct {
		why, filter string
		want        bool
	}{
		{"equal", "type eq 'Offboard'", true},
		{"equal looks at case", "type eq 'offboard'", false},
		{"not equal", "type ne 'Isolate'", true},
		{"a doubled quote is one", "requestor eq 'O''Brien (admin)'", true},
		{"and", "type eq 'Offboard' and status eq 'Failed'", false},
		{"or", "type eq 'Isolate' or status eq 'Pending'", true},
		{"and binds closer than or", "type eq 'Offboard' or type eq 'Isolate' and status eq 'Failed'", true},
		{"parentheses bind closest", "(type eq 'Offboard' or type eq 'Isolate') and status eq 'Failed'", false},
		{"not", "not (status eq 'Failed')", true},
		{"a date from", "creationDateTimeUtc ge 2026-01-02T03:04:05.6000000Z", true},
		{"a date after", "creationDateTimeUtc gt 2026-01-02T03:04:05.6Z", false},
		{"a date before", "creationDateTimeUtc lt 2026-01-02T03:04:05.6000001Z", true},
		{"a date up to", "creationDateTimeUtc le 2026-01-02T04:04:05+01:00", false},
		{"a day", "creationDateTimeUtc ge 2026-01-02", true},
		{"nothing equals null", "machineId eq null", true},
		{"something is not null", "id ne null", true},
		{"nothing is not greater", "machineId gt 'a'", false},
		{"nothing does not equal a word", "machineId eq 'a1'", false},
		{"begins", "startswith(id,'a')", true},
		{"begins with something else", "startswith(id, 'b')", false},
		{"nothing begins", "startswith(machineId,'')", false},
		{"a list has it", "machineTags/any(tag: tag eq 'x,y')", true},
		{"a list has it not", "machineTags/any(t: t eq 'new')", false},
		{"a number", "rbacGroupId ge 7", true},
	} {
		keep, err := parseFilter(test.filter, sampleFields())
		if err != nil {
			t.Errorf("%s: parseFilter(%s) = %v; want none", test.why, test.filter, err)
			continue
		}
		if have := keep(func(name string) any { return sample[name] }); have != test.want {
			t.Errorf("%s: %s = %t; want %t", test.why, test.filter, have, test.want)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, test := range []struct{ why, filter string }{
		{"a year before the first", "creationDateTimeUtc ge 0000-12-31T23:58:00Z"},
		{"empty", ""},
		{"only a name", "id"},
		{"no value", "id eq"},
		{"no quotes", "id eq a1"},
		{"double quotes", `id eq "a1"`},
		{"a string without an end", "id eq 'a1"},
		{"an unknown name", "hostname eq 'a'"},
		{"a name in the wrong case", "Type eq 'Offboard'"},
		{"an operator in the wrong case", "type EQ 'Offboard'"},
		{"a date in quotes", "creationDateTimeUtc ge '2026-01-02T03:04:05Z'"},
		{"a bare date for a string", "id eq 2026-01-02"},
		{"a number for a string", "id eq 5"},
		{"a string for a number", "rbacGroupId eq '7'"},
		{"a list compared as a whole", "machineTags eq 'old'"},
		{"an open parenthesis", "(id eq 'a1'"},
		{"one word too many", "id eq 'a1' 'b2'"},
		{"nothing behind and", "id eq 'a1' and"},
		{"a function that is none", "contains(id,'a')"},
		{"startswith without a string", "startswith(id,a)"},
		{"any with two names", "machineTags/any(t: x eq 'old')"},
		{"nested without end", strings.Repeat("(", 100_000)},
	} {
		if _, err := parseFilter(test.filter, sampleFields()); err == nil {
			t.Errorf("%s: parseFilter(%.40s) = nil; want an error", test.why, test.filter)
		}
	}
}

// A string that is quoted as OData wants it finds exactly itself.
func FuzzFilter(f *testing.F) {
	f.Add("O'Brien", "id eq 'x' and (type ne null or not startswith(status,'P'))")
	f.Add("", "machineTags/any(t: t eq 'a')")
	f.Add("' or '1' eq '1", "id eq ''''")
	f.Fuzz(func(t *testing.T, text, filter string) {
		keep, err := parseFilter("id eq '"+strings.ReplaceAll(text, "'", "''")+"'", sampleFields())
		if err != nil {
			t.Fatalf("parseFilter(a quoted %q) = %v; want none", text, err)
		}
		if !keep(func(string) any { return text }) || keep(func(string) any { return text + "x" }) {
			t.Errorf("id eq %q does not find exactly itself", text)
		}
		if keep, err := parseFilter(filter, sampleFields()); err == nil {
			keep(func(name string) any { return sample[name] })
		}
	})
}
