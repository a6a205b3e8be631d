package command

import (
	"errors"
	"fmt"
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

// parts finds the fenced blocks of a text, and what stands between them, on the
// lines where it stands.
func parts(text string) (all []block, between string) {
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
		default:
			between += line
			continue
		}
		between += "\n"
	}
	return all, between
}

// blocks finds the fenced blocks of a text.
func blocks(text string) []block {
	all, _ := parts(text)
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

// invocation is a command of ours in the README.
type invocation struct {
	args []string
	line int
	// bare: it stands in a sentence, and may name a flag without its value.
	bare bool
}

// commands are the commands of ours in a block.
func (b block) commands() (all []invocation, err error) {
	add := func(args []string) { all = append(all, invocation{args: args, line: b.line}) }
	switch b.lang {
	case "xml":
		task, err := parseTask(b)
		if err != nil {
			return nil, err
		}
		add(split(task.Actions.Exec.Arguments))
		return all, nil
	case "yaml":
		doc, err := parseYAML(b)
		if err != nil {
			return nil, err
		}
		for _, args := range argsOf(doc) {
			add(args)
		}
	}
	for line := range strings.Lines(strings.NewReplacer("\\\n", " ", "`\n", " ").Replace(b.text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if at := commandLine.FindStringIndex(line); at != nil {
			add(split(line[at[1]:]))
		}
	}
	return all, nil
}

// span is a piece of code in a sentence. It may go on in the next line.
var span = regexp.MustCompile("`([^`\n]+(?:\n[^`\n]+)?)`")

// spans are the commands of ours in the sentences of a text: what begins with
// our name, with one of our commands and something behind it, or with a flag. In
// the first column of the table of commands something behind it is not asked for.
func spans(text string) (all []invocation) {
	_, between := parts(text)
	_, rows, _ := strings.Cut(between, "\n| command | does |\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	for _, at := range span.FindAllStringSubmatchIndex(between, -1) {
		code := strings.NewReplacer("\n", " ", `\|`, "|").Replace(between[at[2]:at[3]])
		args := split(code)
		first, _, more := strings.Cut(code, " ")
		switch ours := commandLine.FindStringIndex(code); {
		case ours != nil:
			args = split(code[ours[1]:])
		case strings.HasPrefix(code, "--collector."): // the node exporter's
			continue
		case strings.HasPrefix(code, "--"):
		case isCommand(first) && (more || strings.Contains(rows, "\n| `"+code+"` |")):
		default:
			continue
		}
		all = append(all, invocation{args: args, line: 1 + strings.Count(between[:at[0]], "\n"), bare: true})
	}
	return all
}

// commands are all commands of ours in a text, and what of it cannot be read.
func commands(text string) (all []invocation, wrong []string) {
	for _, b := range blocks(text) {
		found, err := b.commands()
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("README.md:%d: %v", b.line, err))
		}
		all = append(all, found...)
	}
	return append(all, spans(text)...), wrong
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

// wrongCommands says what is wrong with the commands of a text.
func wrongCommands(t *testing.T, text string) []string {
	t.Helper()
	all, wrong := commands(text)
	for _, i := range all {
		if why := wrongWith(t, i); why != "" {
			wrong = append(wrong, fmt.Sprintf("README.md:%d: mde-offboard %s: %s", i.line, strings.Join(i.args, " "), why))
		}
	}
	return wrong
}

// TestReadmeCommands checks every command of the README, and runs the rehearsals.
func TestReadmeCommands(t *testing.T) {
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS(filepath.Join("..", "..", "testdata"))); err != nil {
		t.Fatal(err)
	}
	text := readme(t)
	for _, wrong := range wrongCommands(t, text) {
		t.Error(wrong)
	}
	all, _ := commands(text)
	for _, i := range all {
		if !slices.Contains(i.args, "--simulate") || slices.ContainsFunc(i.args, placeholder.MatchString) {
			continue
		}
		if why := rehearsed(t, program, dir, i.args); why != "" {
			t.Errorf("README.md:%d: mde-offboard %s: %s", i.line, strings.Join(i.args, " "), why)
		}
	}
}

// rehearsed runs a rehearsal and says what is wrong with it.
func rehearsed(t *testing.T, program, dir string, args []string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	if code, out := exit(t, cmd); code != 0 && code != 3 && code != 4 {
		return strings.TrimSpace(out)
	}
	return ""
}

// TestReadmeInstall: the command that installs the program makes a file that Windows
// starts, of the name that the other commands have.
func TestReadmeInstall(t *testing.T) {
	_, install, _ := strings.Cut(readme(t), "To install the program itself: `go build ")
	args, _, _ := strings.Cut(install, "`")
	cmd := exec.Command("go", append([]string{"build", "-n"}, strings.Fields(args)...)...)
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "GOOS=windows", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "/a.out.exe mde-offboard.exe\n") {
		t.Errorf("go build %s: %v\n%s; want mde-offboard.exe", args, err, out[max(0, len(out)-500):])
	}
}

// TestReadmeReader holds the reader of the README to what it is for: it finds
// commands wherever they stand.
func TestReadmeReader(t *testing.T) {
	text := "```sh\nFOO=1 true; mde-offboard plan a.csv \\\n  --max-devices 5 # why\n# mde-offboard nothing\n```\n" +
		"```console\n$ mde-offboard status | head\nbatch\nPS> mde-offboard.exe version\n```\n" +
		"```ini\nExecStart=/usr/local/bin/mde-offboard run x.csv --comment \"so it is\"\n```\n" +
		"```yaml\nargs: [run, y.csv, --yes]\n```\n```sh\nsudo systemctl status mde-offboard\nchown mde-offboard f\n```\n" +
		"Say `mde-offboard report\nz` or `verify DIR`, with `--key`; `runs on` and\n`systemctl status mde-offboard` and `a\n\n`mde-offboard track b`.\n| `--max-failures N\\|P%` |\n" +
		"\n| command | does |\n| --- | --- |\n| `version` | `run` |\n\n| `plan` | x |\n"
	want := []string{"1 plan a.csv --max-devices 5", "6 status", "6 version", "11 run x.csv --comment so it is", "14 run y.csv --yes",
		"21 report z", "22 verify DIR", "22 --key", "25 track b", "26 --max-failures N|P%", "30 version"}
	var got []string
	all, wrong := commands(text)
	for _, i := range all {
		got = append(got, fmt.Sprintf("%d %s", i.line, strings.Join(i.args, " ")))
	}
	if !slices.Equal(got, want) || wrong != nil {
		t.Errorf("commands %q, %q; want %q", got, wrong, want)
	}
}
