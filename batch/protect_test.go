package batch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

// protectFile writes a protect file and returns its path.
func protectFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "protect.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProtection(t *testing.T) {
	const id = "d47fbcac0d737d0472e11432e0f43692293e8138"
	server := &Device{Name: "SRV-0004.contoso.com", Platform: "WindowsServer2019", Group: "Tier 0/DC", Tags: []string{"decom", "Crown Jewels"}}
	for _, tc := range []struct {
		reason  string
		pattern string
		id      string
		name    string
		device  *Device
		want    bool
	}{
		{"an id", id, id, "", nil, true},
		{"an id in upper case", strings.ToUpper(id), id, "", nil, true},
		{"another id", id, device("other"), "", nil, false},
		{"a name in the list, without case", "srv-0004", id, "SRV-0004", nil, true},
		{"a short pattern, a full name", "srv-0004", id, "srv-0004.contoso.com", nil, true},
		{"a full pattern, a short name", "srv-0004.contoso.com", id, "srv-0004", nil, false},
		{"the inventory has the full name", "srv-0004.contoso.com", id, "srv-0004", server, true},
		{"a list's name that is made up does not hide the inventory's", "srv-*", id, "lap-0001", server, true},
		{"a wildcard at the end", "srv-*", id, "srv-0004", nil, true},
		{"a wildcard in the middle", "srv-*4", id, "srv-0004", nil, true},
		{"a wildcard for one character", "srv-000?", id, "srv-0004", nil, true},
		{"a pattern is the whole name", "srv", id, "srv-0004", nil, false},
		{"a domain", "*.contoso.com", id, "srv-0004.contoso.com", nil, true},
		{"a domain before the name", "srv-0004", id, `CONTOSO\SRV-0004$`, nil, true},
		{"everything", "*", id, "srv-0004", nil, true},
		{"everything, but nothing is known", "*", id, "", nil, false},
		{"a bracket is no class", "srv-[0]004", id, "srv-0004", nil, false},
		{"a tag", "tag:crown jewels", id, "", server, true},
		{"a tag with a wildcard", "TAG: crown*", id, "", server, true},
		{"a tag is no name", "decom", id, "", server, false},
		{"a group with a slash", "group:tier 0/*", id, "", server, true},
		{"a platform", "os:WindowsServer*", id, "", server, true},
		{"another platform", "os:Windows11", id, "", server, false},
		{"a tag of a device that the inventory does not have", "tag:*", id, "srv-0004", nil, false},
		{"a comment", "# srv-*", id, "srv-0004", nil, false},
		{"a comment behind spaces", " \t # srv-*", id, "srv-0004", nil, false},
		{"a tag with # in it", "tag:Tier #0", id, "", &Device{Tags: []string{"Tier #0"}}, true},
		{"a tag with # in it is that tag alone", "tag:Tier #0", id, "", &Device{Tags: []string{"Tier"}}, false},
		{"a group with # in it", "group:Servers #1", id, "", &Device{Group: "servers #1"}, true},
		{"a tag that begins with #", "tag:#keep", id, "", &Device{Tags: []string{"#keep"}}, true},
	} {
		p, err := ReadProtection([]string{protectFile(t, "\r\n"+tc.pattern+"\r\n")})
		if err != nil {
			t.Errorf("%s: ReadProtection(%q) = %v", tc.reason, tc.pattern, err)
			continue
		}
		if got := p.Covers(tc.id, tc.name, tc.device); (got != "") != tc.want {
			t.Errorf("%s: pattern %q: Covers(%q, %q, %+v) = %q; want covered %v", tc.reason, tc.pattern, tc.id, tc.name, tc.device, got, tc.want)
		}
	}
}

