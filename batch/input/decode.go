package input

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// decoded is a list's text as UTF-8 without a byte order mark.
type decoded struct {
	io.Reader
	mark  string // the encoding that a byte order mark named, or ""
	guess *guess // nil for UTF-16
}

// decode returns the text of r. A byte order mark names the encoding; without
// one the text is UTF-8, or Windows-1252 as guess finds out on the way.
func decode(r io.Reader) decoded {
	br := bufio.NewReaderSize(r, 64<<10)
	head, _ := br.Peek(3) // an error comes again with the first read
	text := func(mark string, t transform.Transformer, g *guess) decoded {
		return decoded{Reader: &lineEnds{r: transform.NewReader(br, t)}, mark: mark, guess: g}
	}
	switch {
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		br.Discard(3)
		g := &guess{utf8: true}
		return text("UTF-8", g, g)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		br.Discard(2)
		return text("UTF-16LE", newWide(unicode.LittleEndian), nil)
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		br.Discard(2)
		return text("UTF-16BE", newWide(unicode.BigEndian), nil)
	}
	g := &guess{}
	return text("", g, g)
}

// lineEnds makes a line feed of every carriage return that stands alone, before
// anything looks for lines. To spreadsheets it ends a row; to encoding/csv it is a
// letter, and the device after it is lost in the comment before it. Within quotes
// it is a line break in the cell, whichever of the two stands there.
type lineEnds struct {
	r  io.Reader
	cr bool // the block before ended with one: a line feed that follows is of the same line end
}

func (e *lineEnds) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if e.cr && n > 0 {
		e.cr = false
		if p[0] == '\n' {
			n = copy(p, p[1:n])
		}
	}
	for rest := p[:n]; ; {
		i := bytes.IndexByte(rest, '\r')
		if i < 0 {
			return n, err
		}
		last := i+1 == len(rest)
		if last || rest[i+1] != '\n' {
			rest[i] = '\n'
		}
		e.cr, rest = last, rest[i+1:]
	}
}

// wide decodes UTF-16. It takes the ASCII, nearly all of a list, out of the hands
// of the decoder proper, which is slow enough to be felt with a million lines.
type wide struct {
	transform.Transformer
	order binary.ByteOrder
	// Of four units in one word, as they lie in memory: the bits that are zero in
	// ASCII, and how far to the right the characters are to be moved.
	zero  uint64
	shift int
}

func newWide(e unicode.Endianness) wide {
	w := wide{Transformer: unicode.UTF16(e, unicode.IgnoreBOM).NewDecoder(), order: binary.LittleEndian, zero: 0xff80ff80ff80ff80}
	if e == unicode.BigEndian {
		w.order, w.zero, w.shift = binary.BigEndian, 0x80ff80ff80ff80ff, 8
	}
	return w
}

// isASCII reports whether src begins with a unit of ASCII.
func (w wide) isASCII(src []byte) bool { return w.order.Uint16(src) < utf8.RuneSelf }

// ascii decodes the ASCII that src begins with, as far as dst has room, and
// returns the number of its characters.
func (w wide) ascii(dst, src []byte) int {
	n := 0
	for ; n+4 <= len(dst) && 2*n+8 <= len(src); n += 4 {
		four := binary.LittleEndian.Uint64(src[2*n:])
		if four&w.zero != 0 {
			break
		}
		four >>= w.shift
		dst[n], dst[n+1], dst[n+2], dst[n+3] = byte(four), byte(four>>16), byte(four>>32), byte(four>>48)
	}
	for ; n < len(dst) && 2*n+2 <= len(src) && w.isASCII(src[2*n:]); n++ {
		dst[n] = byte(w.order.Uint16(src[2*n:]))
	}
	return n
}

// errHalf tells of a text in UTF-16 with an odd byte or the first half of a pair at
// its end: with it a row may be gone, or all that came after.
var errHalf = errors.New("ends in half a character of UTF-16: the file was cut, or a byte was added")

