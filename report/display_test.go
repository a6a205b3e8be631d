package report

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/quota"
)

// screen is as much of a terminal as a display needs. Lines longer than the
// terminal is wide are broken.
type screen struct {
	width    int
	rows     []string
	row, col int
}

var ansi = regexp.MustCompile("^\x1b\\[([0-9]*)([AKJ])")

func (s *screen) Write(p []byte) (int, error) {
	for text := string(p); text != ""; {
		if m := ansi.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[1])
			s.code(m[2], n)
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		s.put(r)
		text = text[len(string(r)):]
	}
	return len(p), nil
}

func (s *screen) code(what string, n int) {
	switch what {
	case "A":
		s.row = max(0, s.row-n)
	case "K":
		s.line(s.row, s.col)
	case "J":
		s.line(s.row, s.col)
		s.rows = s.rows[:s.row+1]
	}
}

// line makes sure that a row is there and cuts it to so many columns.
func (s *screen) line(row, most int) {
	for len(s.rows) <= row {
		s.rows = append(s.rows, "")
	}
	if r := []rune(s.rows[row]); len(r) > most {
		s.rows[row] = string(r[:most])
	}
}

func (s *screen) put(r rune) {
	switch r {
	case '\r':
		s.col = 0
		return
	case '\n':
		s.row, s.col = s.row+1, 0
		s.line(s.row, 1<<20)
		return
	}
	if s.col == s.width {
		s.row, s.col = s.row+1, 0
	}
	s.line(s.row, 1<<20)
	line := []rune(s.rows[s.row])
	for len(line) <= s.col {
		line = append(line, ' ')
	}
	line[s.col] = r
	s.rows[s.row] = string(line)
	s.col++
}

func (s *screen) String() string { return strings.TrimRight(strings.Join(s.rows, "\n"), "\n") }

// busy is a run in the middle of its work.
func busy() batch.Progress {
	return batch.Progress{
		Batch: "decommission", Total: 1500,
		Counts: map[checkpoint.Status]int{checkpoint.Accepted: 790, checkpoint.Refused: 22, checkpoint.Pending: 676, checkpoint.Sending: 12},
		Usage: []quota.Usage{{Window: quota.Window{Limit: 100, Per: time.Minute}, Used: 37},
			{Window: quota.Window{Limit: 1500, Per: time.Hour}, Used: 812}},
		InFlight: 12,
	}
}

func TestDisplayOnTerminal(t *testing.T) {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // a bubble's clock
	sending := busy()
	sending.DoneAt, sending.DoneWhy = at.Add(7*time.Minute), "minute window"
	waiting := busy()
	waiting.Simulated, waiting.InFlight = true, 0
	waiting.Wait, waiting.Until, waiting.DoneAt, waiting.DoneWhy = "hour window", at.Add(46*time.Minute), at.Add(26*time.Hour), "hour window"
	waiting.Night = 2
	crowded := busy()
	crowded.Batch = "a list with quite a long name, as people call them - final (2)"
	crowded.Simulated = true
	crowded.Counts = map[checkpoint.Status]int{checkpoint.Accepted: 97900, checkpoint.AlreadyActive: 100, checkpoint.Refused: 1000,
		checkpoint.Failed: 100, checkpoint.InDoubt: 20, checkpoint.Skipped: 400}
	crowded.Total = 100000
	crowded.Stopping = "interrupted"
	stopping, limited := sending, sending
	stopping.Stopping, limited.Stopping, limited.InFlight = batch.Interrupted, "20 calls were made, as --limit says", 1
	hostile := busy()
	hostile.Batch, hostile.Wait = "a\x1b[2Jb\u202ec\nd", "x\x1b]0;evil\a"

	for _, tt := range []struct {
		why     string
		p       batch.Progress
		width   int
		unicode bool
		want    string
	}{
		{"sending at 80", sending, 80, true, `
decommission  54% ████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░ 812/1500
790 accepted · 22 refused · minute 37/100 · hour 812/1500
sending · 12 in flight · ends 00:07 (minute window)`},
		{"sending at 140", sending, 140, true, `
decommission  54% ████████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 812/1500
790 accepted · 22 refused · minute 37/100 · hour 812/1500
sending · 12 in flight · ends 00:07 (minute window)`},
		{"waiting, in ASCII", waiting, 80, false, `
SIMULATED decommission  54% ######################-------------------- 812/1500
790 accepted, 22 refused, minute 37/100, hour 812/1500
waiting: hour window, until 00:46:00, ends Sun 02:00 in night 2 (hour window)`},
		{"waiting, where there is no space for why", waiting, 70, false, `
SIMULATED decommission  54% #################--------------- 812/1500
790 accepted, 22 refused, minute 37/100, hour 812/1500
waiting: hour window, until 00:46:00, ends Sun 02:00 in night 2`},
		{"interrupted: no time is promised any more", stopping, 80, true, `
decommission  54% ████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░ 812/1500
790 accepted · 22 refused · minute 37/100 · hour 812/1500
stopping: interrupted · waiting for 12 answers (Ctrl-C again: at once)`},
		{"the same, narrow", stopping, 60, true, `
decommission  54% █████████████████░░░░░░░░░░░░░░░ 812/1500
790 accepted · 22 refused · minute 37/100 · hour 812/1500
stopping: interrupted · 12 in flight`},
		{"stopped by itself: one signal would be the first", limited, 80, true, `
decommission  54% ████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░ 812/1500
790 accepted · 22 refused · minute 37/100 · hour 812/1500
stopping: 20 calls were made, as --limit says · waiting for 1 answer`},
		{"much to say", crowded, 80, true, ""},
		{"narrow", crowded, 40, true, ""},
		{"hardly there", waiting, 24, true, ""},
		{"escape codes in names", hostile, 80, true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: tt.width}
			d := NewDisplay(s, DisplayOptions{Terminal: true, Unicode: tt.unicode, Zone: time.UTC, Width: func() int { return tt.width }})
			d.Show(batch.Progress{Batch: tt.p.Batch, Simulated: tt.p.Simulated, Total: tt.p.Total})
			time.Sleep(time.Second)
			d.Show(tt.p)
			d.Close()
			t.Logf("%s:\n%s", tt.why, s)
			if tt.want != "" && s.String() != tt.want[1:] {
				t.Errorf("%s: got\n%s\nwant%s", tt.why, s, tt.want)
			}
			if len(strings.Split(s.String(), "\n")) != 3 {
				t.Errorf("%s: got\n%s\nwant 3 lines", tt.why, s)
			}
			for _, line := range strings.Split(s.String(), "\n") {
				if cells(line) > tt.width || strings.ContainsAny(line, "\x1b\u202e\a") {
					t.Errorf("%s: line %q does not fit %d columns, or is not plain", tt.why, line, tt.width)
				}
			}
		})
	}
}

func TestDisplayWhenDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80}
		d := NewDisplay(s, DisplayOptions{Terminal: true, Unicode: true})
		p := busy()
		p.Counts, p.InFlight = map[checkpoint.Status]int{checkpoint.Accepted: 1500}, 0
		for range 3 {
			d.Show(p)
			time.Sleep(time.Second)
		}
		d.Close()
		d.Show(busy()) // too late
		if got := s.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "100% ") || !strings.Contains(got, "1500/1500") {
			t.Errorf("a finished run shows\n%s\nwant three lines, 100%%", got)
		}
	})
}

func TestDisplayAfterTheTerminalGotNarrower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80}
		d := NewDisplay(s, DisplayOptions{Terminal: true, Width: func() int { return s.width }})
		d.Show(busy())
		before := s.rows
		// As terminals do, the lines that no longer fit are broken.
		s.width, s.rows, s.row, s.col = 45, nil, 0, 0
		fmt.Fprint(s, strings.Join(before, "\n"))
		time.Sleep(time.Second)
		d.Show(busy())
		if got := s.String(); strings.Count(got, "accepted") != 1 || strings.Count(got, "\n") != 2 {
			t.Errorf("after a resize:\n%s\nwant three lines", got)
		}
	})
}

func TestDisplayLetsLogsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80}
		d := NewDisplay(s, DisplayOptions{Terminal: true})
		fmt.Fprintln(d, "before")
		d.Show(busy())
		fmt.Fprintln(d, "between")
		d.Close()
		fmt.Fprintln(d, "after")
		rows := strings.Split(s.String(), "\n")
		if len(rows) != 6 || rows[0] != "before" || rows[1] != "between" || !strings.HasPrefix(rows[2], "decommission") || rows[5] != "after" {
			t.Errorf("log lines around a frame:\n%s\nwant them above it and below", s)
		}
	})
}

func TestDisplayOffTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := NewDisplay(&out, DisplayOptions{Zone: time.FixedZone("", 3600)})
		p := busy()
		p.Wait, p.Until = "hold", time.Now().Add(time.Minute)
		for range 70 { // seconds: a line at 0, 30 and 60
			d.Show(p)
			time.Sleep(time.Second)
		}
		p.Wait = ""
		d.Show(p)
		d.Close() // one more at the end
		d.Close()
		want := `2000-01-01T01:00:00+01:00 decommission: 812/1500 done, 790 accepted, 22 refused, minute 37/100, hour 812/1500, waiting: Defender asked to wait, until 01:01:00, 12 in flight
2000-01-01T01:00:30+01:00 decommission: 812/1500 done, 790 accepted, 22 refused, minute 37/100, hour 812/1500, waiting: Defender asked to wait, until 01:01:00, 12 in flight
2000-01-01T01:01:00+01:00 decommission: 812/1500 done, 790 accepted, 22 refused, minute 37/100, hour 812/1500, waiting: Defender asked to wait, until 01:01:00, 12 in flight
2000-01-01T01:01:10+01:00 decommission: 812/1500 done, 790 accepted, 22 refused, minute 37/100, hour 812/1500, sending, 12 in flight
`
		if got := out.String(); got != want {
			t.Errorf("off a terminal:\n%s\nwant\n%s", got, want)
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("nobody listens") }

func TestDisplayNeverFails(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		d := NewDisplay(broken{}, DisplayOptions{Terminal: terminal})
		d.Show(busy())
		d.Show(batch.Progress{})
		d.Close()
	}
}

func TestUTF8(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want bool
		why  string
	}{
		{map[string]string{"LANG": "de_DE.UTF-8"}, true, "the usual"},
		{map[string]string{"LC_CTYPE": "C.utf8"}, true, "another spelling"},
		{map[string]string{"LC_ALL": "C", "LANG": "en_US.UTF-8"}, false, "LC_ALL comes first"},
		{nil, false, "nothing is set"},
	} {
		if got := UTF8(func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("UTF8(%v) = %v; want %v (%s)", tt.env, got, tt.want, tt.why)
		}
	}
}
