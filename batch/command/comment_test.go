package command

import (
	"strings"
	"testing"

	"mde-offboard/batch"
)

// TestComment counts the comment of run and of cancel as the service does, and
// sends no blank one.
func TestComment(t *testing.T) {
	tests := []struct {
		reason, comment string
		want            string // what cancel sends
		ok              bool
	}{
		{"none: the default", "", "Withdrawn: batch list", true},
		{"a blank one is none", " \t ", "Withdrawn: batch list", true},
		{"spaces around are not sent", " Wrong list ", "Wrong list", true},
		{"characters are counted, not bytes", strings.Repeat("ü", 600), strings.Repeat("ü", 600), true},
		{"as long as may be", strings.Repeat("ü", 980), strings.Repeat("ü", 980), true},
		{"one more", strings.Repeat("ü", 981), "", false},
		{"those beyond 16 bits count twice", strings.Repeat("😀", 491), "", false},
	}
	for _, tt := range tests {
		w := withdrawal{comment: tt.comment}
		req, err := w.request("list")
		if req.Comment != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: cancel would send %q, %v; want %q", tt.reason, req.Comment, err, tt.want)
		}
		if _, err := cleanComment(tt.comment); (err == nil) != tt.ok || !tt.ok && codeIn(err) != batch.CodeUsage {
			t.Errorf("%s: run says %v; want it taken: %v", tt.reason, err, tt.ok)
		}
	}
}