// isHalf reports whether the last of a text is no whole character.
func (w wide) isHalf(src []byte) bool {
	const pair, first = 0xfc00, 0xd800 // the bits that tell the halves of a pair, in the first one
	return len(src)%2 != 0 || len(src) > 1 && w.order.Uint16(src[len(src)-2:])&pair == first
}

// Transform is transform.Transformer's.
func (w wide) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for err == nil && nSrc < len(src) {
		n := w.ascii(dst[nDst:], src[nSrc:])
		nDst, nSrc = nDst+n, nSrc+2*n
		end := nSrc
		for end+1 < len(src) && !w.isASCII(src[end:]) {
			end += 2
		}
		// What stands before ASCII is complete: half a pair is no character.
		last := end+1 < len(src)
		if !last {
			end = len(src)
		}
		var d, s int
		d, s, err = w.Transformer.Transform(dst[nDst:], src[nSrc:end], last || atEOF)
		nDst, nSrc = nDst+d, nSrc+s
		if err == nil && nDst == len(dst) && nSrc < len(src) {
			err = transform.ErrShortDst
		}
	}
	if err == nil && atEOF && w.isHalf(src) {
		err = errHalf
	}
	return nDst, nSrc, err
}

// guess passes UTF-8 on and turns to Windows-1252 at the first byte that
// cannot be UTF-8, once and for all. It needs one pass and no memory, so it
// serves a pipe as well as a file, and it is exact: up to that byte the text
// was ASCII, which both encodings share. If it was not, if real UTF-8 came
// before, or a byte order mark, the file is a mixture that no encoding reads;
// then guess changes nothing, and the bad bytes have to be found in their rows.
type guess struct {
	utf8    bool                  // a character beyond ASCII was seen
	mixed   atomic.Bool           // and then a byte that cannot be UTF-8; asked for while the text is read ahead
	windows transform.Transformer // nil until the turn
}

// Reset does nothing: a guess is used for one list.
func (g *guess) Reset() {}

// Transform is transform.Transformer's.
func (g *guess) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	if g.windows != nil {
		return g.windows.Transform(dst, src, atEOF)
	}
	more := transform.ErrShortSrc
	if len(src) > len(dst) {
		src, atEOF, err = src[:len(dst)], false, transform.ErrShortDst
		more = transform.ErrShortDst
	}
	for n := 0; ; {
		n += ascii(src[n:])
		if n == len(src) {
			return copy(dst, src), n, err
		}
		r, size := utf8.DecodeRune(src[n:])
		switch {
		case r != utf8.RuneError || size > 1:
			g.utf8 = true
		case !atEOF && !utf8.FullRune(src[n:]):
			return copy(dst, src[:n]), n, more
		case !g.utf8:
			g.windows = charmap.Windows1252.NewDecoder()
			copy(dst, src[:n])
			nDst, nSrc, err := g.windows.Transform(dst[n:], src[n:], atEOF)
			if err == nil && more == transform.ErrShortDst {
				err = more
			}
			return n + nDst, n + nSrc, err
		default:
			g.mixed.Store(true)
		}
		n += size
	}
}

// ascii returns the length of the part of p that is ASCII.
func ascii(p []byte) int {
	n := 0
	for len(p)-n >= 8 && binary.NativeEndian.Uint64(p[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	for n < len(p) && p[n] < utf8.RuneSelf {
		n++
	}
	return n
}

// maxRow is the number of bytes that one row may have. Without it a quote that
// is never closed would take a list of any size into memory as one cell.
const maxRow = 1 << 20

var (
	errNUL    = errors.New("has NUL bytes")
	errMaxRow = errors.New("row of more than 1 MiB")
)

// bounded hands on at most left bytes, and none after a NUL.
type bounded struct {
	r    io.Reader
	left int
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.left <= 0 {
		b.err = errMaxRow
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.left -= n
	if i := bytes.IndexByte(p[:n], 0); i >= 0 {
		n, err = i, errNUL
	}
	b.err = err
	return n, err
}
