package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/text/width"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// view puts one state of a run into words.
type view struct {
	batch.Progress
	opt DisplayOptions
	now time.Time
}

// part is a piece of a line. When the line is too long, those with the lowest
// weight are left out first, or said shorter if they can be.
type part struct {
	text   string
	weight int
	less   string
}

// must is the weight of what is never left out.
const must = 100

// join puts parts into a line of at most width cells; 0 for no limit.
func (v view) join(width int, parts ...part) string {
	sep := ", "
	if v.opt.Unicode {
		sep = " · "
	}
	for {
		var texts []string
		least := -1
		for i, p := range parts {
			if p.text == "" {
				continue
			}
			texts = append(texts, p.text)
			if p.weight < must && (least < 0 || p.weight < parts[least].weight) {
				least = i
			}
		}
		line := strings.Join(texts, sep)
		if width == 0 || cells(line) <= width {
			return line
		}
		if least < 0 {
			return Cut(line, width)
		}
		p := &parts[least]
		p.text, p.less, p.weight = p.less, "", must-1
	}
}

// done is the number of tasks for which nothing more will be done.
func (v view) done() (n int) {
	for status, count := range v.Counts {
		if status.Final() {
			n += count
		}
	}
	return n
}

// count words the number of tasks of a status; empty for none.
func (v view) count(s checkpoint.Status, word string) string {
	if v.Counts[s] == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", v.Counts[s], word)
}

// counted are the parts that say how many tasks stand how, the order being that
// of the line. Accepted and refused are always there, and from 60 columns on the
// windows.
func (v view) counted() []part {
	parts := []part{
		{text: fmt.Sprintf("%d accepted", v.Counts[checkpoint.Accepted]), weight: must},
		{text: v.count(checkpoint.AlreadyActive, string(checkpoint.AlreadyActive)), weight: 30},
		{text: fmt.Sprintf("%d refused", v.Counts[checkpoint.Refused]), weight: must},
		{text: v.count(checkpoint.Failed, "failed"), weight: 60},
		{text: v.count(checkpoint.InDoubt, string(checkpoint.InDoubt)), weight: 50},
		{text: v.count(checkpoint.Skipped, "skipped"), weight: 20},
	}
	for i, u := range v.Usage {
		parts = append(parts, part{text: fmt.Sprintf("%s %d/%d", span(u.Window.Per), u.Used, u.Window.Limit), weight: 70 + i})
	}
	return parts
}

// counts is the second line: how many, and how full the windows are.
func (v view) counts(width int) string { return v.join(width, v.counted()...) }

// over says that nothing is left to do.
func (v view) over() bool {
	return v.InFlight == 0 && v.Total > 0 && v.Counts[checkpoint.Pending]+v.Counts[checkpoint.Sending]+v.Counts[checkpoint.InDoubt] == 0
}

// doing says what the run does now.
func (v view) doing() string {
	switch {
	case v.Stopping != "":
		return "stopping: " + Plain(v.Stopping)
	case v.over():
		return "done"
	case v.Wait == "":
		return "sending"
	case v.Until.IsZero():
		return "waiting: " + v.wait()
	}
	return fmt.Sprintf("waiting: %s, until %s", v.wait(), v.clock(v.Until, "15:04:05"))
}

// wait is what is waited for; the quota has a word of its own for one kind.
func (v view) wait() string {
	if v.Wait == batch.WaitedForHold {
		return "Defender asked to wait"
	}
	return Plain(v.Wait)
}

// doneBy says when the batch will be done, and what holds it up: of a run that is
// stopping nobody knows when the rest is sent.
func (v view) doneBy() part {
	if v.DoneAt.IsZero() || v.Stopping != "" {
		return part{}
	}
	short := "ends " + v.clock(v.DoneAt, "15:04")
	if v.Night > 0 {
		short += fmt.Sprintf(" in night %d", v.Night)
	}
	if v.DoneWhy == "" {
		return part{text: short, weight: 90}
	}
	return part{text: fmt.Sprintf("%s (%s)", short, Plain(v.DoneWhy)), weight: 10, less: short}
}

