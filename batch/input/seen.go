package input

import "encoding/hex"

// Seen finds ids that come again, over all lists of a batch, in about 60 bytes
// an id. The zero value is ready. It is not safe for concurrent use.
type Seen struct {
	first map[[idLength / 2]byte]place
	files []string
}

// place is where an id was first seen: a file by its index, and a line.
type place struct{ file, line uint32 }

// Add notes an id and where it stands. If it was noted before, Add returns the
// file and line of the first time and true. What is not a device id of 40
// hexadecimal characters is never a duplicate.
func (s *Seen) Add(id, file string, line int) (firstFile string, firstLine int, dup bool) {
	var text [idLength]byte
	var key [idLength / 2]byte
	if copy(text[:], id) != idLength || len(id) != idLength {
		return "", 0, false
	}
	if _, err := hex.Decode(key[:], text[:]); err != nil {
		return "", 0, false
	}
	if p, ok := s.first[key]; ok {
		return s.files[p.file], int(p.line), true
	}
	if s.first == nil {
		s.first = make(map[[idLength / 2]byte]place)
	}
	if n := len(s.files); n == 0 || s.files[n-1] != file {
		s.files = append(s.files, file)
	}
	s.first[key] = place{file: uint32(len(s.files) - 1), line: uint32(line)}
	return "", 0, false
}

// Len returns how many different ids were noted.
func (s *Seen) Len() int { return len(s.first) }
