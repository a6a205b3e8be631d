package report

import (
	"fmt"
	"io"
	"strings"
)

// narrow is how wide lines are at most that are told to people: as wide as a
// terminal is that nobody has made wider.
const narrow = 80

// lines writes lines of text that is harmless on a terminal, until the first error.
type lines struct {
	w   io.Writer
	err error
}

// add writes a text. What has no room in its line goes on in the next, so far from
// the edge.
func (l *lines) add(edge int, text string) {
	for _, line := range folded(Plain(text), edge) {
		if l.err == nil {
			_, l.err = fmt.Fprintln(l.w, line)
		}
	}
}

// fields writes groups of what stands under labels, where that is anything, beside
// them, with an empty line between two.
func (l *lines) fields(groups ...[][2]string) {
	wide := 0
	for _, all := range groups {
		for _, f := range all {
			if f[1] != "" {
				wide = max(wide, cells(f[0])+2)
			}
		}
	}
	for i, all := range groups {
		if i > 0 {
			l.add(0, "")
		}
		for _, f := range all {
			if f[1] != "" {
				l.add(wide, padded(f[0], wide)+f[1])
			}
		}
	}
}

// folded breaks a text between words. A word that has no room in a line is left
// whole: whoever copies it needs all of it.
func folded(text string, edge int) (all []string) {
	line, begun := "", false
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case begun && cells(line) >= edge && cells(line)+1+cells(word) > narrow:
			all, line = append(all, line), strings.Repeat(" ", edge)+word
		case begun:
			line += " " + word
		default:
			line, begun = word, true
		}
	}
	all = append(all, line)
	for i, line := range all {
		all[i] = strings.TrimRight(untied(line), " ")
	}
	return all
}

// tie stands for a space between what belongs together: a time, a number and its
// word, a command to be copied. It is no character that a text has.
const tie = "\ue000"

func tied(text string) string   { return strings.ReplaceAll(text, " ", tie) }
func untied(text string) string { return strings.ReplaceAll(text, tie, " ") }

// padded is a text that takes so many columns at least.
func padded(text string, wide int) string {
	return text + strings.Repeat(" ", max(0, wide-cells(text)))
}
