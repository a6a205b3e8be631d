package input

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind tells problems apart without a look at their text.
type Kind string

// The kinds of a problem. Those up to KindComment are about one cell, the
// others about a row or about the whole list.
const (
	KindEmpty   Kind = "empty"     // the row has cells but no device id
	KindName    Kind = "name"      // a device name instead of an id
	KindGUID    Kind = "guid"      // an Intune or Entra id instead of Defender's
	KindDamaged Kind = "damaged"   // an id that a spreadsheet made a number of
	KindShort   Kind = "short"     // hexadecimal, fewer than 40 characters
	KindLong    Kind = "long"      // hexadecimal, more than 40 characters
	KindNotHex  Kind = "not-hex"   // anything else that is no id
	KindHeader  Kind = "header"    // the name of a column
	KindComment Kind = "comment"   // a comment that is too long to send
	KindText    Kind = "encoding"  // bytes that are no text in the list's encoding
	KindCells   Kind = "cells"     // more cells than columns
	KindQuote   Kind = "quote"     // quotes that do not fit together
	KindColumn  Kind = "column"    // which column is which cannot be told
	KindFile    Kind = "file-type" // not a text file at all
)

// Problem is one thing that is wrong with a list, said to its owner: where it
// is, what it is, and in Hint what to do about it.
//
// Line and Column count from 1, Column in bytes of the text as UTF-8; Line is
// 0 when the problem is the whole list's, Column is 0 when it is the row's.
type Problem struct {
	File         string
	Line, Column int
	Kind         Kind
	Cell         string // the cell it is about, as in the list, if it is about one
	Text, Hint   string
}

// Error returns the place and the text, in the form that compilers use.
func (p *Problem) Error() string {
	switch {
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	case p.Column == 0:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	default:
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
	}
}

// quote returns s as a message shows it: quoted, on one line, and not so long
// that the message is lost behind it. A backslash stays one, since its readers
// know it from CONTOSO\LAP-0001.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return strings.ReplaceAll(strconv.Quote(s), `\\`, `\`)
}

// quoteAll returns the names as a message lists them.
func quoteAll(names []string) string {
	const most = 12
	var b strings.Builder
	for i, name := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(name))
	}
	return b.String()
}
