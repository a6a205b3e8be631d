package input

import (
	"encoding/hex"
	"hash/maphash"
)

// Seen finds ids that come again, over all lists of a batch, in about 36 bytes
// an id. The zero value is ready. It is not safe for concurrent use.
//
// It is a hash table of its own because a map takes about as long for a million
// ids as reading their list takes, nearly all of it for touching memory. Here a
// new id costs one access to a small table; keys are never moved; and of the
// many shards only one at a time grows, within the processor's cache.
type Seen struct {
	seed   maphash.Seed
	shards []shard
	n      int
	files  []string
}

const (
	shardBits = 8
	tagBits   = 12 // of a slot; the others number an entry: 2^20 in a shard
	blockSize = 256
)

// shard is one part of the table: slots with linear probing, at most half of
// them taken. A slot is 0, or 1 + the number of an entry and above it a tag, a
// part of the hash that spares most looks at other entries.
type shard struct {
	slots  []uint32
	blocks []*[blockSize]entry
	n      uint32
}

// entry is an id and where it was first seen: a file by its index, and a line.
type entry struct {
	key        [idLength / 2]byte
	file, line uint32
}

// Add notes an id and where it stands. If it was noted before, Add returns the
// file and line of the first time and true. What is not a device id of 40
// hexadecimal characters is never a duplicate.
func (s *Seen) Add(id, file string, line int) (firstFile string, firstLine int, dup bool) {
	key, ok := keyOf(id)
	if !ok {
		return "", 0, false
	}
	if s.shards == nil {
		s.seed, s.shards = maphash.MakeSeed(), make([]shard, 1<<shardBits)
	}
	h := maphash.Bytes(s.seed, key[:])
	sh := &s.shards[h>>(64-shardBits)]
	if 2*int(sh.n) >= len(sh.slots) {
		sh.grow(s.seed)
	}
	slot := sh.find(h, &key)
	if *slot != 0 {
		e := sh.entry(*slot)
		return s.files[e.file], int(e.line), true
	}
	if n := len(s.files); n == 0 || s.files[n-1] != file {
		s.files = append(s.files, file)
	}
	*slot = sh.add(h, entry{key: key, file: uint32(len(s.files) - 1), line: uint32(line)})
	s.n++
	return "", 0, false
}

// Len returns how many different ids were noted.
func (s *Seen) Len() int { return s.n }

func keyOf(id string) (key [idLength / 2]byte, ok bool) {
	var text [idLength]byte
	if len(id) != idLength {
		return key, false
	}
	copy(text[:], id)
	_, err := hex.Decode(key[:], text[:])
	return key, err == nil
}

// slotOf returns what the slot of entry number n holds.
func slotOf(h uint64, n uint32) uint32 {
	return uint32(h>>32)<<(32-tagBits) | (n + 1)
}

// find returns the slot that has the key, or the free one where it belongs.
func (s *shard) find(h uint64, key *[idLength / 2]byte) *uint32 {
	mask := uint64(len(s.slots) - 1)
	tag := slotOf(h, 0) >> (32 - tagBits)
	for i := h & mask; ; i = (i + 1) & mask {
		slot := &s.slots[i]
		if *slot == 0 || *slot>>(32-tagBits) == tag && s.entry(*slot).key == *key {
			return slot
		}
	}
}

func (s *shard) entry(slot uint32) *entry {
	n := slot&(1<<(32-tagBits)-1) - 1
	return &s.blocks[n/blockSize][n%blockSize]
}

// add appends an entry and returns what its slot is to hold.
func (s *shard) add(h uint64, e entry) uint32 {
	if s.n%blockSize == 0 {
		s.blocks = append(s.blocks, new([blockSize]entry))
	}
	s.blocks[s.n/blockSize][s.n%blockSize] = e
	s.n++
	return slotOf(h, s.n-1)
}

// grow doubles the slots and puts every entry into its new one.
func (s *shard) grow(seed maphash.Seed) {
	s.slots = make([]uint32, max(64, 2*len(s.slots)))
	for n := range s.n {
		key := &s.blocks[n/blockSize][n%blockSize].key
		h := maphash.Bytes(seed, key[:])
		*s.find(h, key) = slotOf(h, n)
	}
}
