package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mde-offboard": main})
}

// TestStories plays what a user lives through, with the real program in
// processes of its own; testdata/story has a file for each.
func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("stories take minutes where the program is slow")
	}
	if runtime.GOOS == "windows" {
		t.Skip("most stories interrupt a process, which no process can do to another on Windows")
	}
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "story"),
		UpdateScripts: os.Getenv("UPDATE_STORIES") != "",
		Setup: func(env *testscript.Env) error {
			top, err := filepath.Abs("testdata")
			if err != nil {
				return err
			}
			env.Setenv("TESTDATA", top)
			program, err := exec.LookPath("mde-offboard")
			if err != nil {
				return err
			}
			env.Setenv("PROGRAM", program)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "loadenv": loadenv, "mask": mask},
	})
}

// TestStoryOfEachInput: each list of testdata/inputs has a story that compares its plan
// or its refusal word for word.
func TestStoryOfEachInput(t *testing.T) {
	inputs, err := os.ReadDir(filepath.Join("testdata", "inputs"))
	if err != nil || len(inputs) == 0 {
		t.Fatalf("%d inputs, %v; want some", len(inputs), err)
	}
	for _, input := range inputs {
		stem := strings.TrimSuffix(input.Name(), filepath.Ext(input.Name()))
		story := filepath.Join("testdata", "story", "list_"+strings.NewReplacer("-", "_", ".", "_").Replace(stem)+".txt")
		text, err := os.ReadFile(story)
		if err != nil {
			t.Errorf("%s has no story: %v", input.Name(), err)
			continue
		}
		for _, part := range []string{"cp $TESTDATA/inputs/" + input.Name() + " ", "exec mde-offboard plan --no-inventory " + input.Name() + "\ncmp std"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s does not show the plan or the refusal of %s word for word: it lacks %q", story, input.Name(), part)
			}
		}
	}
}

// await waits until a file is there: await FILE [TEXT-IN-IT].
func await(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(time.Minute)
	for {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && (len(args) == 1 || strings.Contains(string(b), args[1])) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: not there: %v", strings.Join(args, " "), err)
		}
		// Another process writes it, and tells nobody.
		<-time.After(5 * time.Millisecond)
	}
}

// loadenv sets the variables of a file: loadenv FILE.
func loadenv(ts *testscript.TestScript, neg bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			ts.Setenv(name, value)
		}
	}
}

// mask writes the last standard error to a file with what differs from run to
// run taken out: mask FILE [TEXT …].
func mask(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("stderr")
	for _, what := range args[1:] {
		text = strings.ReplaceAll(text, what, "…")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// allowed says which package of ours may import which. Arrows go one way; tests
// may import the simulator too, and all that their package stands on.
var allowed = map[string][]string{
	"batch/input":      {},
	"batch/quota":      {},
	"batch/defender":   {},
	"batch/simulator":  {},
	"batch/checkpoint": {"batch/quota"},
	"batch":            {"batch/input", "batch/quota", "batch/checkpoint", "batch/defender"},
	"report":           {"batch/checkpoint", "batch"},
	"batch/command":    {"batch", "batch/input", "batch/quota", "batch/checkpoint", "batch/defender", "batch/simulator", "report"},
	".":                {"batch/command"},
}

// below are the packages that a package stands on, at first or second hand.
func below(pkg string) (all []string) {
	for _, p := range allowed[pkg] {
		all = append(append(all, p), below(p)...)
	}
	return all
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		seen[pkg] = true
		may, known := allowed[pkg]
		if !known {
			t.Errorf("%s: package %s is not in the table of what may import what", path, pkg)
		}
		if strings.HasSuffix(path, "_test.go") {
			may = append(below(pkg), "batch/simulator", pkg)
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if ours, ok := strings.CutPrefix(name, "mde-offboard/"); ok && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s; package %s may import %v", path, ours, pkg, may)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("package %s is in the table and not in the tree", pkg)
		}
	}
}
