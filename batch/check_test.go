package batch

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
	"mde-offboard/batch/simulator"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// listed is a list of a text.
func listed(t *testing.T, text string) *input.List {
	t.Helper()
	l, err := input.NewList("list.csv", strings.NewReader(text), input.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// planOf plans a text as a batch that has done what have says.
func planOf(t *testing.T, text string, b checkpoint.Batch, have []checkpoint.Task, req Request) *Plan {
	t.Helper()
	p, err := MakePlan(listed(t, text), "list.csv", b, have, req)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lineOf is the line that a plan changes for a device.
func lineOf(p *Plan, device string) (found checkpoint.Line) {
	p.changes.each(func(l *checkpoint.Line) error {
		if l.Device == device {
			found = *l
		}
		return nil
	})
	return found
}

// TestCheck plans one device against what the inventory knows of it.
func TestCheck(t *testing.T) {
	id := device("it")
	known := func(change func(*Device)) []Device {
		d := Device{ID: id, Name: "lap-0001.contoso.com", Platform: "Windows11", Onboarding: "Onboarded", Health: "Active", LastSeen: noon.Add(-50 * time.Hour)}
		change(&d)
		return []Device{d}
	}
	same := func(*Device) {}
	tag, name := protecting(t, "tag:tier0"), protecting(t, "srv-*")
	fullName, platform, old := protecting(t, "lap-*.fabrikam.com"), protecting(t, "os:windowsserver*"), protecting(t, device("old"))
	fullAt := fullName.others[0].String()
	tagAt, nameAt := tag.others[0].String(), name.others[0].String()
	for _, tc := range []struct {
		reason    string
		name      string // in the list
		inventory []Device
		req       Request
		held      string // kind; empty: it is sent
		why       string
		warned    string
	}{
		{"all fits", "lap-0001", known(same), Request{}, "", "", ""},
		{"the list has no name", "", known(same), Request{}, "", "", ""},
		{"full names, another case", "LAP-0001.other.net", known(same), Request{}, "", "", ""},
		{"the inventory has no name", "lap-0001", known(func(d *Device) { d.Name = "" }), Request{}, "", "", ""},
		{"not in the inventory", "lap-0001", nil, Request{}, "", "", warnUnknown},
		{"another name", "lap-0002", known(same), Request{}, heldOtherName, "other name: the inventory knows this id as lap-0001.contoso.com", ""},
		{"what is written where no name is known", "N/A", known(same), Request{}, "", "", ""},
		{"a dash in its place", "-", known(same), Request{}, "", "", ""},
		{"a longer name", "lap-00011", known(same), Request{}, heldOtherName, "other name: the inventory knows this id as lap-0001.contoso.com", ""},
		{"merged", "", known(func(d *Device) { d.MergedInto = device("that") }), Request{}, heldMerged, "merged: into " + device("that"), ""},
		{"discovered only", "", known(func(d *Device) { d.Onboarding = "CanBeOnboarded" }), Request{}, heldNotOn, "not onboarded: CanBeOnboarded", ""},
		{"a printer", "", known(func(d *Device) { d.Onboarding = "Unsupported" }), Request{}, heldNotOn, "not onboarded: Unsupported", ""},
		{"onboarded in another case", "", known(func(d *Device) { d.Onboarding = "onboarded" }), Request{}, "", "", ""},
		{"nothing is said of onboarding", "", known(func(d *Device) { d.Onboarding = "" }), Request{}, "", "", ""},
		{"a Mac", "", known(func(d *Device) { d.Platform = "macOS" }), Request{}, "", "", warnPlatform},
		{"an old Windows", "", known(func(d *Device) { d.Platform = "Windows7" }), Request{}, "", "", warnPlatform},
		{"a server with the unified agent", "", known(func(d *Device) { d.Platform = "WindowsServer2012R2" }), Request{}, "", "", ""},
		{"a Windows of the future", "", known(func(d *Device) { d.Platform = "Windows13" }), Request{}, "", "", ""},
		{"seen lately, and that holds it back", "", known(same), Request{RecentlySeen: 72 * time.Hour}, heldRecent, "recently seen: 2026-11-20T10:00:00Z", ""},
		{"not seen so lately", "", known(same), Request{RecentlySeen: 48 * time.Hour}, "", "", ""},
		{"nobody says when it was seen", "", known(func(d *Device) { d.LastSeen = time.Time{} }), Request{RecentlySeen: time.Hour}, heldRecent,
			"recently seen: perhaps, the inventory does not say when", ""},
		{"nobody says when it was seen, and nobody asks", "", known(func(d *Device) { d.LastSeen = time.Time{} }), Request{}, "", "", ""},
		{"a tag that it does not have", "lap-0001", known(same), Request{Protect: tag}, "", "", ""},
		{"not in the inventory, so its tags are not known", "lap-0001", nil, Request{Protect: tag}, heldPerhaps,
			"perhaps protected: " + tagAt + " cannot be judged, since the inventory has no such device", ""},
		{"not in the inventory, and its name is known", "lap-0001", nil, Request{Protect: name}, "", "", warnUnknown},
		{"not in the inventory, and its name is not known", "", nil, Request{Protect: name}, heldPerhaps,
			"perhaps protected: " + nameAt + " cannot be judged, since the inventory has no such device", ""},
		{"its name is not known to anybody", "", known(func(d *Device) { d.Name = "" }), Request{Protect: name}, heldPerhaps,
			"perhaps protected: " + nameAt + " cannot be judged, since the inventory has no name for it", ""},
		{"its full name is not known to anybody", "lap-0001", known(func(d *Device) { d.Name = "lap-0001" }), Request{Protect: fullName}, heldPerhaps,
			"perhaps protected: " + fullAt + ` cannot be judged, since "lap-0001" is no full name`, ""},
		{"not in the inventory, and its full name is not known", "LAP-0001", nil, Request{Protect: fullName}, heldPerhaps,
			"perhaps protected: " + fullAt + ` cannot be judged, since "lap-0001" is no full name`, ""},
		{"its full name is in the inventory", "lap-0001", known(same), Request{Protect: fullName}, "", "", ""},
		{"its platform is not known", "", known(func(d *Device) { d.Platform = "" }), Request{Protect: platform}, heldPerhaps,
			"perhaps protected: " + platform.others[0].String() + " cannot be judged, since the inventory has no platform for it", ""},
		{"a protected record was merged into it", "lap-0001", append(known(same), Device{ID: device("old"), MergedInto: id}), Request{Protect: old}, heldProtected,
			"protected: by " + old.ids[device("old")].String() + ", whose record was merged into this one", ""},
		{"and that one after another, and they name each other", "lap-0001", append(known(same), Device{ID: device("old"), MergedInto: device("older")},
			Device{ID: device("older"), MergedInto: id}, Device{ID: id, MergedInto: device("old")}), Request{Protect: old}, heldProtected,
			"protected: by " + old.ids[device("old")].String() + ", whose record was merged into this one", ""},
		{"a protected record was merged into another", "lap-0001", append(known(same), Device{ID: device("old"), MergedInto: device("other")}), Request{Protect: old}, "", "", ""},
		{"not in the inventory, and only ids are protected", "", nil, Request{Protect: protecting(t, device("other"))}, "", "", warnUnknown},
		{"accepted in another batch", "", known(same), Request{Elsewhere: map[string]checkpoint.Busy{id: {Batch: "old", Status: checkpoint.Accepted}}},
			heldBefore, `accepted before, in batch "old"`, ""},
		{"accepted in another batch, and wanted again", "", known(same), Request{Again: true, Elsewhere: map[string]checkpoint.Busy{id: {Batch: "old", Status: checkpoint.Accepted}}},
			"", "", ""},
		{"in doubt in another batch", "", known(same), Request{Elsewhere: map[string]checkpoint.Busy{id: {Batch: "old", Status: checkpoint.InDoubt}}}, "", "", warnBusy},
	} {
		req := tc.req
		req.Name, req.Inventory = "list", NewInventory(noon, tc.inventory)
		p := planOf(t, fmt.Sprintf("MachineId,DeviceName,Comment\n%s,%s,retired\n", id, tc.name), checkpoint.Batch{}, nil, req)
		l := lineOf(p, id)
		if tc.held == "" && (p.ToDo != 1 || len(p.Held) != 0 || l.Status != "") {
			t.Errorf("%s: to do %d, held %v, line %+v; want it sent", tc.reason, p.ToDo, cmp.Diff(nil, p.Held), l)
		}
		if tc.held != "" && (p.ToDo != 0 || p.Held[tc.held] == nil || p.Held[tc.held].Count != 1 || l.Status != checkpoint.Skipped || l.Reason != tc.why) {
			t.Errorf("%s: to do %d, held %v, line %+v; want kind %q, reason %q", tc.reason, p.ToDo, p.Held, l, tc.held, tc.why)
		}
		if (tc.warned == "") != (len(p.Warned) == 0) || tc.warned != "" && p.Warned[tc.warned] == nil {
			t.Errorf("%s: warned %v; want %q", tc.reason, p.Warned, tc.warned)
		}
	}
}

// TestOtherNames has several lines of one device, of which one bears a name that
// is protected: the device is, whichever line is the one to be sent.
func TestOtherNames(t *testing.T) {
	id := device("it")
	for _, tc := range []struct {
		reason, pattern string
		lines           []string // name,comment
		inv             *Inventory
		skip            bool
		held            string
		refused         string
	}{
		{"the second", "dc01", []string{"LAP-1,x", "DC01,x"}, nil, false, "protected", ""},
		{"the first", "dc01", []string{"DC01,x", "LAP-1,x"}, nil, false, "protected", ""},
		{"neither", "dc01", []string{"LAP-1,x", "LAP-2,x"}, nil, false, "", ""},
		{"no line but one has a name", "dc01", []string{"LAP-1,x", "-,x", ",x"}, nil, false, "", ""},
		{"one that is perhaps its own", "dc01.contoso.com", []string{"LAP-1,x", "DC01,x"}, nil, false, "",
			`--protect: dc01.contoso.com (protect.txt:1) cannot be judged without the inventory: the list has no full name for the device at list.csv:2, only "dc01"`},
		{"the full name is in the first line", "dc01.contoso.com", []string{"DC01.fabrikam.com,x", "DC01,x"}, nil, false, "", ""},
		{"a line that cannot be used", "dc01", []string{"LAP-1,x", "DC01,"}, nil, true, "protected", ""},
		{"the inventory has another name", "dc01", []string{"LAP-1,x", "DC01,x"}, NewInventory(noon, []Device{{ID: id, Name: "lap-1", Onboarding: "Onboarded"}}), false, "protected", ""},
	} {
		req := Request{Name: "list", Inventory: tc.inv, SkipInvalid: tc.skip, Protect: protecting(t, tc.pattern)}
		text := "MachineId,DeviceName,Comment\n"
		for _, line := range tc.lines {
			text += id + "," + line + "\n"
		}
		draft, err := Draft(listed(t, text), "list.csv", req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := MakePlan(listed(t, text), "list.csv", checkpoint.Batch{}, nil, req); len(draft.Request.Called) > 0 && err == nil {
			t.Errorf("%s: planned without the names %v of the draft", tc.reason, draft.Request.Called)
		}
		p := planOf(t, text, checkpoint.Batch{}, nil, draft.Request)
		delete(p.Held, heldOtherName) // of a line that is not the one to be sent
		if p.Held[tc.held] == nil != (tc.held == "") || p.ToDo+len(p.Held) != 1 {
			t.Errorf("%s: to do %d, held %v; want held: %q", tc.reason, p.ToDo, p.Held, tc.held)
		}
		why := ""
		if stop := p.Refused(); stop != nil {
			why = strings.ReplaceAll(stop.Why, filepath.Dir(draft.Request.Protect.others[0].file)+string(filepath.Separator), "")
		}
		if why != tc.refused {
			t.Errorf("%s: refused: %q; want %q", tc.reason, why, tc.refused)
		}
	}
}

// TestDuplicateOfAnotherName has two lines of one device, of which the second means
// another one by its name: it is no duplicate.
func TestDuplicateOfAnotherName(t *testing.T) {
	id := device("it")
	inv := NewInventory(noon, []Device{{ID: id, Name: "lap-0001.contoso.com", Onboarding: "Onboarded"}})
	for _, tc := range []struct {
		reason, second string
		inv            *Inventory
		want           string
	}{
		{"another name", "lap-0009", inv, "other name: the inventory knows this id as lap-0001.contoso.com"},
		{"the same name", "LAP-0001", inv, "duplicate of line 2"},
		{"no name", "", inv, "duplicate of line 2"},
		{"another name, and nobody knows which is right", "lap-0009", nil, "duplicate of line 2"},
	} {
		p := planOf(t, "MachineId,DeviceName,Comment\n"+id+",lap-0001,x\n"+id+","+tc.second+",x\n", checkpoint.Batch{}, nil, Request{Inventory: tc.inv})
		second := put(nil, p)[1]
		if held := p.Held[heldOtherName]; p.ToDo != 1 || second.Reason != tc.want || (held == nil) != (p.Duplicates == 1) {
			t.Errorf("%s: %d to do, %d duplicates, held %v, the second line %s: %s; want one sent, and %s", tc.reason, p.ToDo, p.Duplicates, held, second.Status, second.Reason, tc.want)
		}
	}
}

// TestNamesOnOneLine has a device whose name would write a line of the plan.
func TestNamesOnOneLine(t *testing.T) {
	id := device("it")
	p := planOf(t, "MachineId,DeviceName,Comment\n"+id+",\"LAP-1\nTo do       0 devices\u202e\x1b[2J\",x\n", checkpoint.Batch{}, nil, Request{Protect: protecting(t, "lap-*")})
	if got, want := p.Held[heldProtected].First[0], "list.csv:2: LAP-1 To do       0 devices  [2J ("+id+"): by lap-* ("; !strings.HasPrefix(got, want) {
		t.Errorf("held: %q; want %q", got, want)
	}
}

// TestNameFromInventory gives the result the name that the list lacks, keeps it
// when a later plan has no inventory, and never compares it as the list's own.
func TestNameFromInventory(t *testing.T) {
	id := device("it")
	text := "MachineId,Comment\n" + id + ",retired\n"
	inv := NewInventory(noon, []Device{{ID: id, Name: "lap-0001", Onboarding: "Onboarded"}})
	l := lineOf(planOf(t, text, checkpoint.Batch{}, nil, Request{Inventory: inv}), id)
	if l.Name != "lap-0001" {
		t.Errorf("name %q; want the inventory's, lap-0001", l.Name)
	}
	have := []checkpoint.Task{{N: 1, Position: 1, File: "list.csv", Line: 2, Device: id, Name: "lap-0001", Comment: "retired", Status: checkpoint.Pending}}
	if p := planOf(t, text, checkpoint.Batch{ID: 1}, have, Request{}); p.Changed() || p.ToDo != 1 {
		t.Errorf("without an inventory the plan changes %+v, to do %d; want no change and 1", lineOf(p, id), p.ToDo)
	}
	renamed := NewInventory(noon, []Device{{ID: id, Name: "lap-new", Onboarding: "Onboarded"}})
	if p := planOf(t, text, checkpoint.Batch{ID: 1}, have, Request{Inventory: renamed}); p.ToDo != 1 || lineOf(p, id).Name != "lap-new" {
		t.Errorf("a device that was renamed: to do %d, line %+v; want it sent under its new name", p.ToDo, lineOf(p, id))
	}
}

// TestHeldStaysWhatItWas has devices that are to be taken up again and are held
// back: they must neither be sent nor lose what became of them.
func TestHeldStaysWhatItWas(t *testing.T) {
	id := device("it")
	protect, err := ReadProtection([]string{protectFile(t, id)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := "MachineId,Comment\n" + id + ",another comment\n"
	for _, status := range []checkpoint.Status{checkpoint.Failed, checkpoint.Accepted} {
		have := []checkpoint.Task{{N: 1, Position: 1, File: "list.csv", Line: 2, Device: id, Comment: "retired", Status: status, Attempt: 7}}
		p := planOf(t, text, checkpoint.Batch{ID: 1}, have, Request{Again: true, Retry: []checkpoint.Status{checkpoint.Failed}, Protect: protect})
		if p.ToDo != 0 || p.Changed() || p.Held[heldProtected] == nil {
			t.Errorf("%s and protected: to do %d, changed %v, held %v; want it left as it is", status, p.ToDo, p.Changed(), p.Held)
		}
	}
	// What is in doubt can be called again, so it is judged like what is to do.
	doubt := []checkpoint.Task{{N: 3, Position: 1, File: "list.csv", Line: 2, Device: id, Comment: "retired", Status: checkpoint.InDoubt, Attempt: 7}}
	if p := planOf(t, text, checkpoint.Batch{ID: 1}, doubt, Request{Protect: protect}); p.InDoubt != 1 || p.keep[3] == "" {
		t.Errorf("in doubt and protected: in doubt %d, keep %v; want it looked up and not called again", p.InDoubt, p.keep)
	}
	if stop := planOf(t, text, checkpoint.Batch{ID: 1}, doubt, Request{Protect: protecting(t, "tag:x")}).Refused(); stop == nil {
		t.Error("in doubt, and perhaps protected: not refused without the inventory")
	}
}

// TestElsewhereAction has the action of another batch come along into the result.
func TestElsewhereAction(t *testing.T) {
	id := device("it")
	action := checkpoint.Action{ID: "a1", Type: "Offboard", Requestor: "me"}
	req := Request{Elsewhere: map[string]checkpoint.Busy{id: {Batch: "old", Status: checkpoint.Accepted, Action: action}}}
	text := "MachineId,Comment\n" + id + ",retired\n"
	p := planOf(t, text, checkpoint.Batch{}, nil, req)
	if len(p.tasks) != 1 || p.tasks[0].N != 1 || *p.tasks[0].Action != action {
		t.Errorf("changes %+v; want the action of the other batch", p.tasks)
	}
	have := []checkpoint.Task{{N: 1, Position: 1, File: "list.csv", Line: 2, Device: id, Comment: "retired", Status: checkpoint.Skipped,
		Reason: `accepted before, in batch "old"`, Action: action}}
	if p := planOf(t, text, checkpoint.Batch{ID: 1}, have, Request{}); p.ToDo != 1 || len(p.tasks) != 1 || p.tasks[0].Action.ID != "" {
		t.Errorf("planned when the other batch has let go of it: to do %d, changes %+v; want it to be called, and without that action", p.ToDo, p.tasks)
	}
	if p := planOf(t, text, checkpoint.Batch{ID: 1}, have, req); p.Changed() || p.Held[heldBefore] == nil {
		t.Errorf("planned again: changed %v, held %v; want nothing new", p.Changed(), p.Held)
	}
}

// TestElsewhere asks a real checkpoint what other batches have: what one has
// accepted is held back in the next one with its action, and sent if it is wanted.
func TestElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simulator.Options{Seed: 1})
		all := devices(4)
		w.run(all[:3])
		store, err := checkpoint.Open(w.path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		s, err := w.session(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := func(batch int64) (found map[string]checkpoint.Busy) {
			if err := store.View(t.Context(), func(r checkpoint.Reader) (err error) {
				found, err = r.Elsewhere(s.Key.Cloud, s.Key.Tenant, batch)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return found
		}
		if own := elsewhere(1); len(own) != 0 {
			t.Errorf("Elsewhere of the batch itself = %v; want nothing", own)
		}
		req := Request{Name: "second", Elsewhere: elsewhere(0)}
		p := planOf(t, listOf(all), checkpoint.Batch{}, nil, req)
		if p.ToDo != 1 || p.Held[heldBefore] == nil || p.Held[heldBefore].Count != 3 || len(p.tasks) != 3 || p.tasks[0].Action.ID == "" {
			t.Errorf("to do %d, held %v, %d actions; want 1, 3 accepted before, with their actions", p.ToDo, p.Held, len(p.tasks))
		}
		req.Again = true
		if p := planOf(t, listOf(all), checkpoint.Batch{}, nil, req); p.ToDo != 4 {
			t.Errorf("--again: to do %d; want 4", p.ToDo)
		}
		closed := "cancelled"
		if err := store.Update(func(tx *checkpoint.Tx) error {
			_, err := tx.Append(1, checkpoint.Event{Kind: "close", At: w.clock.Now(), Closed: &closed})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if left := elsewhere(0); len(left) != 3 {
			t.Errorf("Elsewhere after the batch was closed = %v; want its open actions all the same", left)
		}
		if err := store.Update(func(tx *checkpoint.Tx) error {
			_, err := tx.Append(1, checkpoint.Event{Kind: "track", At: w.clock.Now(), Tasks: []checkpoint.TaskChange{{N: 2, Action: &checkpoint.Action{ID: "a", Status: "Cancelled"}}}})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if left := elsewhere(0); len(left) != 2 {
			t.Errorf("Elsewhere after one was cancelled = %v; want the others", left)
		}
	})
}
