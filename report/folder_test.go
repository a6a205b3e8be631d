package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/crypto/ssh"

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

func TestVerifyFolder(t *testing.T) {
	w := newWorld(t)
	small(w)
	dir := write(t, w, FolderOptions{})
	c, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
	if err != nil || !c.Chained || !c.Remade || c.Batch != "decommission" {
		t.Fatalf("VerifyFolder = %+v, %v; want all checked", c, err)
	}
	if c, err := VerifyFolder(t.Context(), dir, nil, nil, ""); err != nil || c.Chained {
		t.Errorf("VerifyFolder without a checkpoint = %+v, %v; want only the files checked", c, err)
	}

	// Every single byte of every file counts.
	for name, text := range contents(t, dir) {
		for _, at := range []int{0, len(text) / 2, len(text) - 1} {
			doctored := []byte(text)
			doctored[at] ^= 1
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, doctored, 0o600); err != nil {
				t.Fatal(err)
			}
			var m *Mismatch
			if _, err := VerifyFolder(t.Context(), dir, w.s, nil, ""); !errors.As(err, &m) {
				t.Errorf("byte %d of %s turned: %v; want a mismatch", at, name, err)
			} else if m.File != name && name != manifestName {
				t.Errorf("byte %d of %s turned: %v; want that file named", at, name, m)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestVerifyFolderNames(t *testing.T) {
	for _, tt := range []struct {
		why  string
		do   func(t *testing.T, w *world, dir string)
		file string
		what string
	}{
		{"a file taken out", func(t *testing.T, w *world, dir string) { remove(t, dir, "failed.csv") }, "failed.csv", "missing"},
		{"no manifest", func(t *testing.T, w *world, dir string) { remove(t, dir, manifestName) }, manifestName, "missing"},
		{"a file put in", func(t *testing.T, w *world, dir string) { put(t, dir, "more.csv", "MachineId\n") }, "more.csv", "not in the manifest"},
		{"a manifest of another program", func(t *testing.T, w *world, dir string) { put(t, dir, manifestName, "{}") }, manifestName, "not one of"},
		{"a path out of the folder", func(t *testing.T, w *world, dir string) {
			put(t, dir, manifestName, strings.Replace(string(read(t, filepath.Join(dir, manifestName))), `"failed.csv"`, `"../failed.csv"`, 1))
		}, manifestName, "no name of a file"},
		{"results.csv and manifest made anew", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "results.csv", ",refused,", ",accepted,")
		}, "results.csv", "not what the checkpoint gives"},
		{"failed.csv and manifest made anew", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "failed.csv", device(4), device(1))
		}, "failed.csv", "not what the checkpoint gives"},
		{"pending.csv and manifest made anew", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "pending.csv", device(11), device(12))
		}, "pending.csv", "not what the checkpoint gives"},
		{"audit.json and manifest made anew", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.json", `"status":"refused"`, `"status":"accepted"`)
		}, "audit.json", "not what the checkpoint gives"},
		{"the quota in audit.json and manifest made anew", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.json", `"calls": 11`, `"calls": 10`)
		}, "audit.json", "not what the checkpoint gives"},
		{"an end of audit.json and manifest made anew", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.json", `"devices": [`, `"devices": ]`)
		}, "audit.json", "not what the checkpoint gives"},
		{"audit.html and manifest made anew", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.html", "3 accepted", "4 accepted")
		}, "audit.html", "not what the checkpoint gives"},
		{"a file put in, and into the manifest", func(t *testing.T, w *world, dir string) {
			put(t, dir, "waived.csv", "MachineId\n")
			remanifest(t, dir, func(m *manifest) { m.Files = append(m.Files, fileInsides{Name: "waived.csv"}) })
		}, "waived.csv", "not one of the files"},
		{"a file taken out, and out of the manifest", func(t *testing.T, w *world, dir string) {
			remove(t, dir, "failed.csv")
			remanifest(t, dir, func(m *manifest) { m.Files = slices.Delete(m.Files, 1, 2) })
		}, "failed.csv", "not in the manifest"},
		{"another chain", func(t *testing.T, w *world, dir string) {
			remanifest(t, dir, func(m *manifest) { m.Chain.Head = strings.Repeat("0", 64) })
		}, manifestName, "another hash"},
	} {
		w := newWorld(t)
		small(w)
		dir := write(t, w, FolderOptions{})
		tt.do(t, w, dir)
		var m *Mismatch
		if _, err := VerifyFolder(t.Context(), dir, w.s, nil, ""); !errors.As(err, &m) || m.File != tt.file || !strings.Contains(m.What, tt.what) {
			t.Errorf("VerifyFolder after %s = %v; want %s: …%s…", tt.why, err, tt.file, tt.what)
		}
	}
}

