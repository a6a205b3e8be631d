package input

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDefuse(t *testing.T) {
	for _, tc := range []struct{ why, in, want string }{
		{"plain text", "lap-0001", "lap-0001"},
		{"nothing", "", ""},
		{"a formula", "=1+1", "'=1+1"},
		{"a number with a sign is a formula too", "-1", "'-1"},
		{"a function of old", "@SUM(A1)", "'@SUM(A1)"},
		{"a tab is skipped before a formula", "\t=1", "'\t=1"},
		{"so is a line break", "\n=1", "'\n=1"},
		{"a wide sign", "＝1", "'＝1"},
		{"an apostrophe that was there", "'=1", "''=1"},
		{"an apostrophe before text", "'tis", "'tis"},
	} {
		if got := Defuse(tc.in); got != tc.want {
			t.Errorf("%s: Defuse(%q) = %q; want %q", tc.why, tc.in, got, tc.want)
		}
	}
}

// TestDefuseRoundTrip holds both promises for any text, with many apostrophes
// and signs in it.
func TestDefuseRoundTrip(t *testing.T) {
	signs := rapid.StringOf(rapid.SampledFrom([]rune("'=+-@\t\r\nx＝ ")))
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(signs, rapid.String()).Draw(t, "s")
		got := Defuse(s)
		if back := Undefuse(got); back != s {
			t.Fatalf("Undefuse(Defuse(%q)) = %q; want it back", s, back)
		}
		if strings.IndexAny(got, "=+-@\t\r") == 0 {
			t.Fatalf("Defuse(%q) = %q; want nothing that runs", s, got)
		}
	})
}
