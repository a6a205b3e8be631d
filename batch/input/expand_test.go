package input

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestExpand(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"b.csv", "a.csv", "c.txt", "devices[1].csv"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("dir.csv", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		why      string
		patterns []string
		want     []string
		err      string
	}{
		{"a name, whether there or not", []string{"a.csv", "none.csv"}, []string{"a.csv", "none.csv"}, ""},
		{"standard input", []string{"-"}, []string{"-"}, ""},
		{"sorted within a pattern, folders left out", []string{"c.txt", "?.csv"}, []string{"c.txt", "a.csv", "b.csv"}, ""},
		{"every file once", []string{"b.csv", "*.csv", filepath.Join(".", "a.csv")}, []string{"b.csv", "a.csv", "devices[1].csv"}, ""},
		{"a name that looks like a pattern, as browsers make them", []string{"devices[1].csv"}, []string{"devices[1].csv"}, ""},
		{"patterns that match nothing", []string{"x*.csv", "a.csv", "y*.csv"}, []string{"a.csv"}, "x*.csv, y*.csv: no file matches"},
		{"a pattern that matches folders alone", []string{"d*r.csv"}, nil, "d*r.csv: no file matches"},
		{"a pattern in a folder that is not there", []string{"a.csv", "nowhere/*.csv"}, nil, "nowhere/*.csv: no file matches: there is no folder nowhere"},
		{"a pattern in folders that are", []string{"d*/*.csv"}, nil, "d*/*.csv: no file matches"},
		{"a pattern that is none", []string{"[a"}, nil, "[a: syntax error in pattern"},
	} {
		got, err := Expand(tc.patterns)
		if text := errorText(err); text != tc.err || !slices.Equal(got, tc.want) {
			t.Errorf("%s: Expand(%q) = %q, %q; want %q, %q", tc.why, tc.patterns, got, text, tc.want, tc.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
