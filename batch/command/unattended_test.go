package command

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"mde-offboard/batch/simulator"
)

// ofRig are the labels of every figure of a run against the command simulate.
const ofRig = `tenant="` + simulator.DefaultTenant + `",simulated="true"`

// webhook takes what is posted, the second time.
func webhook(t *testing.T) (url string, posted func() string) {
	t.Helper()
	var calls atomic.Int32
	var body atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b, _ := io.ReadAll(r.Body)
		body.Store(string(b))
	}))
	t.Cleanup(server.Close)
	return server.URL + "/hook?sig=very-secret", func() string {
		s, _ := body.Load().(string)
		return s
	}
}

// TestUnattended runs a batch that nobody watches, against faults, and reads all
// that it leaves for those who come in the morning.
func TestUnattended(t *testing.T) {
	t.Parallel()
	r := newRig(t, append(quick, "--lag", "100ms", "--faults", "lost-after@3,429-seconds@9:1s,408@14")...)
	ids := r.list("list.csv", 20)
	url, posted := webhook(t)
	cmd := r.command(quickRun("list.csv", "--log-format", "json", "--metrics-file", "run.prom", "--max-failures", "100%")...)
	cmd.Env = append(cmd.Env, "MDE_OFFBOARD_NOTIFY="+url, "MDE_OFFBOARD_SKIP_INVALID=1")
	code, out := exit(t, cmd)
	want(t, "a run that nobody watches", code, out, 0)

	events := records(t, out)
	for msg, fields := range map[string][]string{
		"note": {"note"}, // of MDE_OFFBOARD_SKIP_INVALID, which is not heeded
		"plan": {"batch", "list", "lines", "toDo"}, "start": {"batch", "tenant", "application", "agreed", "version"},
		"outcome": {"batch", "line", "machineId", "status", "attempt", "httpStatus"},
		"settle":  {"machineId", "status", "machineActionId"}, "hold": {"reason", "until"},
		"end": {"batch", "code", "accepted", "results", "chain"},
	} {
		i := slices.IndexFunc(events, func(e map[string]any) bool { return e["msg"] == msg })
		if i < 0 {
			t.Errorf("no event %q in\n%s", msg, out)
			continue
		}
		for _, f := range append(fields, "time", "level") {
			if _, ok := events[i][f]; !ok {
				t.Errorf("event %v has no %q", events[i], f)
			}
		}
	}
	accepted := map[any]bool{}
	for _, e := range events {
		if e["status"] == "accepted" {
			accepted[e["machineId"]] = true
		}
	}
	if len(accepted) != len(ids) {
		t.Errorf("the log tells of %d accepted devices; want %d", len(accepted), len(ids))
	}
	if secret := regexp.MustCompile(`very-secret|opens-nothing|\[mdo-|eyJ|retired`).FindString(out); secret != "" {
		t.Errorf("the log holds %q", secret)
	}

	var n notice
	if err := json.Unmarshal([]byte(posted()), &n); err != nil || n.Batch != "list" || n.Code != 0 || n.Counts["accepted"] != 20 || n.Outcome != "done" || n.Chain == "" {
		t.Errorf("posted %s (%v); want the batch, its counts and its chain", posted(), err)
	}
	path := filepath.Join(r.dir, "run.prom")
	figures, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkFigures(t, string(figures), `mde_offboard_devices{batch="list",`+ofRig+`,status="accepted"} 20`, `mde_offboard_running{batch="list",`+ofRig+`} 0`,
		`mde_offboard_exit_code{batch="list",`+ofRig+`} 0`, `mde_offboard_window_limit{batch="list",`+ofRig+`,window="1s"} 30`)
	if fi, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || fi.Mode().Perm() != 0o644) {
		t.Errorf("the metrics file has mode %v; want one that the collector can read", fi.Mode())
	}

	before := posted()
	code, out = exit(t, cmdWith(r.command(quickRun("list.csv", "--log-file", "run.log", "--log-format", "json")...), "MDE_OFFBOARD_NOTIFY="+url))
	want(t, "a list that is done", code, out, 0, "Nothing is left to do.")
	if posted() != before {
		t.Error("a list that is done was posted again; want silence")
	}
	if err := os.Mkdir(filepath.Join(r.dir, "inbox"), 0o700); err != nil {
		t.Fatal(err)
	}
	calls := r.books().Calls["all"].Calls
	code, out = exit(t, cmdWith(r.command(quickRun("inbox/*.csv", "--batch", "list")...), "MDE_OFFBOARD_NOTIFY="+url))
	want(t, "an inbox without a list", code, out, 0, "Nothing to do: inbox/*.csv: no file matches")
	if n := r.books().Calls["all"].Calls; posted() != before || n != calls {
		t.Errorf("an inbox without a list: %d calls, posted %v; want none", n-calls, posted() != before)
	}
	code, out = exit(t, r.command(quickRun("nowhere/*.csv", "--batch", "list")...))
	want(t, "no inbox", code, out, 2, "there is no folder nowhere", "hint: make the folder")
	logged, err := os.ReadFile(filepath.Join(r.dir, "run.log"))
	if err != nil {
		t.Fatal(err)
	}
	if last := records(t, string(logged)); last[len(last)-1]["msg"] != "end" {
		t.Errorf("the log file ends with %v; want the end", last[len(last)-1])
	}
}

