package batch

import "testing"

func TestTagIn(t *testing.T) {
	for _, tt := range []struct{ why, comment, want string }{
		{"ours", comment("retired", "mdo-7k3qx2fa"), "mdo-7k3qx2fa"},
		{"behind one that came along with a comment that somebody copied", comment("retired [mdo-aaaaaaaa]", "mdo-7k3qx2fa"), "mdo-7k3qx2fa"},
		{"none", "retired [by mdo-offboard]", ""},
	} {
		if got := tagIn(tt.comment); got != tt.want {
			t.Errorf("%s: tagIn(%q) = %q; want %q", tt.why, tt.comment, got, tt.want)
		}
	}
}
