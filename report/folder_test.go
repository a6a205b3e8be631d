package report

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// write writes a report folder and returns it.
func write(t testing.TB, w *world, opt FolderOptions) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "decommission.report")
	if _, err := WriteFolder(t.Context(), w.s, w.batch, dir, opt); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contents reads all files of a folder.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		files[e.Name()] = string(read(t, filepath.Join(dir, e.Name())))
	}
	return files
}

func TestFolderGolden(t *testing.T) {
	w := newWorld(t)
	small(w)
	files := contents(t, write(t, w, FolderOptions{}))
	want := []string{"audit.html", "audit.json", "failed.csv", "manifest.json", "pending.csv", "results.csv"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("files = %v; want %v", got, want)
	}
	for name, text := range files {
		golden(t, name, []byte(text))
	}
	if again := contents(t, write(t, w, FolderOptions{})); !maps.Equal(again, files) {
		t.Errorf("a second report of the same checkpoint differs")
	}
}

// Reporting again from a copy of the checkpoint, later and elsewhere, gives the
// same bytes.
func TestFolderFromCheckpointAlone(t *testing.T) {
	w := newWorld(t)
	small(w)
	before := contents(t, write(t, w, FolderOptions{}))
	path := w.s.Path()
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	defer s.Close()
	if after := contents(t, write(t, w, FolderOptions{})); !maps.Equal(after, before) {
		t.Errorf("the report differs after the checkpoint was opened again")
	}
	if err := s.Verify(t.Context(), w.batch); err != nil {
		t.Errorf("Verify after reporting = %v; reporting must leave no trace", err)
	}
}

func TestAuditFitsItsSchema(t *testing.T) {
	for _, tt := range []struct {
		why  string
		fill func(*world)
	}{
		{"every status", small},
		{"nothing yet", func(w *world) { w.newBatch("empty", true) }},
	} {
		w := newWorld(t)
		tt.fill(w)
		audit := read(t, filepath.Join(write(t, w, FolderOptions{}), "audit.json"))
		if err := validate(t, audit); err != nil {
			t.Errorf("audit of a batch with %s: %v", tt.why, err)
		}
	}
}

// The schema is strict: what it does not know does not pass.
func TestSchemaRefuses(t *testing.T) {
	w := newWorld(t)
	small(w)
	audit := string(read(t, filepath.Join(write(t, w, FolderOptions{}), "audit.json")))
	for _, tt := range []struct{ old, new, why string }{
		{`"version": 2`, `"version": 3`, "another version"},
		{`"status":"accepted"`, `"status":"offboarded"`, "a status that there is not"},
		{`"lines": 11`, `"lines": -1`, "a number below zero"},
		{`"simulated": false`, `"simulated": "no"`, "another type"},
		{`"holds": [`, `"holes": [`, "another name"},
	} {
		doctored := strings.Replace(audit, tt.old, tt.new, 1)
		if doctored == audit {
			t.Fatalf("%q is not in the audit", tt.old)
		}
		if err := validate(t, []byte(doctored)); err == nil {
			t.Errorf("the schema accepts %s", tt.why)
		}
	}
}

func validate(t *testing.T, doc []byte) error {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(AuditSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("audit.schema.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(v)
}

func TestAuditAddsUp(t *testing.T) {
	w := newWorld(t)
	small(w)
	var doc struct {
		auditDoc
		Devices []deviceDoc `json:"devices"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(write(t, w, FolderOptions{}), "audit.json")), &doc); err != nil {
		t.Fatal(err)
	}
	n := doc.Counts
	if sum := n.Accepted + n.AlreadyActive + n.Refused + n.Failed + n.InDoubt + n.Skipped + n.Pending; sum != n.Lines+n.NoLongerThere || sum != len(doc.Devices) {
		t.Errorf("counts %+v add up to %d, there are %d devices", n, sum, len(doc.Devices))
	}
	calls := len(doc.Calls)
	for _, d := range doc.Devices {
		calls += len(d.Attempts)
	}
	if calls != 11 || doc.Quota.Calls != 11 {
		t.Errorf("%d calls, %d against the quota; want 11", calls, doc.Quota.Calls)
	}
}

// failed.csv and pending.csv are lists that the program itself reads.
func TestPartsAreLists(t *testing.T) {
	w := newWorld(t)
	small(w)
	failed := action(5, "TimeOut")
	w.call(6, 2, answer{outcome: "again", http: 503, message: "cut\x00off"})
	w.append(checkpoint.Event{Kind: "track", Tasks: []checkpoint.TaskChange{{N: 5, Action: failed}}})
	dir := write(t, w, FolderOptions{Excel: true})
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"failed.csv", []string{device(4), device(5), device(7), device(8)}},
		{"pending.csv", []string{device(6), device(11)}},
	} {
		l, err := input.Open(filepath.Join(dir, tt.name), input.Options{})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got []string
		for {
			row, err := l.Next()
			if err == io.EOF {
				break
			}
			if err != nil || row.Problem != nil {
				t.Fatalf("%s: %v %v", tt.name, err, row.Problem)
			}
			got = append(got, row.ID)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s = %v; want %v", tt.name, got, tt.want)
		}
	}
}

// The quota of a run is told by the largest number of calls that may have
// arrived in one window.
func TestLevels(t *testing.T) {
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	w := documented[0]
	for _, tt := range []struct {
		why   string
		calls []call
		most  int
	}{
		{"no call", nil, 0},
		{"two at once", []call{{from: at(0), to: at(1)}, {from: at(0), to: at(1)}}, 2},
		{"one a minute after the other was over", []call{{from: at(0), to: at(1)}, {from: at(61), to: at(62)}}, 1},
		{"one just before that", []call{{from: at(0), to: at(1)}, {from: at(60.999), to: at(62)}}, 2},
		{"a slow call counts for as long as it takes", []call{{from: at(0), to: at(30)}, {from: at(70), to: at(71)}}, 2},
	} {
		l := levelOf(w, tt.calls)
		if l.most != tt.most {
			t.Errorf("levelOf(%s).most = %d; want %d", tt.why, l.most, tt.most)
		}
		if n := len(l.steps); n > 0 && l.steps[n-1].n != 0 {
			t.Errorf("levelOf(%s) ends at %d; want 0", tt.why, l.steps[n-1].n)
		}
	}
}
