package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// labels are the settings in the order in which a page tells them, the guards
// first, and what each is called where people read it. What stands for none of a
// kind is in the third place.
var labels = [][3]string{
	{"maxDevices", "Devices, at most", "0"},
	{"maxPercent", "Percent of the inventory, at most", "100"},
	{"protect", "Protected", ""},
	{"canary", "Canary", "0"},
	{"recentlySeen", "Held back if seen within", "0s"},
	{"maxFailures", "Stopped by failures beyond", ""},
	{"skipInvalid", "Lines that cannot be used are left out", ""},
	{"retry", "Taken up again", ""},
	{"again", "Accepted devices again", ""},
	{"inventory", "Held against the inventory", ""},
	{"lookUps", "Actions are looked up", ""},
	{"windows", "Calls, at most", ""},
	{"sharedBudget", "One budget for all kinds of call", ""},
	{"hours", "Allowed hours", ""},
	{"limit", "Calls of the run, at most", "0"},
	{"workers", "Calls in flight, at most", ""},
	{"timeout", "Time-out of a call", ""},
	{"maxAttempts", "Attempts for a device, at most", ""},
	{"settleWait", "An action may stay invisible for", ""},
	{"maxOutage", "Stopped by an outage of", ""},
	{"commentTag", "Comments carry a tag", ""},
	{"roundFrom", "Canary begins anew after event", ""},
	{"roundAgain", "Taken up after event", ""},
}

// settingsOf are the settings of a run, all of those of the first one and what is
// other than before in those that follow. asBefore says that there was one before.
// Only runs that have a plan have settings to tell.
func (a *audit) settingsOf(i int) (rows []fact, asBefore bool) {
	if a.runs[i].What != "run" {
		return nil, false
	}
	now := settingRows(a.settings[a.runs[i].ID])
	for k := i - 1; k >= 0; k-- {
		if a.runs[k].What != "run" {
			continue
		}
		before := settingRows(a.settings[a.runs[k].ID])
		return slices.DeleteFunc(now, func(f fact) bool { return slices.Contains(before, f) }), true
	}
	return now, false
}

// settingRows show settings under their labels; what has none comes last, under
// the name that it has.
func settingRows(options string) (rows []fact) {
	var settings map[string]any
	if json.Unmarshal([]byte(options), &settings) != nil {
		return nil
	}
	for _, l := range labels {
		v, ok := settings[l[0]]
		if !ok {
			continue
		}
		text := settingText(v)
		if text == "" || text == spoken(l[2]) {
			text = "none"
		}
		rows = append(rows, fact{l[1], visible(text), false})
		delete(settings, l[0])
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		rows = append(rows, fact{visible(name), visible(settingText(settings[name])), false})
	}
	return rows
}

func settingText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if n, per, ok := strings.Cut(v, " in "); ok { // as a window is written
			if limit, err := strconv.Atoi(n); err == nil {
				return thousands(limit) + " in " + spoken(per)
			}
		}
		return spoken(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return thousands(int(v))
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		var all []string
		for _, e := range v {
			all = append(all, settingText(e))
		}
		return strings.Join(all, ", ")
	case map[string]any:
		file, isFile := v["file"].(string)
		n, counted := v["patterns"].(float64)
		if isFile && counted {
			return fmt.Sprintf("%s (%s, SHA-256 %v)", file, plural(int(n), "pattern"), v["sha256"])
		}
	}
	return fmt.Sprint(v)
}

// spoken is a text with the lengths of time in it as people write them, where that
// says all of it, and the times: those of settings and of reasons are as Go and RFC
// 3339 write them.
func spoken(text string) string {
	return withTimes(reworded(text, func(word string) string {
		d, err := time.ParseDuration(word)
		if err == nil && d >= time.Second && d%time.Second == 0 && (d < time.Hour || d%time.Minute == 0) && (d < 24*time.Hour || d%time.Hour == 0) {
			return lasting(d)
		}
		return word
	}), human)
}

// length is the word for the length of a window on a page.
func length(d time.Duration) string { return spoken(span(d)) }

// withTimes is a text with the times in it as say has them.
func withTimes(text string, say func(time.Time) string) string {
	return reworded(text, func(word string) string {
		if t, err := time.Parse(time.RFC3339, word); err == nil {
			return say(t)
		}
		return word
	})
}

// reworded is a text whose words are as say has them. What ends a clause is none of
// a word.
func reworded(text string, say func(word string) string) string {
	words := strings.Split(text, " ")
	for i, all := range words {
		word := strings.TrimRight(all, ",;:.)")
		words[i] = say(word) + all[len(word):]
	}
	return strings.Join(words, " ")
}
