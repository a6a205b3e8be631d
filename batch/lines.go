package batch

import (
	"encoding/binary"
	"encoding/hex"
	"slices"

	"mde-offboard/batch/checkpoint"
)

// lines keeps the lines that a plan changes, in about 60 bytes each beside their
// comments: a list of a million lines is planned in memory, and as values, each
// with strings of its own, they would take several times as much.
//
// A line is written as its numbers (varints), its device, and its strings, each
// with its length before it. A device is a zero and the 20 bytes of its id, or
// what stood in the list, with its length plus one before it.
type lines struct {
	blocks [][]byte
	files  []string
	n      int
}

// lineBlock is how much memory is asked for at once.
const lineBlock = 1 << 18

// add keeps a line.
func (ls *lines) add(l *checkpoint.Line) {
	if len(ls.blocks) == 0 || len(ls.blocks[len(ls.blocks)-1]) > lineBlock-1024 {
		ls.blocks = append(ls.blocks, make([]byte, 0, lineBlock))
	}
	last := &ls.blocks[len(ls.blocks)-1]
	*last = ls.encode(*last, l)
	ls.n++
}

func (ls *lines) encode(b []byte, l *checkpoint.Line) []byte {
	b = binary.AppendUvarint(b, uint64(l.N))
	b = binary.AppendUvarint(b, uint64(l.Position))
	b = binary.AppendUvarint(b, uint64(ls.file(l.File)))
	b = binary.AppendUvarint(b, uint64(l.Line))
	b = appendDevice(b, l.Device)
	for _, s := range []string{l.Name, l.Comment, string(l.Status), l.Reason} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(l.Extra)))
	for _, s := range l.Extra {
		b = appendText(b, s)
	}
	return b
}

// file numbers the files; a batch has few, one after the other.
func (ls *lines) file(name string) int {
	if n := len(ls.files); n > 0 && ls.files[n-1] == name {
		return n - 1
	}
	i := slices.Index(ls.files, name)
	if i < 0 {
		i = len(ls.files)
		ls.files = append(ls.files, name)
	}
	return i
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendDevice(b []byte, device string) []byte {
	start := len(b)
	if len(device) == 40 {
		id, err := hex.AppendDecode(append(b, 0), []byte(device))
		if err == nil && hex.EncodeToString(id[start+1:]) == device {
			return id
		}
	}
	b = binary.AppendUvarint(b[:start], uint64(len(device)+1))
	return append(b, device...)
}

// each gives the lines back in their order, until fn returns an error.
func (ls *lines) each(fn func(*checkpoint.Line) error) error {
	for _, block := range ls.blocks {
		for r := lineReader(block); len(r) > 0; {
			l := checkpoint.Line{N: int64(r.number()), Position: int64(r.number()), File: ls.files[r.number()], Line: int(r.number()),
				Device: r.device(), Name: r.text(), Comment: r.text(), Status: checkpoint.Status(r.text()), Reason: r.text()}
			if n := r.number(); n > 0 {
				l.Extra = make([]string, n)
				for i := range l.Extra {
					l.Extra[i] = r.text()
				}
			}
			if err := fn(&l); err != nil {
				return err
			}
		}
	}
	return nil
}

// parts gives the lines back in parts of at most so many. fn keeps none of them.
func (ls *lines) parts(most int, fn func([]checkpoint.Line) error) error {
	part := make([]checkpoint.Line, 0, min(most, ls.n))
	err := ls.each(func(l *checkpoint.Line) (err error) {
		if part = append(part, *l); len(part) == most {
			err = fn(part)
			part = part[:0]
		}
		return err
	})
	if err != nil || len(part) == 0 {
		return err
	}
	return fn(part)
}

// lineReader is what is left of a block. It was written by this process.
type lineReader []byte

func (r *lineReader) number() uint64 {
	v, n := binary.Uvarint(*r)
	*r = (*r)[n:]
	return v
}

func (r *lineReader) bytes(n uint64) []byte {
	b := (*r)[:n]
	*r = (*r)[n:]
	return b
}

func (r *lineReader) text() string { return string(r.bytes(r.number())) }

func (r *lineReader) device() string {
	if n := r.number(); n > 0 {
		return string(r.bytes(n - 1))
	}
	return hex.EncodeToString(r.bytes(20))
}
