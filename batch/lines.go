package batch

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"

	"mde-offboard/batch/checkpoint"
)

// lines keeps the lines that a plan changes, in about 30 bytes each beside their
// texts, the first ones in memory and the others in a file: a list may have a million
// lines, and each of them as many columns as its owner likes.
//
// A line is written as its numbers, each as the difference to the line before
// (varints), its device, and its texts, each with its length before it. A device
// is a zero and the 20 bytes of its id, or what stood in the list, with its length
// plus one before it.
type lines struct {
	blocks spool
	block  []byte // the last one, which is being filled
	size   int    // of a block; 0: lineBlock
	err    error  // the first of keeping one: from there on there are none
	files  []string
	n      int
	none   bool // keep nothing
	last   numbers
	sum    hash.Hash // of what becomes of each line, for a digest
	buf    []byte
}

// numbers are those of a line; they grow by one from line to line, mostly.
type numbers struct{ n, position, file, line int64 }

// lineBlock is how much memory is asked for at once.
const lineBlock = 1 << 18

// add keeps a line.
func (ls *lines) add(l *checkpoint.Line) {
	if ls.none || ls.err != nil {
		return
	}
	ls.buf = ls.encode(ls.buf[:0], l)
	if n := len(ls.block); n > 0 && n+len(ls.buf) > cmp.Or(ls.size, lineBlock) {
		if ls.block, ls.err = ls.blocks.add(ls.block); ls.err != nil {
			return
		}
	}
	ls.block = append(ls.block, ls.buf...)
	ls.n++
	ls.mark(l)
}

// mark carries a line into the sum: which device it is, what is sent with it, and
// what becomes of it; not its place in a file, nor the words of a reason, which
// may name the hour in which a device was seen last.
func (ls *lines) mark(l *checkpoint.Line) {
	if ls.sum == nil {
		ls.sum = sha256.New()
	}
	kind, _, _ := strings.Cut(l.Reason, ":")
	b := binary.AppendVarint(binary.AppendVarint(ls.buf[:0], l.N), l.Position)
	for _, s := range [...]string{l.Device, l.Comment, string(l.Status), kind} {
		b = appendText(b, s)
	}
	ls.sum.Write(b)
	ls.buf = b
}

func (ls *lines) encode(b []byte, l *checkpoint.Line) []byte {
	now := numbers{n: l.N, position: l.Position, file: int64(ls.file(l.File)), line: int64(l.Line)}
	for _, d := range [...]int64{now.n - ls.last.n, now.position - ls.last.position, now.file - ls.last.file, now.line - ls.last.line} {
		b = binary.AppendVarint(b, d)
	}
	ls.last = now
	b = appendDevice(b, l.Device)
	for _, s := range [...]string{l.Name, l.Comment, string(l.Status), l.Reason} {
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
	if len(device) == 40 && strings.Trim(device, "0123456789abcdef") == "" {
		var id [40]byte
		copy(id[:], device)
		b, _ = hex.AppendDecode(append(b, 0), id[:])
		return b
	}
	return append(binary.AppendUvarint(b, uint64(len(device)+1)), device...)
}

// each gives the lines back in their order, until fn returns an error.
func (ls *lines) each(fn func(*checkpoint.Line) error) error {
	if ls.err != nil {
		return ls.err
	}
	var at numbers
	decode := func(block []byte) error {
		for r := lineReader(block); len(r) > 0; {
			at = numbers{at.n + r.difference(), at.position + r.difference(), at.file + r.difference(), at.line + r.difference()}
			l := checkpoint.Line{N: at.n, Position: at.position, File: ls.files[at.file], Line: int(at.line),
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
		return nil
	}
	if err := ls.blocks.each(decode); err != nil {
		return err
	}
	return decode(ls.block)
}

// close drops the lines. How many there were and their sum stay.
func (ls *lines) close() error {
	ls.block = nil
	return ls.blocks.close()
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

func (r *lineReader) difference() int64 {
	v, n := binary.Varint(*r)
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
