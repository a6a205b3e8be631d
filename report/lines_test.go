package report

import (
	"strings"
	"testing"
)

func TestFolded(t *testing.T) {
	long := strings.Repeat("x", narrow)
	full := strings.Repeat("y", narrow-4) + " abc"
	for _, tt := range []struct {
		text string
		edge int
		want string
		why  string
	}{
		{"", 2, "", "nothing"},
		{full, 2, full, "a line that is just full"},
		{full + "d", 2, strings.TrimSuffix(full, " abc") + "\n  abcd", "broken between words, and on from the edge"},
		{"id  " + long, 4, "id  " + long, "what never fits stays beside its label"},
		{"id  a " + long, 4, "id  a\n    " + long, "and whole"},
		{strings.Repeat("y", narrow-4) + " 1" + tie + "pending", 0, strings.Repeat("y", narrow-4) + "\n1 pending", "what belongs together"},
		{"  a", 2, "  a", "spaces at the start"},
		{strings.Repeat("界", narrow/2) + " a", 1, strings.Repeat("界", narrow/2) + "\n a", "wide characters"},
	} {
		if got := strings.Join(folded(tt.text, tt.edge), "\n"); got != tt.want {
			t.Errorf("folded(%q, %d) = %q; want %q (%s)", tt.text, tt.edge, got, tt.want, tt.why)
		}
	}
}
