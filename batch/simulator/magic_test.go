package simulator

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestMagicIDs(t *testing.T) {
	for _, test := range []struct {
		prefix string
		status int // 0: the connection is lost
		code   string
	}{
		{"dead0208", 200, ""},
		{"dead0400", 400, "OsPlatformNotSupported"},
		{"dead0403", 403, "Forbidden"},
		{"dead0404", 404, "ResourceNotFound"},
		{"dead0409", 400, "ActiveRequestAlreadyExists"},
		{"dead0410", 400, "ActiveRequestAlreadyExists"},
		{"dead0426", 400, "ClientVersionNotSupported"},
		{"dead0500", 500, "InternalServerError"},
		{"dead0502", 0, ""},
		{"dead0ff1", 200, ""},
		{"dead713e", 200, ""},
		{"deadca11", 200, ""},
		{"deadfa11", 200, ""},
		{"deadbeef", 200, ""},
	} {
		id := strings.ToUpper(test.prefix) + device[8:]
		for _, o := range []Options{{AnyDevice: true}, {Machines: []Machine{{ID: id}}}} {
			o.Success = 200
			g := newServer(t, o).client(t).offboard(id)
			if g.status != test.status || g.code != test.code || (g.err != nil) != (test.status == 0) {
				t.Errorf("offboard(%s…), any device %t = %d %q, %v; want %d %q", test.prefix, o.AnyDevice, g.status, g.code, g.err, test.status, test.code)
			}
		}
	}
}

func TestMagicPastIsVisible(t *testing.T) {
	for _, test := range []struct{ prefix, kind, status string }{
		{"dead0208", "Offboard", Succeeded},
		{"dead0409", "Offboard", Pending},
		{"dead0410", "Isolate", Pending},
	} {
		id := test.prefix + device[8:]
		c := newServer(t, Options{Machines: []Machine{{ID: id, ComputerDNSName: "old.example.com"}}}).client(t)
		g := c.actions(fmt.Sprintf("machineId eq '%s'", id))
		if len(g.value) != 1 || g.value[0]["type"] != test.kind || g.value[0]["status"] != test.status || g.value[0]["computerDnsName"] != "old.example.com" {
			t.Errorf("actions of %s… = %v; want one %s, %s", test.prefix, g.value, test.kind, test.status)
		}
	}
	c := newServer(t, Options{Machines: []Machine{{ID: "dead0404" + device[8:]}}}).client(t)
	if g := c.get("/api/machines/dead0404" + device[8:]); g.status != 404 {
		t.Errorf("GET of a machine that is not found for good = %d; want 404", g.status)
	}
}

// The package comment is where people look for the ids.
func TestMagicIDsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for prefix, does := range MagicIDs() {
		if !strings.Contains(string(text), "//\t"+prefix+"  "+does+"\n") {
			t.Errorf("doc.go does not say %s  %s", prefix, does)
		}
	}
}

func TestFaultsAreDocumented(t *testing.T) {
	words := strings.FieldsFunc(FaultHelp(), func(r rune) bool { return strings.ContainsRune(" ,\t\n=", r) })
	for _, name := range FaultNames() {
		if !slices.Contains(words, name) {
			t.Errorf("the table in doc.go does not name the fault %s", name)
		}
	}
	if slices.Contains(words, "deadfa11") || slices.Contains(words, "//") {
		t.Errorf("FaultHelp() = %s\nwant the table of the faults alone", FaultHelp())
	}
}
