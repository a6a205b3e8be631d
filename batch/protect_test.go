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
		{"an id with what was copied with it", "\u00a0" + id + "\u200b", id, "", nil, true},
		{"an id after a second byte order mark", "\ufeff" + id, id, "", nil, true},
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
		{"a domain before the pattern", `CONTOSO\SRV-0004`, id, "srv-0004.contoso.com", nil, true},
		{"the account of a computer", "SRV-0004$", id, "srv-0004", nil, true},
		{"a dot behind the pattern", "srv-0004.contoso.com.", id, "SRV-0004.contoso.com", nil, true},
		{"a name with what was copied with it", "srv-0004", id, "srv-0004\u200b", nil, true},
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
		{"a comment", "# srv-*\nx", id, "srv-0004", nil, false},
		{"a comment behind spaces", " \t # srv-*\nx", id, "srv-0004", nil, false},
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
		"srv-0004,keep", "Ger\xe4t", "lap-1", "srv-* # servers", "srv-1\tkeep", "tag:a\vtag:b",
		"'d47fbcac0d737d0472e11432e0f43692293e8138", "d47fbcac0d737d0472e1 1432e0f43692293e8138", "d47fbcac0d737d0472e11432e0f43692293e8138 dc01",
		".contoso.com", `CONTOSO\`}, "\n"))
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
		`PATH:4: "d47fbcac0d737d0472e11432e0f43692293e813" has 39 characters, a device id has 40 (hexadecimal): 1 missing`,
		`PATH:5: "0f0e28ac-9de0-55d7-8adf-a57d1bffb643" is a GUID, as Intune and Entra use them, not a Defender device id (40 hexadecimal characters)`,
		`PATH:6: "srv-0004,keep" is neither an id nor a name: the file has one pattern a line, and no columns`,
		`PATH:7: "Gerät" is not valid UTF-8: save the file as UTF-8`,
		`PATH:9: "srv-* # servers" is neither an id nor a name: a comment has a line of its own, which begins with #`,
		`PATH:10: "srv-1\tkeep" has a tab or another control character: the file has one pattern a line, and no columns`,
		`PATH:11: "tag:a\vtag:b" has a tab or another control character: the file has one pattern a line, and no columns`,
		`PATH:12: "'d47fbcac0d737d0472e11432e0f43692293e8138" has '\'' at position 1, a device id has 40 hexadecimal characters (0-9, a-f)`,
		`PATH:13: "d47fbcac0d737d0472e1 1432e0f43692293e8138" has ' ' at position 21, a device id has 40 hexadecimal characters (0-9, a-f)`,
		`PATH:14: "d47fbcac0d737d0472e11432e0f43692293e8138 dc01" has an id and more: the file has one pattern a line, and nothing behind it`,
		`PATH:15: ".contoso.com" is the end of a name: *.contoso.com protects the devices of a domain`,
		`PATH:16: "CONTOSO\\" names nothing`}, "\n"), "PATH", path)
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

// TestProtectionFile refuses files that would protect nothing.
func TestProtectionFile(t *testing.T) {
	for _, tc := range []struct{ reason, text, want string }{
		{"an empty one", "", "the list is empty"},
		{"comments alone", "# srv-*\n\n", "has no pattern, and protects nothing"},
		{"UTF-16 without a byte order mark", "s\x00r\x00v\x00\n\x00", "has NUL bytes: UTF-16 without a byte order mark, or no text at all"},
		{"a workbook", "PK\x03\x04", "a workbook or an archive, not a CSV file"},
		{"a character of no width", "srv-\u200b1", `"srv-\u200b1" has a character that is not seen: write the name anew`},
		{"encodings that are mixed", "Gerät\nGer\xe4t\n", `"Ger\xe4t" is not valid UTF-8: save the file as UTF-8`},
	} {
		path := protectFile(t, tc.text)
		if _, err := ReadProtection([]string{protectFile(t, "srv-*"), path}); err == nil || !strings.HasSuffix(err.Error(), ": "+tc.want) || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: ReadProtection = %v; want %s", tc.reason, err, tc.want)
		}
	}
}

// TestProtectionCR has the line ends of old Macintosh files: what is not refused is
// read.
func TestProtectionCR(t *testing.T) {
	p, err := ReadProtection([]string{protectFile(t, "srv-1\rsrv-2\r")})
	if err == nil && (p.Covers("", "srv-1", nil) == "" || p.Covers("", "srv-2", nil) == "") {
		t.Errorf("ReadProtection = %+v; want both lines or a refusal", p.all)
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
