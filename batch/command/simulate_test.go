package command

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch/simulator"
)

// TestVariablesQuoted: the files of variables are taken over as they are, whatever
// the folder is called.
func TestVariablesQuoted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Anna's  ‘simulator’ $HOME")
	if code, _, stderr := called(t, nil, "simulate", "--dir", dir); code != 0 {
		t.Fatalf("simulate ended with %d\n%s", code, stderr)
	}
	ca := filepath.Join(dir, "ca.pem")
	want := "$env:MDE_OFFBOARD_CA_FILE = '" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’").Replace(ca) + "'\n"
	if got := fileText(t, filepath.Join(dir, "env.ps1")); !strings.Contains(got, want) {
		t.Errorf("env.ps1 has\n%s; want %s", got, want)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("needs sh")
	}
	cmd := exec.Command(sh, "-c", `. ./env; printf %s "$MDE_OFFBOARD_CA_FILE"`)
	cmd.Dir = dir
	if got, err := cmd.CombinedOutput(); err != nil || string(got) != ca {
		t.Errorf("sh took %q over (%v); want %q", got, err, ca)
	}
}

// TestTotals: what a simulator says of its books at the end fits a screen, and names
// what is wrong.
func TestTotals(t *testing.T) {
	b := simulator.Books{PerMinute: 100, Minute: time.Minute, PerHour: 1500, Hour: time.Hour, Devices: map[string]*simulator.DeviceBook{},
		Calls: map[string]*simulator.KindBook{
			"offboard": {Calls: 702, ByStatus: map[string]int{"201": 690, "404": 10, "lost": 2}, DensestMinute: 100, DensestHour: 702},
			"token":    {Calls: 1, ByStatus: map[string]int{"200": 1}},
			"all":      {Calls: 702, DensestMinute: 100, DensestHour: 702}},
		Foreign: []string{"GET https://elsewhere/"}}
	for i := range 700 {
		id := fmt.Sprintf("%040x", i)
		b.Devices[id] = &simulator.DeviceBook{Actions: []string{"a"}, Cancelled: i % 2}
		if i < 7 {
			b.Devices[id].Actions = append(b.Devices[id].Actions, "b")
			b.Doubled = append(b.Doubled, id)
		}
	}
	const want = `SIMULATED books, with a quota of 100 calls in 1m0s and 1500 in 1h0m
Calls       all: 702, densest minute 100, densest hour 702
            offboard: 702, densest minute 100, densest hour 702; answers 201: 690, 404: 10, lost: 2
            token: 1; answers 200: 1
Devices     700 called, 707 actions made, 350 cancelled
Doubled     7 devices with two actions
            0000000000000000000000000000000000000000
            0000000000000000000000000000000000000001
            0000000000000000000000000000000000000002
            0000000000000000000000000000000000000003
            0000000000000000000000000000000000000004
            … and 2 more
Faults      none
            1 sent to another host: 0 with a token
`
	said := &strings.Builder{}
	a := &app{Env: Env{Stdout: said}}
	a.answer(func() { a.sayTotals(b) })
	if said.String() != want {
		t.Errorf("said\n%s; want\n%s", said, want)
	}
}

// TestBooksInWhole are to be had where they are asked for, and are not on the screen.
func TestBooksInWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "books.json")
	code, stdout, stderr := called(t, nil, "simulate", "--books", file)
	if code != 0 || !strings.Contains(stdout, "\nSIMULATED books, ") || strings.Contains(stdout, "{") || !strings.Contains(fileText(t, file), `"devices": {}`) {
		t.Errorf("simulate ended with %d and said\n%s%s; want the totals, and the books in the file", code, stdout, stderr)
	}
}
