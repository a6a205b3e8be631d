package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/quota"
)

// sample is one line of Prometheus' text format as we write it.
var sample = regexp.MustCompile(`^([a-z_]+)\{[a-z]+="(?:[^"\\]|\\.)*"(?:,[a-z]+="(?:[^"\\]|\\.)*")*\} -?[0-9]+$`)

// checkFigures checks that a text is in Prometheus' format, each metric in one
// group that begins with its help and type, and holds some lines.
func checkFigures(t *testing.T, text string, wants ...string) {
	t.Helper()
	described, group := map[string]bool{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# HELP "); ok {
			if group, _, _ = strings.Cut(name, " "); described[group] {
				t.Errorf("%s is described twice", group)
			}
			described[group] = true
			continue
		}
		if strings.HasPrefix(line, "# TYPE "+group+" gauge") {
			continue
		}
		if m := sample.FindStringSubmatch(line); m == nil || m[1] != group {
			t.Errorf("line %q is no sample of %s", line, group)
		}
	}
	for _, want := range wants {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s in\n%s", want, text)
		}
	}
}

func TestFigures(t *testing.T) {
	m := &metrics{began: time.Unix(1000, 0), wrote: time.Unix(2000, 0), tenant: "contoso", last: batch.Progress{Batch: "a \"b\\\n\xe9", Simulated: true, InFlight: 3,
		DoneAt: time.Unix(5000, 0), Night: 2, Usage: []quota.Usage{{Window: quota.Window{Limit: 100, Per: time.Minute}, Used: 99}}}}
	labels := `batch="a \"b\\\n` + "\ufffd" + `",tenant="contoso",simulated="true"`
	checkFigures(t, m.figures(-1), `mde_offboard_running{`+labels+`} 1`,
		`mde_offboard_window_used{`+labels+`,window="1m0s"} 99`, `mde_offboard_done_timestamp_seconds{`+labels+`} 5000`, `mde_offboard_done_night{`+labels+`} 2`,
		`mde_offboard_start_timestamp_seconds{`+labels+`} 1000`, `mde_offboard_written_timestamp_seconds{`+labels+`} 2000`)
	if text := (&metrics{}).figures(-1); strings.Contains(text, "exit_code") || strings.Contains(text, "done_") {
		t.Errorf("a run at work has no exit code, and no end that is not known:\n%s", text)
	}

	// Who reads the file while it is written has all of the old one.
	dir := t.TempDir()
	m.path, m.warn = filepath.Join(dir, "run.prom"), func(err error) { t.Error(err) }
	m.write(-1)
	begun := fileText(t, m.path)
	reader := filepath.Join(dir, "reader")
	if err := os.Link(m.path, reader); err != nil {
		t.Fatal(err)
	}
	m.write(3)
	if ended, old := fileText(t, m.path), fileText(t, reader); !strings.Contains(ended, "exit_code") || old != begun {
		t.Errorf("the file is\n%s\nand what was begun to be read\n%s; want a file of its own for each", ended, old)
	}
}

func TestMetricsFailOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var warned []error
		m := &metrics{path: filepath.Join(t.TempDir(), "not there", "run.prom"), warn: func(err error) { warned = append(warned, err) }}
		for range 60 {
			m.show(batch.Progress{})
			time.Sleep(time.Second)
		}
		m.end(&ended{})
		if len(warned) != 1 {
			t.Errorf("warned %d times: %v; want once", len(warned), warned)
		}
	})
}

// TestMetricsNowhere: that figures cannot be written is said once, by the name that
// was given.
func TestMetricsNowhere(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "nowhere", "run.prom"): "there is no folder " + filepath.Join(dir, "nowhere"),
		dir: "is a folder",
	} {
		var said []string
		m := &metrics{path: path, warn: func(err error) { said = append(said, err.Error()) }}
		m.again()
		m.again()
		if len(said) != 1 || !strings.HasPrefix(said[0], "--metrics-file "+path) || !strings.HasSuffix(said[0], want) {
			t.Errorf("%s: said %q; want one warning, that %s", path, said, want)
		}
	}
}
