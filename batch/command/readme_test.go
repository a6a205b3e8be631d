package command

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of the README.
type block struct {
	lang, text string
	line       int // of its fence
}

// file is the file that the first line of a block names in a comment.
func (b block) file() string {
	first, _, _ := strings.Cut(b.text, "\n")
	m := regexp.MustCompile(`^(?:# |<!-- )(\S+)(?: -->)?$`).FindStringSubmatch(first)
	if m == nil {
		return ""
	}
	return m[1]
}

// blocks finds the fenced blocks of a text.
func blocks(text string) (all []block) {
	var open *block
	n := 0
	for line := range strings.Lines(text) {
		n++
		fence, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fenced && open == nil:
			open = &block{lang: fence, line: n}
		case fenced:
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line
		}
	}
	return all
}

// readme is the text of the README. There may be none yet.
func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no README")
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// commandLine finds our program at the beginning of a command of a shell.
var commandLine = regexp.MustCompile(`(?:^|[|&;] *|[$>] |=)"?(?:\S*[/\\])?(?:mde-offboard(?:\.exe)?|go run \.)"? `)

// commands are the commands of ours in a block, each as its arguments.
func (b block) commands(t *testing.T) (all [][]string) {
	t.Helper()
	text := strings.NewReplacer("\\\n", " ", "`\n", " ").Replace(b.text)
	switch b.lang {
	case "xml":
		task := parseTask(t, b)
		return [][]string{split(task.Actions.Exec.Arguments)}
	case "yaml":
		all = argsOf(parseYAML(t, b))
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if at := commandLine.FindStringIndex(line); at != nil {
			all = append(all, split(line[at[1]:]))
		}
	}
	return all
}

// argsOf finds the lists called args in a document.
func argsOf(v any) (all [][]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range sortedKeys(v) {
			if list, ok := v[name].([]any); ok && name == "args" {
				var args []string
				for _, arg := range list {
					text, _ := arg.(string)
					args = append(args, text)
				}
				all = append(all, args)
				continue
			}
			all = append(all, argsOf(v[name])...)
		}
	case []any:
		for _, e := range v {
			all = append(all, argsOf(e)...)
		}
	}
	return all
}

// split takes a command apart as a shell does, up to its end.
func split(line string) (words []string) {
	word, in, quote := "", false, rune(0)
	end := func() {
		if in {
			words = append(words, word)
		}
		word, in = "", false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == ' ':
			end()
		case (strings.ContainsRune("|&;><#", r)) && !in:
			return words
		default:
			word, in = word+string(r), true
		}
	}
	end()
	return words
}

// TestReadmeCommands runs every command of the README: a rehearsal as it stands,
// every other one with --help, which finds commands and flags that are not there.
func TestReadmeCommands(t *testing.T) {
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS(filepath.Join("..", "..", "testdata"))); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks(readme(t)) {
		for _, args := range b.commands(t) {
			if why := runs(t, program, dir, args); why != "" {
				t.Errorf("README.md:%d: mde-offboard %s: %s", b.line, strings.Join(args, " "), why)
			}
		}
	}
}

// runs says what is wrong with a command.
func runs(t *testing.T, program, dir string, args []string) string {
	t.Helper()
	rehearsal := slices.Contains(args, "--simulate") && !slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "LIST") })
	if !rehearsal {
		args = append(slices.Clone(args), "--help")
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	code, out := exit(t, cmd)
	if code == 0 || rehearsal && (code == 3 || code == 4) {
		if !rehearsal && len(args) > 1 && !strings.Contains(out, "mde-offboard "+args[0]) {
			return "there is no such command"
		}
		return ""
	}
	return strings.TrimSpace(out)
}

// TestReadmeReader holds the reader of the README to what it is for: it finds
// commands wherever they stand, and what is wrong with them.
func TestReadmeReader(t *testing.T) {
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	text := "```sh\nFOO=1 true; mde-offboard plan a.csv \\\n  --max-devices 5 # why\n# mde-offboard nothing\n```\n" +
		"```console\n$ mde-offboard status | head\nbatch\nPS> mde-offboard.exe version\n```\n" +
		"```ini\nExecStart=/usr/local/bin/mde-offboard run x.csv --comment \"so it is\"\n```\n" +
		"```yaml\nargs: [run, y.csv, --yes]\n```\n```sh\nsudo systemctl status mde-offboard\nchown mde-offboard f\n```\n"
	want := []string{"plan a.csv --max-devices 5", "status", "version", "run x.csv --comment so it is", "run y.csv --yes"}
	var got []string
	for _, b := range blocks(text) {
		for _, args := range b.commands(t) {
			got = append(got, strings.Join(args, " "))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("commands %q; want %q", got, want)
	}
	for _, bad := range []string{"run x.csv --no-such-flag", "fly x.csv", "run --simulate gone.csv", "plan x.csv --max-devices many"} {
		if runs(t, program, t.TempDir(), strings.Fields(bad)) == "" {
			t.Errorf("mde-offboard %s: nothing was found wrong with it", bad)
		}
	}
}
