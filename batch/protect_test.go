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
	bare := &Device{Name: "srv-0004"}
	for _, tc := range []struct {
		reason  string
		pattern string
		names   string // of its lines, with spaces between them
		device  *Device
		want    answer
	}{
		{"an id", id, "", nil, yes},
		{"an id in upper case", strings.ToUpper(id), "", nil, yes},
		{"an id with what was copied with it", "\u00a0" + id + "\u200b", "", nil, yes},
		{"an id after a second byte order mark", "\ufeff" + id, "", nil, yes},
		{"another id", device("other"), "", nil, no},
		{"a name in the list, without case", "srv-0004", "SRV-0004", nil, yes},
		{"a short pattern, a full name", "srv-0004", "srv-0004.contoso.com", nil, yes},
		{"a full pattern, a short name", "srv-0004.contoso.com", "srv-0004", nil, open},
		{"a full pattern, another short name", "srv-0004.contoso.com", "srv-00041", nil, no},
		{"a full pattern, another domain", "srv-0004.contoso.com", "srv-0004.fabrikam.com", nil, no},
		{"a full pattern with a wildcard, a short name", "srv-*.contoso.com", "srv-0004", nil, open},
		{"a full pattern with a wildcard, another short name", "srv-*.contoso.com", "lap-0004", nil, no},
		{"a wildcard that may stand for the dot", "srv*.com", "srv-0004", nil, open},
		{"a domain, a short name", "*.contoso.com", "srv-0004", nil, open},
		{"a domain after a backslash is no full name", "srv-0004.contoso.com", `CONTOSO\SRV-0004`, nil, open},
		{"the inventory has the full name", "srv-0004.contoso.com", "srv-0004", server, yes},
		{"the inventory has the full name, and it is another", "srv-0004.fabrikam.com", "srv-0004", server, no},
		{"the inventory has the short name alone", "srv-0004.contoso.com", "", bare, open},
		{"the list has the full name", "srv-0004.fabrikam.com", "srv-0004.contoso.com", bare, no},
		{"the full name of something else", "srv-0004.contoso.com", "lap-0001.contoso.com", bare, open},
		{"a list's name that is made up does not hide the inventory's", "srv-*", "lap-0001", server, yes},
		{"nor does one line's name hide another's", "srv-*", "lap-0001 srv-0004", nil, yes},
		{"a wildcard at the end", "srv-*", "srv-0004", nil, yes},
		{"a wildcard in the middle", "srv-*4", "srv-0004", nil, yes},
		{"a wildcard for one character", "srv-000?", "srv-0004", nil, yes},
		{"a pattern is the whole name", "srv", "srv-0004", nil, no},
		{"a domain", "*.contoso.com", "srv-0004.contoso.com", nil, yes},
		{"a domain before the name", "srv-0004", `CONTOSO\SRV-0004$`, nil, yes},
		{"a domain before the pattern", `CONTOSO\SRV-0004`, "srv-0004.contoso.com", nil, yes},
		{"the account of a computer", "SRV-0004$", "srv-0004", nil, yes},
		{"a dot behind the pattern", "srv-0004.contoso.com.", "SRV-0004.contoso.com", nil, yes},
		{"a name with what was copied with it", "srv-0004", "srv-0004\u200b", nil, yes},
		{"everything", "*", "srv-0004", nil, yes},
		{"everything, but nothing is known", "*", "", nil, open},
		{"a name, and nothing is known", "srv-*", "", &Device{}, open},
		{"what stands for no name", "srv-*", "-", nil, open},
		{"what programs write for no name", "srv-*", "N/A", nil, open},
		{"a bracket is no class", "srv-[0]004", "srv-0004", nil, no},
		{"a tag", "tag:crown jewels", "", server, yes},
		{"a tag with a wildcard", "TAG: crown*", "", server, yes},
		{"a tag is no name", "decom", "", server, no},
		{"a tag that it does not have", "tag:x", "", server, no},
		{"no tag, and that is known", "tag:*", "", bare, no},
		{"a group with a slash", "group:tier 0/*", "", server, yes},
		{"no group, and that is known", "group:tier*", "", bare, no},
		{"a platform", "os:WindowsServer*", "", server, yes},
		{"another platform", "os:Windows11", "", server, no},
		{"a platform that is not known", "os:WindowsServer*", "", bare, open},
		{"a tag of a device that the inventory does not have", "tag:*", "srv-0004", nil, open},
		{"a group of one", "group:x", "srv-0004", nil, open},
		{"a platform of one", "os:x", "srv-0004", nil, open},
		{"a comment", "# srv-*\nx", "srv-0004", nil, no},
		{"a comment behind spaces", " \t # srv-*\nx", "srv-0004", nil, no},
		{"a tag with # in it", "tag:Tier #0", "", &Device{Tags: []string{"Tier #0"}}, yes},
		{"a tag with # in it is that tag alone", "tag:Tier #0", "", &Device{Tags: []string{"Tier"}}, no},
		{"a group with # in it", "group:Servers #1", "", &Device{Group: "servers #1"}, yes},
		{"a tag that begins with #", "tag:#keep", "", &Device{Tags: []string{"#keep"}}, yes},
		{"a tag with a joiner in it", "tag:\U0001f469\u200d\U0001f4bb", "", &Device{Tags: []string{"\U0001f469\u200d\U0001f4bb"}}, yes},
		{"one is open, and another one protects", "srv-0004.contoso.com\ntag:x\nsrv-*", "srv-0004", nil, yes},
	} {
		p, err := ReadProtection([]string{protectFile(t, "\r\n"+tc.pattern+"\r\n")}, nil)
		if err != nil {
			t.Errorf("%s: ReadProtection(%q) = %v", tc.reason, tc.pattern, err)
			continue
		}
		names := strings.Fields(tc.names)
		if tc.device != nil {
			names = append(names, tc.device.Name)
		}
		if got, at, short := p.judge(id, names, tc.device); got != tc.want {
			t.Errorf("%s: pattern %q: judge(%q, %+v) = %d by %v, %q; want %d", tc.reason, tc.pattern, names, tc.device, got, at, short, tc.want)
		}
	}
	if got, _, _ := (*Protection)(nil).judge(id, nil, nil); got != no {
		t.Errorf("no protection answers %d", got)
	}
}