// records reads a log of which every line must be JSON.
func records(t *testing.T, log string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("a line of the log is no JSON: %q", line)
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		t.Fatal("the log is empty")
	}
	return all
}

// TestUnattendedErrors looks at what is told when a run does not come far.
func TestUnattendedErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	if err := os.WriteFile(filepath.Join(r.dir, "bad.csv"), []byte("MachineId,Comment\nlap-0001,retired\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := exit(t, r.command(quickRun("bad.csv", "--log-format", "json")...))
	want(t, "a run of a bad list", code, out, 2)
	var msgs []string
	for _, e := range records(t, out) {
		msgs = append(msgs, e["msg"].(string))
	}
	if !slices.Equal(msgs, []string{"problem", "end", "error"}) {
		t.Errorf("events %v; want the problem, the end and the error", msgs)
	}

	url, posted := webhook(t)
	for range 2 { // the first one is turned away once, and tried again
		code, out = exit(t, cmdWith(r.command(quickRun("bad.csv", "--notify-format", "slack")...), "MDE_OFFBOARD_NOTIFY="+url))
	}
	want(t, "a run of a bad list", code, out, 2)
	if !strings.Contains(posted(), `{"text":"*mde-offboard bad: refused before anything was sent*`) {
		t.Errorf("posted %q; want that the list was refused", posted())
	}

	code, out = exit(t, cmdWith(r.command(quickRun("bad.csv")...), "MDE_OFFBOARD_NOTIFY=http://hooks.example/very-secret"))
	want(t, "a webhook without TLS", code, out, 2, "MDE_OFFBOARD_NOTIFY is not a URL that begins with https://")
	if strings.Contains(out, "very-secret") {
		t.Errorf("the URL is in what was said: %s", out)
	}

	// What is not known is left out of the metrics; what the checkpoint knows is not.
	prom := filepath.Join(r.dir, "bad.prom")
	early := quickRun("bad.csv", "--metrics-file", "bad.prom")
	code, out = exit(t, r.command(early...))
	want(t, "a run of a bad list", code, out, 2)
	for _, name := range []string{"devices", "calls_in_flight", "window_used"} {
		if text := fileText(t, prom); strings.Contains(text, "mde_offboard_"+name) {
			t.Errorf("a run that never began claims to know %s:\n%s", name, text)
		}
	}
	r.list("good.csv", 3)
	code, out = exit(t, r.command(quickRun("good.csv", "--batch", "bad")...))
	want(t, "the list put right", code, out, 0)
	code, out = exit(t, r.command(early...))
	want(t, "a run of a bad list for a batch that is there", code, out, 2)
	checkFigures(t, fileText(t, prom), `mde_offboard_devices{batch="bad",`+ofRig+`,status="accepted"} 3`, `mde_offboard_devices{batch="bad",`+ofRig+`,status="pending"} 0`,
		`mde_offboard_exit_code{batch="bad",`+ofRig+`} 2`)
	for _, other := range [][]string{{"--simulate"}, {"--tenant-id", "00000000-0000-0000-0000-000000000001"}} {
		code, out = exit(t, r.command(append(early, other...)...))
		want(t, "a run of a bad list for another batch of that name", code, out, 2)
		if text := fileText(t, prom); strings.Contains(text, "mde_offboard_devices") {
			t.Errorf("%v: the figures of another batch are told:\n%s", other, text)
		}
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestListPutAway: a list that was put away before it was done is missed, by whoever
// reads words and by whoever reads the log.
func TestListPutAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	inbox := filepath.Join(r.dir, "inbox")
	if err := os.Mkdir(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	r.list("inbox/list.csv", 8)
	run := quickRun("inbox/*.csv", "--batch", "night", "--results", "out.csv", "--log-file", "run.log", "--log-format", "json")
	code, out := exit(t, r.command(append(run, "--limit", "3")...))
	want(t, "a run of three calls", code, out, 4)
	if err := os.Remove(filepath.Join(inbox, "list.csv")); err != nil {
		t.Fatal(err)
	}
	const missed = "5 devices pending or in doubt, and no list any more: put it back, and the same command goes on"
	url, posted := webhook(t)
	code, out = exit(t, cmdWith(r.command(run...), "MDE_OFFBOARD_NOTIFY="+url))
	want(t, "a run without its list", code, out, 0, "Nothing to do: ", `warning: batch "night": `+missed)
	if !strings.Contains(posted(), missed) {
		t.Errorf("posted %q; want what is missed", posted())
	}
	last := records(t, fileText(t, filepath.Join(r.dir, "run.log")))
	end, note := last[len(last)-1], last[len(last)-2]
	why, _ := end["reason"].(string)
	if said, _ := note["note"].(string); end["msg"] != "end" || !strings.HasPrefix(why, "nothing to do: ") || !strings.HasSuffix(why, missed) || !strings.HasSuffix(said, missed) {
		t.Errorf("the log ends with %v and %v; want what is missed, and why there was nothing to do", note, end)
	}
	code, out = exit(t, r.command("cancel", "night", "--yes"))
	want(t, "its cancelling", code, out, 0)
	before := posted()
	code, out = exit(t, cmdWith(r.command(run...), "MDE_OFFBOARD_NOTIFY="+url))
	want(t, "a run of a closed batch without its list", code, out, 0, "Nothing to do: ")
	if strings.Contains(out, "warning") || posted() != before {
		t.Errorf("the list of a closed batch is missed:\n%s", out)
	}
}