// inFlight says how many answers are to come. They are what a stop waits for, unless
// the signal for it is given again.
func (v view) inFlight() part {
	if v.InFlight == 0 {
		return part{}
	}
	flying := part{text: fmt.Sprintf("%d in flight", v.InFlight), weight: 30}
	if v.Stopping == "" {
		return flying
	}
	flying.less, flying.text = flying.text, "waiting for "+plural(v.InFlight, "answer")
	if v.Stopping == batch.Interrupted && v.opt.Terminal {
		flying.text += " (Ctrl-C again: at once)"
	}
	return flying
}

// states are the parts that say what happens now and when it will be over.
func (v view) states() []part {
	return []part{{text: v.doing(), weight: must}, v.inFlight(), v.doneBy()}
}

// state is the third line.
func (v view) state(width int) string { return v.join(width, v.states()...) }

// line is all of it in one line, for a log: with the time, and never shortened.
func (v view) line() string {
	parts := append([]part{{text: fmt.Sprintf("%d/%d done", v.done(), v.Total), weight: must}}, v.counted()...)
	parts = append(parts, v.states()...)
	return fmt.Sprintf("%s %s%s: %s", v.now.In(v.opt.Zone).Format(time.RFC3339), Mark(v.Simulated), Plain(v.Batch), v.join(0, parts...))
}

// clock gives a moment as a wall clock shows it, with the day if it is not
// today.
func (v view) clock(t time.Time, layout string) string {
	t, now := t.In(v.opt.Zone), v.now.In(v.opt.Zone)
	switch days := midnight(t).Sub(midnight(now)).Hours() / 24; {
	case days < 0.5 && days > -0.5:
	case days > 0 && days < 6.5:
		layout = "Mon " + layout
	default:
		layout = "2006-01-02 " + layout
	}
	return t.Format(layout)
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// span is the word for the length of a window.
func span(d time.Duration) string {
	switch d {
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	}
	return d.String()
}

// bar draws the first line. The bar itself is progressbar's, which draws into
// memory and is never told to forecast or to finish the line: it would put 100 %
// there, and it would write to the terminal whenever it liked.
type bar struct {
	*progressbar.ProgressBar
	total, width int
	unicode      bool
}

// line is who, how far as a bar and how far in numbers.
func (b *bar) line(v view, width int) string {
	count := fmt.Sprintf("%d/%d", v.done(), v.Total)
	name := Mark(v.Simulated) + Plain(v.Batch)
	free := width - cells(count) - len(" 100% ") - len(" ")
	if most := free - 20; cells(name) > most {
		name = strings.TrimSpace(Cut(name, max(most, cells(Mark(v.Simulated)))))
	}
	free -= cells(name)
	if free < 5 {
		return Cut(strings.TrimSpace(name+" "+count), width)
	}
	return name + b.draw(v.done(), v.Total, min(free, 60), v.opt.Unicode) + " " + count
}

// draw is the percentage and the bar.
func (b *bar) draw(done, total, width int, unicode bool) string {
	total = max(total, 1)
	if b.ProgressBar == nil || b.total != total || b.width != width || b.unicode != unicode {
		theme := progressbar.Theme{Saucer: "#", SaucerPadding: "-"}
		if unicode {
			theme = progressbar.Theme{Saucer: "█", SaucerPadding: "░"}
		}
		b.total, b.width, b.unicode = total, width, unicode
		b.ProgressBar = progressbar.NewOptions(total, progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetWidth(width),
			progressbar.OptionSetTheme(theme), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
		b.RenderBlank()
	}
	b.Set(min(done, total))
	return strings.TrimRight(strings.TrimPrefix(b.String(), "\r"), " ")
}

// Plain makes text from a list or an answer safe for a line of a terminal:
// nothing in it moves the cursor or turns the direction of writing.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, s)
}

// cells is how many columns of a terminal a text takes.
func cells(s string) (n int) {
	for _, r := range s {
		n += cellsOf(r)
	}
	return n
}

func cellsOf(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens a text to so many columns.
func Cut(s string, most int) string {
	n := 0
	for i, r := range s {
		if n += cellsOf(r); n > most {
			return s[:i]
		}
	}
	return s
}
