package defender

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The wire types take what comes: a word where a number was expected, or a time
// in a new form, must not make an action unreadable whose id is there.

// text takes a JSON string, number or boolean; null and others are empty.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	var s string
	switch {
	case json.Unmarshal(b, &s) == nil:
		*t = text(s)
	case b[0] != '{' && b[0] != '[' && b[0] != '"':
		*t = text(b)
	}
	return nil
}

// number takes a JSON number or a string of digits; others are 0.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	v, _ := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*n = number(v)
	return nil
}

// flag takes a JSON boolean; others are false.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	*f = string(b) == "true"
	return nil
}

// texts takes a JSON array of strings; others are empty.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	*t = nil
	var list []text
	if json.Unmarshal(b, &list) == nil {
		for _, s := range list {
			*t = append(*t, string(s))
		}
	}
	return nil
}

// moment takes a time with up to nine fractional digits, with a zone or, as UTC,
// without; others are zero.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	m.Time = time.Time{}
	s := strings.Trim(string(b), `"`)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			m.Time = t.UTC()
			return nil
		}
	}
	return nil
}

// page is one page of a list. A value that is missing is not an empty list.
type page[T any] struct {
	Value *[]T `json:"value"`
}
