package input

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestSeen compares Seen with a map, over files and growth.
func TestSeen(t *testing.T) {
	type where struct {
		file string
		line int
	}
	random := rand.New(rand.NewPCG(1, 2))
	first := map[string]where{}
	var seen Seen
	for i := range 200_000 {
		file, line := fmt.Sprintf("list%d.csv", i/70_000), i%70_000+2
		id := fmt.Sprintf("%032x%08x", random.Uint32N(100_000), i%3)
		want, dup := first[id]
		gotFile, gotLine, gotDup := seen.Add(id, file, line)
		if got := (where{gotFile, gotLine}); got != want || gotDup != dup {
			t.Fatalf("Add(%s, %s, %d) = %v, %t; want %v, %t", id, file, line, got, gotDup, want, dup)
		}
		if !dup {
			first[id] = where{file, line}
		}
	}
	if seen.Len() != len(first) {
		t.Errorf("Len() = %d; want %d", seen.Len(), len(first))
	}
}

func TestSeenOthers(t *testing.T) {
	var seen Seen
	for _, tc := range []struct{ why, id string }{
		{"no id", ""},
		{"a name", "lap-0001"},
		{"40 characters that are not hexadecimal", strings.Repeat("g", 40)},
		{"41 characters", strings.Repeat("a", 41)},
	} {
		for range 2 {
			if _, _, dup := seen.Add(tc.id, "f", 1); dup {
				t.Errorf("%s: Add(%q) = dup; want none", tc.why, tc.id)
			}
		}
	}
	if seen.Len() != 0 {
		t.Errorf("Len() = %d; want 0", seen.Len())
	}
	seen.Add(idA, "f", 7)
	if file, line, dup := seen.Add(strings.ToUpper(idA), "g", 8); file != "f" || line != 7 || !dup {
		t.Errorf("Add(upper case) = %q, %d, %t; want f, 7, true", file, line, dup)
	}
}
