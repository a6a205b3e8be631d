package report

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mde-offboard/batch/checkpoint"
)

func TestVerifyFolder(t *testing.T) {
	w := newWorld(t)
	small(w)
	dir := write(t, w, FolderOptions{})
	c, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
	if err != nil || !c.Remade || c.Batch != "decommission" {
		t.Fatalf("VerifyFolder = %+v, %v; want all checked", c, err)
	}
	if c, err := VerifyFolder(t.Context(), dir, nil, nil, ""); err != nil || c.Remade {
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

// foldsCase says whether names that differ in case alone are of one file.
func foldsCase(t *testing.T) bool {
	dir := t.TempDir()
	put(t, dir, "a", "")
	_, err := os.Stat(filepath.Join(dir, "A"))
	return err == nil
}

func TestVerifyFolderNames(t *testing.T) {
	folds := foldsCase(t)
	for _, tt := range []struct {
		why  string
		do   func(t *testing.T, w *world, dir string)
		file string
		what string
	}{
		{"a file taken out", func(t *testing.T, w *world, dir string) { remove(t, dir, "failed.csv") }, "failed.csv", "missing"},
		{"no manifest", func(t *testing.T, w *world, dir string) { remove(t, dir, manifestName) }, manifestName, "missing"},
		{"a file put in", func(t *testing.T, w *world, dir string) { put(t, dir, "more.csv", "MachineId\n") }, "more.csv", "not in the manifest"},
		{"one whose name only looks like ours", func(t *testing.T, w *world, dir string) { put(t, dir, "RESULTS.CSV", "MachineId\n") }, "RESULTS.CSV", "not in the manifest"},
		{"a page that is none of ours", func(t *testing.T, w *world, dir string) { put(t, dir, "audit.htm", "<p>all is well</p>") }, "audit.htm", "not in the manifest"},
		{"a text", func(t *testing.T, w *world, dir string) { put(t, dir, "read me first.txt", "all is well") }, "read me first.txt", "not in the manifest"},
		{"a folder with another result, under a name that is overlooked", func(t *testing.T, w *world, dir string) {
			if err := os.Mkdir(filepath.Join(dir, ".DS_Store"), 0o700); err != nil {
				t.Fatal(err)
			}
			put(t, dir, filepath.Join(".DS_Store", "results.csv"), "MachineId\n")
		}, ".DS_Store", "not in the manifest"},
		{"a manifest beside the manifest", func(t *testing.T, w *world, dir string) { put(t, dir, besideName(manifestName, t0), "{}") },
			besideName(manifestName, t0), "not in the manifest"},
		{"a manifest of another program", func(t *testing.T, w *world, dir string) { put(t, dir, manifestName, "{}") }, manifestName, "not one of"},
		{"a path out of the folder", func(t *testing.T, w *world, dir string) {
			put(t, dir, manifestName, strings.Replace(string(read(t, filepath.Join(dir, manifestName))), `"failed.csv"`, `"../failed.csv"`, 1))
		}, "failed.csv", "not in the manifest"},
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
			renamed(t, dir, func(m *manifest) *string { return &m.Chain.Head }, strings.Repeat("0", 64))
		}, manifestName, "another hash"},
		{"a chain that is longer than the checkpoint's", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.json", `"events": 33`, `"events": 34`)
			remanifest(t, dir, func(m *manifest) { m.Chain.Events = 34 })
		}, manifestName, "the checkpoint has only 33"},
		{"a shorter chain, with its head", func(t *testing.T, w *world, dir string) {
			b := w.batches()[0]
			if err := w.s.View(t.Context(), func(r checkpoint.Reader) error {
				return r.AsOf(b, 32, func(then checkpoint.Reader) (err error) { b, err = then.Batch(b.ID); return err })
			}); err != nil {
				t.Fatal(err)
			}
			forge(t, dir, "audit.json", `"events": 33`, `"events": 32`)
			remanifest(t, dir, func(m *manifest) { m.Chain.Events = 32 })
			renamed(t, dir, func(m *manifest) *string { return &m.Chain.Head }, b.Head)
		}, "audit.json", "not what the checkpoint gives"},
		{"another list", func(t *testing.T, w *world, dir string) {
			renamed(t, dir, func(m *manifest) *string { return &m.List.SHA256 }, strings.Repeat("0", 64))
		}, "audit.json", "not what the checkpoint gives"},
		{"another batch, that the checkpoint does not have", func(t *testing.T, w *world, dir string) {
			renamed(t, dir, func(m *manifest) *string { return &m.Batch }, "decommission-2")
		}, manifestName, `its chain is that of batch "decommission"`},
		{"calls of other batches, and a page that does not show them", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.json", `"callsOfOtherBatches": 0`, `"callsOfOtherBatches": 1`)
			forge(t, dir, "audit.html", "3 accepted", "4 accepted")
		}, "audit.html", "not what the checkpoint gives"},
		{"calls of other batches, that made fewer of its own", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.json", `"callsOfOtherBatches": 0`, `"callsOfOtherBatches": 1`)
			forge(t, dir, "audit.json", `"most": 7`, `"most": 6`)
		}, "audit.json", "not what the checkpoint gives"},
		{"calls of other batches, that made more than there are", func(t *testing.T, w *world, dir string) {
			forge(t, dir, "audit.json", `"callsOfOtherBatches": 0`, `"callsOfOtherBatches": 1`)
			forge(t, dir, "audit.json", `"most": 7`, `"most": 9`)
		}, "audit.json", "not what the checkpoint gives"},
		{"another version, and results that it did not write", func(t *testing.T, w *world, dir string) {
			remanifest(t, dir, func(m *manifest) { m.Program = "v0.9" })
			forge(t, dir, "results.csv", ",refused,", ",accepted,")
		}, "results.csv", "not what the checkpoint gives"},
		{"a report from before the last run, made anew", func(t *testing.T, w *world, dir string) {
			w.start("track", "")
			forge(t, dir, "results.csv", ",refused,", ",accepted,")
		}, "results.csv", "not what the checkpoint gives"},
		{"a page from before the last run, made anew", func(t *testing.T, w *world, dir string) {
			w.start("track", "")
			forge(t, dir, "audit.html", "3 accepted", "4 accepted")
		}, "audit.html", "not what the checkpoint gives"},
	} {
		if folds && tt.file == "RESULTS.CSV" {
			continue // it is ours there
		}
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

// TestVerifyFolderNoFile: what stands in the place of a file and is none is named
// as all that does not fit is.
func TestVerifyFolderNoFile(t *testing.T) {
	w := newWorld(t)
	small(w)
	dir := write(t, w, FolderOptions{})
	for _, name := range append(slices.Clone(reportFiles), manifestName, signatureName) {
		path := filepath.Join(dir, name)
		was, _ := os.ReadFile(path)
		if err := errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		var m *Mismatch
		_, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
		if name == signatureName {
			err = checkSignature(dir, nil, nil)
		}
		if !errors.As(err, &m) || *m != (Mismatch{name, "it is no file"}) {
			t.Errorf("VerifyFolder with a folder in the place of %s = %v; want it named", name, err)
		}
		remove(t, dir, name)
		put(t, dir, name, string(was))
	}
}

// TestHeldOpen: what could not be replaced when a report was written is removed as
// soon as it can be, and named until then.
func TestHeldOpen(t *testing.T) {
	w := newWorld(t)
	small(w)
	dir := write(t, w, FolderOptions{})
	beside := besideName("results.csv", t0)
	put(t, dir, beside, string(read(t, filepath.Join(dir, "results.csv"))))
	remanifest(t, dir, func(m *manifest) { m.Files[0].Name = beside })
	put(t, dir, "results.csv", "MachineId\n")
	c, err := VerifyFolder(t.Context(), dir, w.s, nil, "")
	if err != nil || !c.Remade || !slices.Equal(c.Stale, []string{"results.csv"}) || !strings.Contains(c.Describe(), "not checked, as the manifest does not name it: results.csv") {
		t.Errorf("VerifyFolder beside a file that was held open = %+v, %v; want that one named, and all else checked", c, err)
	}
	f := Folder{Dir: dir, Files: []string{beside, "failed.csv", "pending.csv", auditName, pageName}}
	if err := f.sweep(func(string) error { return errors.New("held open") }); err != nil || !slices.Equal(f.Left, []string{"results.csv"}) {
		t.Errorf("a file that is still held open: left %q, %v; want it alone", f.Left, err)
	}
	folder, err := WriteFolder(t.Context(), w.s, w.batch, dir, FolderOptions{})
	if err != nil || folder.Left != nil {
		t.Fatalf("the next report = %+v, %v; want nothing left", folder, err)
	}
	if c, err := VerifyFolder(t.Context(), dir, w.s, nil, ""); err != nil || c.Stale != nil {
		t.Errorf("VerifyFolder of the next report = %+v, %v; want that all fits", c, err)
	}
	if _, err := os.Stat(filepath.Join(dir, beside)); err == nil {
		t.Errorf("%s is still there", beside)
	}
}

// A manifest that was made to be about something else is found out without a
// checkpoint: audit.json says it too.
func TestVerifyFolderAgainstAudit(t *testing.T) {
	for name, change := range map[string]func(m *manifest){
		"batch":     func(m *manifest) { m.Batch = "decommission-2" },
		"cloud":     func(m *manifest) { m.Cloud = "gcc" },
		"tenantId":  func(m *manifest) { m.TenantID = strings.Repeat("0", 8) + m.TenantID[8:] },
		"simulated": func(m *manifest) { m.Simulated = true },
		"list":      func(m *manifest) { m.List.SHA256 = strings.Repeat("0", 64) },
		"chain":     func(m *manifest) { m.Chain.Head = strings.Repeat("0", 64) },
	} {
		w := newWorld(t)
		small(w)
		dir := write(t, w, FolderOptions{})
		remanifest(t, dir, change)
		var m *Mismatch
		if _, err := VerifyFolder(t.Context(), dir, nil, nil, ""); !errors.As(err, &m) || m.File != manifestName || !strings.Contains(m.What, "its "+name+" is") {
			t.Errorf("VerifyFolder of a manifest with another %s = %v; want it named", name, err)
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
	if err != nil || !c.Unknown || c.Remade || !strings.Contains(c.Describe(), "does not have this batch") {
		t.Errorf("VerifyFolder with another checkpoint = %+v, %v; want the files checked, the chain not", c, err)
	}
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// forge changes a file and makes a manifest that fits it.
func forge(t testing.TB, dir, name, old, new string) {
	t.Helper()
	text := string(read(t, filepath.Join(dir, name)))
	forged := strings.Replace(text, old, new, 1)
	if forged == text {
		t.Fatalf("%q is not in %s", old, name)
	}
	put(t, dir, name, forged)
	remanifest(t, dir, func(*manifest) {})
}

// renamed changes a text of the manifest, and in audit.json too.
func renamed(t testing.TB, dir string, of func(*manifest) *string, new string) {
	t.Helper()
	var old string
	remanifest(t, dir, func(m *manifest) { old, *of(m) = *of(m), new })
	forge(t, dir, "audit.json", old, new)
}

// remanifest changes the manifest and makes it fit the files.
func remanifest(t testing.TB, dir string, change func(*manifest)) {
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
