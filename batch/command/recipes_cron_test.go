package command

import (
	"strconv"
	"strings"
	"testing"
)

// cronFields are the fields of a schedule and what they count. Sunday is 0 here:
// it is 7 as well to cron, and nothing to Kubernetes.
var cronFields = []struct {
	name        string
	first, last int
}{{"minute", 0, 59}, {"hour", 0, 23}, {"day of the month", 1, 31}, {"month", 1, 12}, {"day of the week", 0, 6}}

// wrongSchedule says what is wrong with a schedule such as "0 22 * * 1-5", in the
// form that cron, Kubernetes, Container Apps and GitHub all take: numbers,
// without names. It is empty if nothing is.
func wrongSchedule(text string) string {
	fields := strings.Split(text, " ")
	if len(fields) != len(cronFields) {
		return strconv.Quote(text) + " does not have five fields"
	}
	for i, f := range cronFields {
		for part := range strings.SplitSeq(fields[i], ",") {
			if !inRange(part, f.first, f.last) {
				return strconv.Quote(part) + " is no " + f.name
			}
		}
	}
	return ""
}

// inRange judges *, 5, 1-5, */10 and 1-5/2.
func inRange(part string, first, last int) bool {
	span, step, stepped := strings.Cut(part, "/")
	if stepped && (plainInt(step) < 1 || plainInt(step) > last) {
		return false
	}
	if span == "*" {
		return true
	}
	from, to, ranged := strings.Cut(span, "-")
	if !ranged {
		to = from
	}
	return (ranged || !stepped) && first <= plainInt(from) && plainInt(from) <= plainInt(to) && plainInt(to) <= last
}

// plainInt reads digits; anything else is -1.
func plainInt(text string) int {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

// checkCron checks the lines of a file for /etc/cron.d: five fields of time, a
// user, and a command without the percent sign, which cron makes a line break.
func checkCron(_ *testing.T, b block) (wrong []string) {
	for line := range strings.Lines(b.text) {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#") || len(f) == 0:
			continue
		case len(f) < 7:
			wrong = append(wrong, "no line of a crontab: "+line)
			continue
		case strings.Contains(line, "%"):
			wrong = append(wrong, "a percent sign ends the command: "+line)
		}
		if why := wrongSchedule(strings.Join(f[:5], " ")); why != "" {
			wrong = append(wrong, why)
		}
	}
	return wrong
}

func TestWrongSchedule(t *testing.T) {
	tests := []struct {
		reason, schedule string
		ok               bool
	}{
		{"every night", "0 22 * * *", true},
		{"lists, ranges and steps", "0,30 1-5/2 */10 1,6-12 1-5", true},
		{"the last of each", "59 23 31 12 6", true},
		{"far out", "99 42 * * 9", false},
		{"minute", "60 22 * * *", false},
		{"hour", "0 24 * * *", false},
		{"day of the month, too low", "0 22 0 * *", false},
		{"day of the month, too high", "0 22 32 * *", false},
		{"month", "0 22 * 13 *", false},
		{"day of the week", "0 22 * * 7", false},
		{"the end of a range", "0 22-24 * * *", false},
		{"a range backwards", "0 22-6 * * *", false},
		{"a step of none", "*/0 22 * * *", false},
		{"a step from one number", "5/10 22 * * *", false},
		{"one of a list", "0 22,24 * * *", false},
		{"an empty place in a list", "0 22, * * *", false},
		{"a sign", "+0 22 * * *", false},
		{"four fields", "0 22 * *", false},
		{"six fields", "0 0 22 * * *", false},
		{"a word", "@daily", false},
	}
	for _, tt := range tests {
		if why := wrongSchedule(tt.schedule); (why == "") != tt.ok {
			t.Errorf("wrongSchedule(%q) = %q; want it right: %v (%s)", tt.schedule, why, tt.ok, tt.reason)
		}
	}
}