// TestProtectionWrong has all wrong lines of a file named at once.
func TestProtectionWrong(t *testing.T) {
	path := protectFile(t, strings.Join([]string{
		"srv-*", "role:dc", "tag:", "d47fbcac0d737d0472e11432e0f43692293e813", "0f0e28ac-9de0-55d7-8adf-a57d1bffb643",
		"srv-0004,keep", "Ger\xe4t", "lap-1", "srv-* # servers"}, "\n"))
	_, err := ReadProtection([]string{path, path + ".missing"})
	if err == nil || !strings.Contains(err.Error(), "protect.txt.missing") {
		t.Errorf("ReadProtection of a file that is not there = %v; want its name", err)
	}
	_, err = ReadProtection([]string{path})
	if err == nil {
		t.Fatal("ReadProtection took wrong lines")
	}
	want := strings.ReplaceAll(strings.Join([]string{
		`PATH:2: "role:dc" is no pattern: only tag:, group: and os: may stand before a colon`,
		`PATH:3: "tag:" names nothing`,
		`PATH:4: "d47fbcac0d737d0472e11432e0f43692293e813" has 39 hexadecimal characters, a device id has 40`,
		`PATH:5: "0f0e28ac-9de0-55d7-8adf-a57d1bffb643" is a GUID, as Intune and Entra use them; a device is protected by its Defender id (40 hexadecimal characters) or its name`,
		`PATH:6: "srv-0004,keep" is neither an id nor a name: the file has one pattern a line, and no columns`,
		`PATH:7: "Ger\xe4t" is not valid UTF-8: save the file as UTF-8`,
		`PATH:9: "srv-* # servers" is neither an id nor a name: a comment has a line of its own, which begins with #`}, "\n"), "PATH", path)
	if err.Error() != want {
		t.Errorf("ReadProtection = %v; want %v", err, want)
	}
}

// TestProtectionUTF16 reads what PowerShell's > writes.
func TestProtectionUTF16(t *testing.T) {
	text, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("srv-*\r\n")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ReadProtection([]string{protectFile(t, text)})
	if err != nil || p.Covers("", "srv-1", nil) == "" {
		t.Errorf("ReadProtection of UTF-16 = %+v, %v; want srv-* to be read", p, err)
	}
}

// TestProtectionIdle names the patterns that match nothing, which may be misspelt.
func TestProtectionIdle(t *testing.T) {
	path := protectFile(t, "lap-*\nsvr-*\nos:windows*\ntag:x\n"+device("a")+"\n"+device("b"))
	p, err := ReadProtection([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	inv := NewInventory(noon, []Device{{ID: device("a"), Name: "lap-1", Platform: "Windows11"}})
	want := []string{device("b") + " (" + path + ":6)", "svr-* (" + path + ":2)", "tag:x (" + path + ":4)"}
	if got := p.Idle(inv); !slices.Equal(got, want) {
		t.Errorf("Idle = %q; want %q", got, want)
	}
	if got := p.Idle(nil); got != nil {
		t.Errorf("Idle without an inventory = %q; want none", got)
	}
}

func TestUnjudged(t *testing.T) {
	for _, tc := range []struct {
		reason, pattern          string
		named, inInventory, want bool
	}{
		{"an id is in every list", "d47fbcac0d737d0472e11432e0f43692293e8138", false, false, false},
		{"a name, and the list has it", "srv-*", true, false, false},
		{"a name, and the list lacks it", "srv-*", false, false, true},
		{"a name that the inventory lacks, too", "srv-*", false, true, true},
		{"a tag", "tag:x", true, false, true},
		{"a group", "group:x", true, false, true},
		{"a platform", "os:x", true, false, true},
		{"a tag, and the inventory has the device", "tag:x", false, true, false},
	} {
		if _, got := protecting(t, tc.pattern).unjudged(tc.named, tc.inInventory); got != tc.want {
			t.Errorf("%s: unjudged(%v, %v) with %q = %v; want %v", tc.reason, tc.named, tc.inInventory, tc.pattern, got, tc.want)
		}
	}
	if _, got := (*Protection)(nil).unjudged(false, false); got {
		t.Error("no protection leaves something open")
	}
}
