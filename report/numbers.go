package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// thousands is a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return thousands(n) + " " + thing + "s"
}

// percent is a share that is never rounded to all or to nothing.
func percent(n, of int) string {
	if n == 0 || of == 0 {
		return "–"
	}
	p := 100 * float64(n) / float64(of)
	switch {
	case n == of:
		return "100\u00a0%"
	case p < 0.1:
		return "<\u00a00.1\u00a0%"
	case p > 99.9:
		return ">\u00a099.9\u00a0%"
	}
	return fmt.Sprintf("%.1f\u00a0%%", p)
}

// enumerate is a list as a sentence has it: a, b and c.
func enumerate(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " and " + items[last]
}

// lasting is how long something took: its two largest units.
func lasting(d time.Duration) string {
	if d < 0 {
		return "no time"
	}
	d = d.Round(time.Second)
	var parts []string
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		n := d / u.d
		d -= n * u.d
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d\u00a0%s", n, u.name))
		} else if len(parts) > 0 {
			break
		}
	}
	if len(parts) == 0 {
		return "less than 1 s"
	}
	return strings.Join(parts[:min(2, len(parts))], " ")
}

// short is a coordinate.
func short(f float64) string { return strconv.FormatFloat(f, 'f', -1, 32) }

// clip cuts a text after so many bytes, at the end of a character, and says so.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xc0 == 0x80 {
		most--
	}
	return s[:most] + "…"
}
