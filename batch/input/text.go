package input

import (
	"bytes"
	"fmt"
	"io"
)

// Text reads a file that is no list, and is written by the same people and
// programs, into memory. What is refused of a list, because it is no text, is
// refused here. isUTF8 says that nothing had to be guessed of its letters.
func Text(name string, r io.Reader) (text string, isUTF8 bool, err error) {
	d := decode(r)
	all, err := io.ReadAll(d)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", name, err)
	}
	if len(bytes.TrimSpace(all)) > 0 { // what an empty one is good for its reader knows
		err = refuseFile(name, all)
	}
	return string(all), d.guess == nil || d.guess.windows == nil, err
}

// ID returns the device id that a text is. wrong says, in words, what a text is
// that was meant for an id and is none; both are empty if it is something else,
// such as a name.
func ID(text string) (id, wrong string) {
	id, kind := parseID(text)
	if id != "" || kind == KindEmpty || kind == KindName || kind == KindNotHex && !nearID(trimID(text)) {
		return id, ""
	}
	wrong, _ = explain(kind, text, "")
	return "", wrong
}

// Trim takes off what surrounds a text when it was copied from a page or a mail.
func Trim(text string) string { return trimID(text) }

// Quote returns a text as messages show it, on one line.
func Quote(text string) string { return quote(text) }