// A folder is checked by its manifest alone where the checkpoint does not have
// the batch, and says so.
func TestVerifyFolderOfAnotherCheckpoint(t *testing.T) {
	w := newWorld(t)
	small(w)
	dir := write(t, w, FolderOptions{})
	other := newWorld(t)
	other.newBatch("another", false)
	c, err := VerifyFolder(t.Context(), dir, other.s, nil, "")
	if err != nil || !c.Unknown || c.Chained || !strings.Contains(c.Describe(), "does not have this batch") {
		t.Errorf("VerifyFolder with another checkpoint = %+v, %v; want the files checked, the chain not", c, err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// forge changes a file and makes a manifest that fits it.
func forge(t *testing.T, dir, name, old, new string) {
	t.Helper()
	text := string(read(t, filepath.Join(dir, name)))
	forged := strings.Replace(text, old, new, 1)
	if forged == text {
		t.Fatalf("%q is not in %s", old, name)
	}
	put(t, dir, name, forged)
	remanifest(t, dir, func(*manifest) {})
}

// remanifest changes the manifest and makes it fit the files.
func remanifest(t *testing.T, dir string, change func(*manifest)) {
	t.Helper()
	var m manifest
	if err := json.Unmarshal(read(t, filepath.Join(dir, manifestName)), &m); err != nil {
		t.Fatal(err)
	}
	change(&m)
	for i, f := range m.Files {
		var err error
		if m.Files[i], err = insidesOf(dir, f.Name); err != nil {
			t.Fatal(err)
		}
	}
	b, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, manifestName, string(b))
}

// What a folder depended on besides the chain makes no mismatch of it, and hides
// no forgery.
func TestVerifyFolderRemakes(t *testing.T) {
	for _, tt := range []struct {
		why    string
		opt    FolderOptions
		before func(w *world) // the report
		after  func(w *world)
		unmade string
	}{
		{why: "for Excel", opt: FolderOptions{Excel: true}},
		{why: "of a simulated batch", before: func(w *world) { w.newBatch("rehearsed", true) }},
		{why: "of a run at work, that was seen again since", before: func(w *world) {
			w.start("run", "--yes")
			w.wait(time.Second)
			w.intent(11, 1)
			w.alive()
		}, after: func(w *world) {
			w.wait(time.Minute)
			w.alive()
		}},
		{why: "beside another batch, that was forgotten since", before: func(w *world) {
			w.now = t0.Add(80 * time.Second)
			w.beside()
		}, after: func(w *world) {
			all := w.batches()
			if err := w.s.Forget(all[len(all)-1].ID, w.now.AddDate(1, 0, 0)); err != nil {
				w.t.Fatal(err)
			}
		}, unmade: "the calls of other batches"},
		{why: "of another version", opt: FolderOptions{Program: "v0.9"}, unmade: `version "v0.9" of the program`},
	} {
		w := newWorld(t)
		small(w)
		if tt.before != nil {
			tt.before(w)
		}
		dir := write(t, w, tt.opt)
		if tt.after != nil {
			tt.after(w)
		}
		c, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
		if err != nil || !c.Remade || !strings.Contains(c.Unmade, tt.unmade) || (c.Unmade == "") != (tt.unmade == "") {
			t.Errorf("VerifyFolder of a folder %s = %+v, %v; want it made again, but for %q", tt.why, c, err, tt.unmade)
		}
		if !strings.HasSuffix(c.Describe(), "the same report") && tt.unmade == "" || !strings.Contains(c.Describe(), tt.unmade) {
			t.Errorf("Describe of a folder %s = %s", tt.why, c.Describe())
		}
		var m *Mismatch
		forge(t, dir, "audit.json", `"format": "mde-offboard audit"`, `"format": "another"`)
		if _, err := VerifyFolder(t.Context(), dir, w.s, nil, ""); !errors.As(err, &m) || m.File != "audit.json" {
			t.Errorf("VerifyFolder of a forged folder %s = %v; want audit.json named", tt.why, err)
		}
	}
}

func TestVerifyFolderAfterMoreHappened(t *testing.T) {
	w := newWorld(t)
	small(w)
	dir := write(t, w, FolderOptions{})
	w.start("track", "")
	c, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
	if err != nil || !c.Chained || c.Remade {
		t.Errorf("VerifyFolder after another run began = %+v, %v; want the chain found, the report not made again", c, err)
	}
}

// sshKey makes a key pair with ssh-keygen.
func sshKey(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("there is no ssh-keygen here")
	}
	path := filepath.Join(t.TempDir(), "key")
	args = append([]string{"-q", "-f", path, "-C", "anna@example"}, args...)
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return path
}

// keys are the arguments with which ssh-keygen makes each kind of key that signs
// manifests.
var keys = [][]string{{"-t", "ed25519"}, {"-t", "rsa", "-b", "2048"}, {"-t", "rsa", "-b", "2048", "-m", "PEM"},
	{"-t", "ecdsa", "-b", "256"}, {"-t", "ecdsa", "-b", "384"}, {"-t", "ecdsa", "-b", "521"}}

func TestSignature(t *testing.T) {
	for _, kind := range keys {
		t.Run(strings.Join(kind, " "), func(t *testing.T) { testSignature(t, kind) })
	}
}

func testSignature(t *testing.T, kind []string) {
	w := newWorld(t)
	small(w)
	path := sshKey(t, append(kind, "-N", "")...)
	key, err := LoadSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, w, FolderOptions{Key: key})
	pub, err := LoadVerifier(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	sshKeygenAccepts(t, dir, path, pub)
	if again := contents(t, write(t, w, FolderOptions{Key: key})); !maps.Equal(again, contents(t, dir)) {
		t.Errorf("a second signed report of the same checkpoint differs")
	}
	if c, err := VerifyFolder(t.Context(), dir, w.s, pub, ""); err != nil || !c.Signed || !c.Remade {
		t.Errorf("VerifyFolder with the key = %+v, %v; want it signed", c, err)
	}
	other, err := LoadVerifier(sshKey(t, "-t", "ed25519", "-N", "") + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	var m *Mismatch
	if _, err := VerifyFolder(t.Context(), dir, nil, other, ""); !errors.As(err, &m) || !strings.Contains(m.What, "another key") {
		t.Errorf("VerifyFolder with another key = %v; want a mismatch", err)
	}

	// A forger can make a manifest that fits, but not sign it.
	forge(t, dir, "audit.json", `"status":"refused"`, `"status":"accepted"`)
	if _, err := VerifyFolder(t.Context(), dir, nil, nil, ""); err != nil {
		t.Errorf("VerifyFolder of a forgery without a key = %v; want nil", err)
	}
	if _, err := VerifyFolder(t.Context(), dir, nil, pub, ""); !errors.As(err, &m) || m.File != signatureName {
		t.Errorf("VerifyFolder of a forgery = %v; want the signature not to fit", err)
	}

	// A report that is written again without a key is not left with the old signature.
	if _, err := WriteFolder(t.Context(), w.s, w.batch, dir, FolderOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyFolder(t.Context(), dir, nil, pub, ""); !errors.As(err, &m) || !strings.Contains(m.What, "not signed") {
		t.Errorf("VerifyFolder of an unsigned report = %v; want it said", err)
	}
}

// sshKeygenAccepts has OpenSSH check our signature, and us check OpenSSH's.
func sshKeygenAccepts(t *testing.T, dir, key string, pub *Verifier) {
	t.Helper()
	signers := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(signers, append([]byte("anna@example "), read(t, key+".pub")...), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := read(t, filepath.Join(dir, manifestName))
	verify := func(message []byte) ([]byte, error) {
		cmd := exec.Command("ssh-keygen", "-Y", "verify", "-n", SignatureNamespace, "-f", signers, "-I", "anna@example", "-s", filepath.Join(dir, signatureName))
		cmd.Stdin = bytes.NewReader(message)
		return cmd.CombinedOutput()
	}
	if out, err := verify(manifest); err != nil {
		t.Errorf("ssh-keygen -Y verify: %v\n%s", err, out)
	}
	if out, err := verify(append(manifest, ' ')); err == nil {
		t.Errorf("ssh-keygen -Y verify of a doctored manifest is content:\n%s", out)
	}
	sign := exec.Command("ssh-keygen", "-Y", "sign", "-n", SignatureNamespace, "-f", key)
	sign.Stdin = bytes.NewReader(manifest)
	theirs, err := sign.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.check(manifest, theirs); err != nil {
		t.Errorf("ssh-keygen's signature: %v", err)
	}
	// Those of ECDSA are random with ssh-keygen.
	ours := read(t, filepath.Join(dir, signatureName))
	if !strings.HasPrefix(pub.key.Type(), "ecdsa") && !bytes.Equal(ours, theirs) {
		t.Errorf("our signature\n%s\nis not ssh-keygen's\n%s", ours, theirs)
	}
}

// ssh-rsa is the name of a key and, in a signature, that of SHA-1.
func TestSHA1Refused(t *testing.T) {
	path := sshKey(t, "-t", "rsa", "-b", "2048", "-N", "")
	key, err := LoadSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := LoadVerifier(path)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, want := range map[string]string{ssh.KeyAlgoRSASHA512: "", ssh.KeyAlgoRSASHA256: "", ssh.KeyAlgoRSA: "SHA-1"} {
		sig, err := key.signAs([]byte("manifest"), algorithm)
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.check([]byte("manifest"), sig); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("check of a signature with %s = %v; want %q", algorithm, err, want)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		args []string
		what string
	}{
		{[]string{"-t", "ed25519", "-N", "secret"}, "passphrase"},
		{[]string{"-t", "rsa", "-b", "2048", "-N", "secret"}, "passphrase"},
	} {
		path := sshKey(t, tt.args...)
		if _, err := LoadSigner(path); err == nil || !strings.Contains(err.Error(), tt.what) {
			t.Errorf("LoadSigner(%v) = %v; want …%s…", tt.args, err, tt.what)
		}
	}
	token := filepath.Join(t.TempDir(), "key.pub")
	line := "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gAAAABHNzaDo=\n"
	if err := os.WriteFile(token, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadVerifier(token); err == nil || !strings.Contains(err.Error(), "taken are ed25519, RSA and ECDSA keys") {
		t.Errorf("LoadVerifier of a key on a token = %v; want an error that says which keys are taken", err)
	}
	if _, err := LoadVerifier(filepath.Join("..", "testdata", "report", "results.csv")); err == nil {
		t.Errorf("LoadVerifier of a CSV file = nil; want an error")
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
