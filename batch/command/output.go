package command

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"syscall"
	"unicode"
)

// output is standard output whose reader may go away, as head does when it has
// seen enough: what is written after that is lost, and nothing else.
type output struct{ io.Writer }

// Write says of a reader that is gone that it took all.
func (o output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if readerGone(err) {
		return len(p), nil
	}
	return n, err
}

// readerGone says whether a write failed because nobody reads any more.
func readerGone(err error) bool {
	if runtime.GOOS == "windows" {
		const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232)
		return errors.Is(err, brokenPipe) || errors.Is(err, noData)
	}
	return errors.Is(err, syscall.EPIPE)
}

// command is a command of the program as it is to be typed next: about the
// checkpoint of this one, if that was named on the command line. The second word is
// the batch or the list that it is about; one that would be read as a flag goes last.
func (a *app) command(words ...string) string {
	var last []string
	if len(words) > 1 && strings.HasPrefix(words[1], "-") {
		last = []string{"--", words[1]}
		words = append(words[:1:1], words[2:]...)
	}
	if a.namesCheckpoint() {
		words = append(words, "--checkpoint", a.global.checkpoint)
	}
	words = append(words, last...)
	text := "mde-offboard"
	for _, w := range words {
		text += " " + quoted(w, runtime.GOOS == "windows")
	}
	return text
}

// namesCheckpoint says whether the checkpoint was named on the command line.
func (a *app) namesCheckpoint() bool {
	return a.global.checkpoint != "" && a.given["checkpoint"] == ""
}

// quoted is a word as a shell takes it; on Windows as both of its do.
func quoted(word string, windows bool) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-+.,:/@%=", r) || windows && r == '\\'
	}
	switch {
	case word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }):
		return word
	case windows:
		return `"` + word + `"`
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