// TestProtectionWrong has all wrong lines of a file named at once.
func TestProtectionWrong(t *testing.T) {
	path := protectFile(t, strings.Join([]string{
		"srv-*", "role:dc", "tag:", "d47fbcac0d737d0472e11432e0f43692293e813", "0f0e28ac-9de0-55d7-8adf-a57d1bffb643",
		"srv-0004,keep", "Ger\xe4t", "lap-1", "srv-* # servers", "srv-1\tkeep", "tag:a\vtag:b",
		"'d47fbcac0d737d0472e11432e0f43692293e8138", "d47fbcac0d737d0472e1 1432e0f43692293e8138", "d47fbcac0d737d0472e11432e0f43692293e8138 dc01",
		".contoso.com", `CONTOSO\`}, "\n"))
	_, err := ReadProtection([]string{path, path + ".missing"}, nil)
	if err == nil || !strings.Contains(err.Error(), "protect.txt.missing") {
		t.Errorf("ReadProtection of a file that is not there = %v; want its name", err)
	}
	_, err = ReadProtection([]string{path}, nil)
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

// covers says whether a name alone makes a device protected.
func covers(p *Protection, name string) bool {
	a, _, _ := p.judge("", []string{name}, nil)
	return a == yes
}

// TestProtectionUTF16 reads what PowerShell's > writes.
func TestProtectionUTF16(t *testing.T) {
	text, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("srv-*\r\n")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ReadProtection([]string{protectFile(t, text)}, nil)
	if err != nil || !covers(p, "srv-1") {
		t.Errorf("ReadProtection of UTF-16 = %+v, %v; want srv-* to be read", p, err)
	}
}

// TestProtectionFile refuses files that would protect nothing.
func TestProtectionFile(t *testing.T) {
	for _, tc := range []struct{ reason, text, want string }{
		{"an empty one", "", "has no pattern, and protects nothing"},
		{"comments alone", "# srv-*\n\n", "has no pattern, and protects nothing"},
		{"UTF-16 that was cut", "\xff\xfes\x00r\x00v\x00-\x00*\x00\n", "ends in half a character of UTF-16: the file was cut, or a byte was added"},
		{"UTF-16 without a byte order mark", "s\x00r\x00v\x00\n\x00", "has NUL bytes: UTF-16 without a byte order mark, or no text at all"},
		{"a workbook", "PK\x03\x04", "a workbook or an archive, not a CSV file"},
		{"a character of no width", "srv-\u200b1", `"srv-\u200b1" has a character that is not seen: write the name anew`},
		{"encodings that are mixed", "Gerät\nGer\xe4t\n", `"Ger\xe4t" is not valid UTF-8: save the file as UTF-8`},
	} {
		path := protectFile(t, tc.text)
		if _, err := ReadProtection([]string{protectFile(t, "srv-*"), path}, nil); err == nil || !strings.HasSuffix(err.Error(), ": "+tc.want) || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: ReadProtection = %v; want %s", tc.reason, err, tc.want)
		}
	}
}

// TestProtectionCR has the line ends of old Macintosh files: what is not refused is
// read.
func TestProtectionCR(t *testing.T) {
	p, err := ReadProtection([]string{protectFile(t, "srv-1\rsrv-2\r")}, nil)
	if err == nil && !(covers(p, "srv-1") && covers(p, "srv-2")) {
		t.Errorf("ReadProtection = %+v; want both lines or a refusal", p.all)
	}
}

// TestProtectionIdle names the patterns that match nothing, which may be misspelt.
func TestProtectionIdle(t *testing.T) {
	path := protectFile(t, "lap-*\nsvr-*\nos:windows*\ntag:x\n"+device("a")+"\n"+device("b"))
	p, err := ReadProtection([]string{path}, nil)
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
