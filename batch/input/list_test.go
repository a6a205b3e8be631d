package input

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Ids for tests: A and B are Defender's, G is a GUID.
const (
	idA = "d47fbcac0d737d0472e11432e0f43692293e8138"
	idB = "fa81b7896d68eebabc9f06e00db2ec8355ce9991"
	idG = "0f0e28ac-9de0-55d7-8adf-a57d1bffb643"
)

// readAll reads a list to its end.
func readAll(r io.Reader, opt Options) (rows []Row, l *List, err error) {
	l, err = NewList("list.csv", r, opt)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	for {
		row, err := l.Next()
		if err == io.EOF {
			return rows, l, nil
		}
		if err != nil {
			return rows, l, err
		}
		rows = append(rows, *row)
	}
}

// short says of rows what the tables compare: line, id or kind of problem,
// name, comment, Entra id and what travels.
func short(rows []Row) (out []string) {
	for _, r := range rows {
		what := strings.NewReplacer(idA, "A", idB, "B").Replace(r.ID)
		if r.Problem != nil {
			what = fmt.Sprintf("%s@%d", r.Problem.Kind, r.Problem.Column)
		}
		out = append(out, fmt.Sprintf("%d %s|%s|%s|%s|%s", r.Line, what, r.Name, r.Comment, r.EntraID, strings.Join(r.Extra, "+")))
	}
	return out
}

func TestList(t *testing.T) {
	result := strings.Join(resultColumns, ",")
	for _, tc := range []struct {
		why  string
		in   string
		opt  Options
		want []string
	}{
		{"CRLF and LF end a row alike", "MachineId,Comment\r\n" + idA + ",x\n" + idB + ",y\r\n", Options{}, []string{"2 A||x||", "3 B||y||"}},
		{"CR alone ends one, too, all through the list", "MachineId,Comment\r" + idA + ",x\r" + idB + ",y\r", Options{}, []string{"2 A||x||", "3 B||y||"}},
		{"or here and there, in place of a column that is not ours", "MachineId,Comment,Site\r\n" + idA + ",x\r" + idB + ",y\r\n", Options{}, []string{"2 A||x||", "3 B||y||"}},
		{"or in the first row", idA + "\r" + idB + "\n" + idA, Options{}, []string{"1 A||||", "2 B||||", "3 A||||"}},
		{"or before the table", "#TYPE X\rMachineId\r" + idA + "\n" + idB, Options{}, []string{"3 A||||", "4 B||||"}},
		{"CR CR LF, as a program writes whose line ends are made twice", "MachineId,Comment\r\r\n" + idA + ",x\r\r\n" + idB + ",y\r\r\n", Options{}, []string{"3 A||x||", "5 B||y||"}},
		{"in quotes it is a line break of the cell", "MachineId,Comment\n" + idA + ",\"a\rb\"\n" + idB + ",z", Options{}, []string{"2 A||a\nb||", "4 B||z||"}},
		{"the last line needs no end", "MachineId\n" + idA, Options{}, []string{"2 A||||"}},
		{"a byte order mark before a quoted header, as PowerShell 5 writes", "\ufeff\"MachineId\"\n" + idA, Options{}, []string{"2 A||||"}},
		{"an upper-case id is the same device", "MachineId\n" + strings.ToUpper(idA), Options{}, []string{"2 A||||"}},
		{"spaces of all kinds around an id, as pages have them", "MachineId\n\u00a0" + idA + "\u200b ", Options{}, []string{"2 A||||"}},
		{"a comma and a line break in quotes belong to the cell", "MachineId,Comment\n" + idA + ",\"a, b\r\nc\"\n" + idB + ",z", Options{}, []string{"2 A||a, b\nc||", "4 B||z||"}},
		{"blank lines count as lines and not as rows", "\nMachineId,Comment\n\n,\n , \n" + idA + ",x", Options{}, []string{"6 A||x||"}},
		{"a comment of blanks is none", "MachineId,Comment\n" + idA + ",  ", Options{}, []string{"2 A||||"}},
		{"a row without an id but with other cells is bad", "MachineId,Comment\n,x", Options{}, []string{"2 empty@1||x||"}},
		{"a short row lacks what is not ours", "MachineId,Comment,Site\n" + idA, Options{}, []string{"2 A||||"}},
		{"a long row with nothing in it is no problem", "MachineId,Comment\n" + idA + ",x,,,", Options{}, []string{"2 A||x||"}},
		{"a long row with something in it is: a comma that was not quoted", "MachineId,Comment\n" + idA + ",x, y", Options{}, []string{"2 cells@44||x||"}},
		{"a row of absurd length", "MachineId\n" + idA + strings.Repeat(",", 5000), Options{}, []string{"2 cells@42||||"}},
		{"columns in any order, called as they like", "site_name,COMMENT,Machine-ID\nb,x," + idA, Options{}, []string{"2 A||x||b"}},
		{"an id column by its values alone", "Gerät,Wert\nb," + idA, Options{}, []string{"2 A||||b"}},
		{"a known name settles which of two columns of 40 hex it is", "DeviceId,SHA1\n" + idA + "," + idB, Options{}, []string{"2 A||||" + idB}},
		{"so does one that any table may have, if the other is known to be something else", "Id,SHA1\n" + idA + "," + idB, Options{}, []string{"2 A||||" + idB}},
		{"machines of the API, of which one was merged", "id,mergedIntoMachineId\n" + idA + "," + idB + "\n" + idB + ",", Options{}, []string{"2 A||||" + idB, "3 B||||"}},
		{"values settle which of two known names it is", "Device ID,MachineId\n" + idG + "," + idA, Options{}, []string{"2 A||||" + idG}},
		{"hashes beside an id that is not Defender's", "Id,Sha\n17," + idA, Options{}, []string{"2 name@1||||" + idA}},
		{"an id column that has sha in its name and is of no hashes", "Shared Devices,x\n" + idA + ",y", Options{}, []string{"2 A||||y"}},
		{"a flag settles what names and values do not", "DeviceId,SHA1\n" + idA + "," + idB, Options{IDColumn: "sha1"}, []string{"2 B||||" + idA}},
		{"flags name comment and name", "id,Host,Note\n" + idA + ",h,n", Options{CommentColumn: "Note", NameColumn: "HOST"}, []string{"2 A|h|n||"}},
		{"without a header, columns are numbered", idA + ";x;h\n", Options{CommentColumn: "column2", NameColumn: "Column3"}, []string{"1 A|h|x||"}},
		{"a damaged id in the first line is no header", idA[1:] + "\n" + idB, Options{}, []string{"1 short@1||||", "2 B||||"}},
		{"a row with an id is no header, whatever its comment is", idA + ",comment\n" + idB + ",x", Options{}, []string{"1 A||||comment", "2 B||||x"}},
		{"nor with half an id", "host," + idA[1:] + "\nx," + idB + "\ny," + idA, Options{}, []string{"1 short@6||||host", "2 B||||x", "3 A||||y"}},
		{"nor with an id that has a wrong letter", idA[1:] + "g,host\n" + idB + ",x\n" + idA + ",y", Options{}, []string{"1 not-hex@1||||host", "2 B||||x", "3 A||||y"}},
		{"a flag names a column, and the row is its header, though a cell looks like data", "Ids,Q1\n" + idA + ",A2", Options{IDColumn: "ids"}, []string{"2 A||||A2"}},
		{"the header of a second list, joined to the first", "MachineId,Comment\n" + idA + ",x\nMachineId,Comment\n" + idB + ",y", Options{}, []string{"2 A||x||", "3 header@1||Comment||", "4 B||y||"}},
		{"one with its columns in another order", "MachineId,Comment\n" + idA + ",x\nComment,MachineId\ny," + idB, Options{}, []string{"2 A||x||", "3 header@1||MachineId||", "4 name@1||" + idB + "||"}},
		{"one with its byte order mark", "\ufeffMachineId,Comment\n" + idA + ",x\n\ufeffMachineId,Comment\n" + idB + ",y", Options{}, []string{"2 A||x||", "3 header@1||Comment||", "4 B||y||"}},
		{"two marks at the beginning", "\ufeff\ufeffComment,MachineId\nx," + idA, Options{}, []string{"2 A||x||"}},
		{"a comment that names an id as PowerShell shows it", "Comment,MachineId\nid : " + idA + "," + idB, Options{}, []string{"2 B||id : " + idA + "||"}},
		{"more than an id in a cell, in the first row, too", "https://security.microsoft.com/machines/v2/" + idA + "/overview\n" + idB + " sold\n" + idA + "\n" + idA + "\n" + idB, Options{},
			[]string{"1 not-hex@1||||", "2 not-hex@1||||", "3 A||||", "4 A||||", "5 B||||"}},
		{"an id in a comment is no matter", "MachineId,Comment\n" + idA + ",\"was " + idB + "\"", Options{}, []string{"2 A||was " + idB + "||"}},
		{"half of the ids are damaged, and their column has no known name", "Ref;Comment\n1,23E+39;x\n" + idA + ";y", Options{}, []string{"2 damaged@1||x||", "3 A||y||"}},
		{"one with PowerShell's line", "MachineId,Comment\n" + idA + ",x\n#TYPE X\nMachineId,Comment", Options{}, []string{"2 A||x||", "3 header@1||||", "4 header@1||Comment||"}},
		{"a device that is called as a column of names is none", "MachineId,Comment\n" + idA + ",x\nhost,y", Options{}, []string{"2 A||x||", "3 name@1||y||"}},
		{"semicolons, though comments have commas", "MachineId;Comment\n" + idA + ";a, b, c, d\n", Options{}, []string{"2 A||a, b, c, d||"}},
		{"tabs, though there is no header", idA + "\ta, b\n" + idB + "\tc; d\n", Options{}, []string{"1 A||||a, b", "2 B||||c; d"}},
		{"sep= names any delimiter", "sep=|\nMachineId|Comment\n" + idA + "|a,b;c", Options{}, []string{"3 A||a,b;c||"}},
		{"#TYPE and sep= are no rows", "#TYPE Selected.X\r\n\"sep=;\"\r\nid;Comment\r\n" + idA + ";x", Options{}, []string{"4 A||x||"}},
		{"a name is a problem", "MachineId\n" + idA + "\nlap-0001", Options{}, []string{"2 A||||", "3 name@1||||"}},
		{"a name of a domain is one too", "MachineId\n" + idA + "\nCONTOSO\\lap-0001", Options{}, []string{"2 A||||", "3 name@1||||"}},
		{"a GUID without hyphens, in braces", "MachineId\n" + idA + "\n{" + strings.ReplaceAll(idG, "-", "") + "}", Options{}, []string{"2 A||||", "3 guid@1||||"}},
		{"a number that a spreadsheet shortened", "Site,MachineId\na," + idA + "\nb,1.2E+39", Options{}, []string{"2 A||||a", "3 damaged@3||||b"}},
		{"one with a decimal comma that is a separator, too: before a comment", "MachineId,Comment\n" + idA + ",x\n1,23E+39,y\n1,x", Options{}, []string{"2 A||x||", "3 damaged@1||23E+39||", "4 name@1||x||"}},
		{"the same before a column that travels", "MachineId,Site\n" + idA + ",x\n1,23E+39\n", Options{}, []string{"2 A||||x", "3 damaged@1||||23E+39"}},
		{"the same before a name", "MachineId,Host\n" + idA + ",x\n1,23E+39\n", Options{}, []string{"2 A|x|||", "3 damaged@1|23E+39|||"}},
		{"the same after the last column", "Site,MachineId\nx," + idA + "\nx,1,23E+39\n", Options{}, []string{"2 A||||x", "3 damaged@3||||x"}},
		{"the same in the first row, and nothing else", "1,23E+39\n1,24E+39\n", Options{}, []string{"1 damaged@1||||23E+39", "2 damaged@1||||24E+39"}},
		{"the same in a list of semicolons is two cells", "MachineId;Site\n" + idA + ";x\n1;23E+39", Options{}, []string{"2 A||||x", "3 name@1||||23E+39"}},
		{"a number without a plus, and a name like one", "MachineId\n" + idA + "\n1E39\n1.2e38\n2E14", Options{}, []string{"2 A||||", "3 damaged@1||||", "4 damaged@1||||", "5 name@1||||"}},
		{"a number that a spreadsheet rounded has the shape of an id", "MachineId\n" + idA + "\n123456789012345" + strings.Repeat("0", 25), Options{}, []string{"2 A||||", "3 damaged@1||||"}},
		{"an id of digits, and one with an e, are ids", "MachineId\n1234567890123456789012345678901234567890\n", Options{}, []string{"2 1234567890123456789012345678901234567890||||"}},
		{"a comment that is too long", "MachineId,Comment\n" + idA + "," + strings.Repeat("ä", MaxComment) + "\n" + idB + "," + strings.Repeat("x", MaxComment+1), Options{},
			[]string{"2 A||" + strings.Repeat("ä", MaxComment) + "||", "3 comment@42||" + strings.Repeat("x", MaxComment+1) + "||"}},
		{"characters beyond the 16 bits count twice, as the service counts", "MachineId,Comment\n" + idA + "," + strings.Repeat("😀", MaxComment/2+1), Options{},
			[]string{"2 comment@42||" + strings.Repeat("😀", MaxComment/2+1) + "||"}},
		{"a quote in the middle of a cell spoils its row alone", "MachineId,Comment\n" + idA + ",a \"b\" c\n" + idB + ",x", Options{}, []string{"2 quote@44||||", "3 B||x||"}},
		{"Windows-1252 when it is not UTF-8", "MachineId,Comment\n" + idA + ",Ger\xe4t \x80", Options{}, []string{"2 A||Gerät €||"}},
		{"UTF-8 and another in one file", "MachineId,Comment\n" + idA + ",Gerät\n" + idB + ",Ger\xe4t", Options{}, []string{"2 A||Gerät||", "3 encoding@42||Ger\ufffdt||"}},
		{"bad bytes where they are not ours", "MachineId,Site\n" + idA + ",Gerät\n" + idB + ",Ger\xe4t", Options{}, []string{"2 A||||Gerät", "3 B||||Ger\ufffdt"}},
		{"a header and no rows", "MachineId,Comment\n", Options{}, nil},
		{"our own result: what is ours is dropped, the apostrophe too, and a column that came along stays",
			result + ",Site,Status\n1," + idA + ",lap-1,'=x,failed" + strings.Repeat(",", 14) + ",'@s,s2", Options{}, []string{"2 A|lap-1|=x||@s+s2"}},
		{"our own result with an empty id is a bad row", result + "\n1,,,,failed", Options{}, []string{"2 empty@1||||"}},
		{"an apostrophe in a list that is not our result stays", "MachineId,Comment\n" + idA + ",'=x", Options{}, []string{"2 A||'=x||"}},

		{"resolve: names", "DeviceName,Comment\nlap-1,x", Options{NamesOK: true}, []string{"2 |lap-1|x||"}},
		{"resolve: names one a line, with no header", "lap-1\nlap-2", Options{NamesOK: true}, []string{"1 |lap-1|||", "2 |lap-2|||"}},
		{"resolve: names in a column that is called as the ids", "DeviceId\nlap-1", Options{NamesOK: true}, []string{"2 |lap-1|||"}},
		{"resolve: Entra ids one a line", idG, Options{NamesOK: true}, []string{"1 |||" + idG + "|" + idG}},
		{"resolve: ids, names and GUIDs in one column", "id\n" + idA + "\nlap-1\n" + idG + "\n1.2E+39", Options{NamesOK: true},
			[]string{"2 A||||", "3 |lap-1|||", "4 |||" + idG + "|", "5 damaged@1||||"}},
		{"resolve: a row with a GUID is no header", idG + ",host\n" + idG + ",x", Options{NamesOK: true, IDColumn: "Column1"}, []string{"1 |||" + idG + "|host", "2 |||" + idG + "|x"}},
		{"resolve: a row with an id is none", "lap-1," + idA + ",comment\nlap-2," + idB + ",x", Options{NamesOK: true}, []string{"1 A||||lap-1+comment", "2 B||||lap-2+x"}},
		{"resolve: a name as those below it is none", "LAP-0002,host\nLAP-0003,x", Options{NamesOK: true, NameColumn: "Column1"}, []string{"1 |LAP-0002|||host", "2 |LAP-0003|||x"}},
		{"resolve: nor is one in braces JSON", "{" + idG + "}", Options{NamesOK: true}, []string{"1 |||{" + idG + "}|{" + idG + "}"}},
		{"resolve: the header of a second list is no device", "DeviceId\n" + idA + "\nlap-1\nDeviceId", Options{NamesOK: true}, []string{"2 A||||", "3 |lap-1|||", "4 header@1||||"}},
		{"resolve: nor with its byte order mark", "DeviceId\n" + idA + "\n\ufeffDeviceId", Options{NamesOK: true}, []string{"2 A||||", "3 header@1||||"}},
		{"resolve: a cell below the header may be called as a column", "DeviceName,Kind\nlap-1,id", Options{NamesOK: true}, []string{"2 |lap-1|||id"}},
		{"resolve: damaged ids are told, not looked up", "MachineId\n1.2E+39\n1E39", Options{NamesOK: true}, []string{"2 damaged@1||||", "3 damaged@1||||"}},
		{"resolve: the same with a separator in them", "MachineId,Comment\n1,2E+39\n" + idA + ",x", Options{NamesOK: true}, []string{"2 damaged@1||2E+39||", "3 A||x||"}},
		{"resolve: damaged ids beside names: the names are looked up", "MachineId,Host\n1.2E+39,lap-1", Options{NamesOK: true}, []string{"2 |lap-1|||1.2E+39"}},
		{"resolve: a row with nothing to look up", "MachineId,DeviceName,Site\n,,x\n,lap-1,y\n" + idA + ",,", Options{NamesOK: true},
			[]string{"2 empty@1||||x", "3 |lap-1|||y", "4 A||||"}},
	} {
		rows, _, err := readAll(strings.NewReader(tc.in), tc.opt)
		if err != nil {
			t.Errorf("%s: reading %q: %v", tc.why, tc.in, err)
			continue
		}
		if diff := cmp.Diff(tc.want, short(rows)); diff != "" {
			t.Errorf("%s: reading %q (-want +got):\n%s", tc.why, tc.in, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		why  string
		in   string
		opt  Options
		kind Kind
		want string
	}{
		{"nothing in it", " \r\n\n", Options{}, KindFile, "list.csv: the list is empty"},
		{"no row that can be read", "#TYPE X\r\n", Options{}, KindFile, "list.csv: no row can be read"},
		{"a row before the header that cannot be read", "by \"me\"\nMachineId\n" + idA, Options{}, KindQuote, `list.csv:1:4: a quote (") in the middle of a cell`},
		{"more columns than any program exports", "MachineId" + strings.Repeat(",", 60000) + "\n" + idA, Options{}, KindFile, "list.csv: the list has 60001 columns, the most is 1000"},
		{"the same without a header", idA + strings.Repeat(",", 1000), Options{}, KindFile, "list.csv: the list has 1001 columns, the most is 1000"},
		{"a workbook", "PK\x03\x04\x14\x00", Options{}, KindFile, "list.csv: a workbook or an archive, not a CSV file"},
		{"a login in place of a download", "\n<!DOCTYPE html>\n<html>", Options{}, KindFile, "list.csv: a web page (HTML), not a CSV file"},
		{"a page without a type", "<HTML lang=en>", Options{}, KindFile, "list.csv: a web page (HTML), not a CSV file"},
		{"a table that is called a workbook", "<table border=1>", Options{}, KindFile, "list.csv: a web page (HTML), not a CSV file"},
		{"XML", "\ufeff<?xml version=\"1.0\"?>", Options{}, KindFile, "list.csv: XML, not a CSV file"},
		{"an answer of the API", "{\n  \"value\": [", Options{}, KindFile, "list.csv: JSON, not a CSV file"},
		{"JSON of PowerShell", "[{\"id\":", Options{}, KindFile, "list.csv: JSON, not a CSV file"},
		{"a title above the header", "#TYPE X\nReport 2026-01-01,,\n\nDeviceId,Comment,Owner\n" + idA + ",x,kim", Options{}, KindHeader,
			`list.csv:4: looks like the header of the list, and stands below other rows: "DeviceId", "Comment", "Owner"`},
		{"a title that a column could have", "Devices\nDeviceId,Comment\n" + idA + ",x", Options{}, KindHeader,
			`list.csv:2: looks like the header of the list, and stands below other rows: "DeviceId", "Comment"`},
		{"a title above a header that a flag knows", "Report,\nGerät,Comment\n" + idA + ",x", Options{IDColumn: "gerät"}, KindHeader,
			`list.csv:2: looks like the header of the list, and stands below other rows: "Gerät", "Comment"`},
		{"UTF-16 without a byte order mark", "M\x00a\x00", Options{}, KindFile, "list.csv: has NUL bytes: UTF-16 without a byte order mark, or no text at all"},
		{"UTF-16 that is cut", "\xff\xfeI\x00d\x00\n", Options{}, KindText, "list.csv: ends in half a character of UTF-16: the file was cut, or a byte was added"},
		{"two columns of 40 hex, none with a known name", "a,b\n" + idA + "," + idB, Options{}, KindColumn,
			`list.csv: 2 columns hold what looks like device ids: "a" (such as "` + idA + `"), "b" (such as "` + idB + `")`},
		{"two columns of 40 hex, one with a name that any table may have", "TargetDevice,Id\n" + idA + "," + idB, Options{}, KindColumn,
			`list.csv: 2 columns hold what looks like device ids: "Id" (such as "` + idB + `"), "TargetDevice" (such as "` + idA + `")`},
		{"two columns of 40 hex, both with a known name", "MachineId,DeviceId\n" + idA + "," + idB, Options{}, KindColumn,
			`list.csv: 2 columns hold what looks like device ids: "MachineId" (such as "` + idA + `"), "DeviceId" (such as "` + idB + `")`},
		{"names and hashes, which have the shape of ids", "Host,SHA1\nlap-1," + idA, Options{}, KindName,
			`list.csv: a list of device names (column "Host"), no column holds device ids (40 hexadecimal characters)`},
		{"names and certificates", "Host,Cert,Thumb\nlap-1," + idA + "," + idB, Options{}, KindName,
			`list.csv: a list of device names (column "Host"), no column holds device ids (40 hexadecimal characters)`},
		{"hashes alone, by another name", "File,File SHA\na," + idA, Options{}, KindColumn, `list.csv: no column holds device ids (40 hexadecimal characters): its columns are "File", "File SHA"`},
		{"a SHA-256 of 40 digits is no id either", "File,Sha-256\na," + idA, Options{}, KindColumn, `list.csv: no column holds device ids (40 hexadecimal characters): its columns are "File", "Sha-256"`},
		{"what PowerShell shows, with Out-File", "\nid" + strings.Repeat(" ", 38) + "\n--" + strings.Repeat(" ", 38) + "\n" + idA + "\n", Options{}, KindFile,
			"list.csv: a table as PowerShell shows it (Out-File and > write that), not a CSV file"},
		{"the same of several columns", "MachineId" + strings.Repeat(" ", 32) + "Comment\n---------" + strings.Repeat(" ", 32) + "-------\n" + idA + " x, y\n", Options{}, KindFile,
			"list.csv: a table as PowerShell shows it (Out-File and > write that), not a CSV file"},
		{"the same column by column", "ComputerDnsName : lap-1\nId              : " + idA + "\n", Options{}, KindFile,
			"list.csv: a table as PowerShell shows it (Out-File and > write that), not a CSV file"},
		{"resolve: the same of names", "DeviceName\n----------\nlap-1\n", Options{NamesOK: true}, KindFile,
			"list.csv: a table as PowerShell shows it (Out-File and > write that), not a CSV file"},
		{"rows in quotes as a whole", "\"MachineId,Comment\"\n\"" + idA + ",x\"\n", Options{}, KindColumn,
			`list.csv: each of its rows is one cell, with the cells of the list in it: "MachineId,Comment"`},
		{"the same without a header", "\"" + idA + ";x\"\n", Options{}, KindColumn,
			`list.csv: each of its rows is one cell, with the cells of the list in it: "` + idA + `;x"`},
		{"resolve: the same of names", "\"DeviceName;Comment\"\n\"lap-1;x\"\n", Options{NamesOK: true}, KindColumn,
			`list.csv: each of its rows is one cell, with the cells of the list in it: "DeviceName;Comment"`},
		{"ids side by side", idA + "," + idB + "\n", Options{}, KindColumn,
			`list.csv: 2 columns hold what looks like device ids: "Column1" (such as "` + idA + `"), "Column2" (such as "` + idB + `")`},
		{"names alone", "Host\nlap-1", Options{}, KindName, `list.csv: a list of device names (column "Host"), no column holds device ids (40 hexadecimal characters)`},
		{"a separator that is not looked for", "MachineId|Comment\n" + idA + "|x", Options{}, KindColumn, `list.csv: its cells are separated by "|"; commas, semicolons and tabs are read`},
		{"the same without a header, and with commas in comments", idA + ":a, b\n" + idB + ":c", Options{}, KindColumn, `list.csv: its cells are separated by ":"; commas, semicolons and tabs are read`},
		{"ids that are formulas, and no header", "=\"" + idA + "\"\n", Options{}, KindFile,
			`list.csv: no row can be read: device ids of the list are formulas (="…"), as they are written for a spreadsheet`},
		{"nothing that we know", "a,b\n1,2", Options{}, KindColumn, `list.csv: no column holds device ids (40 hexadecimal characters): its columns are "a", "b"`},
		{"resolve: names and a word, with no header: which column holds the names is not guessed", "LAP-0002,host\nLAP-0003,x", Options{NamesOK: true}, KindColumn,
			`list.csv: no column holds device names, device ids or Entra device ids: its columns are "Column1", "Column2"`},
		{"resolve: nothing that we know", "a,b\n1,2", Options{NamesOK: true}, KindColumn,
			`list.csv: no column holds device names, device ids or Entra device ids: its columns are "a", "b"`},
		{"GUIDs of unknown origin", "id\n" + idG, Options{}, KindGUID,
			`list.csv: its column "id" holds GUIDs (such as "` + idG + `"), as Intune and Entra use them, not Defender device ids (40 hexadecimal characters)`},
		{"a flag that names no column", "id,x\n" + idA + ",1", Options{IDColumn: "Y"}, KindColumn,
			`list.csv: no column is called "Y", as --id-column says: its columns are "id", "x"`},
		{"a flag that names two", "id,Note,note\n" + idA, Options{CommentColumn: "note"}, KindColumn, `list.csv: 2 columns are called "note", as --comment-column says`},
		{"two columns of comments", "id,Comment,comment\n" + idA, Options{}, KindColumn, `list.csv: 2 columns are called "Comment"`},
	} {
		rows, _, err := readAll(strings.NewReader(tc.in), tc.opt)
		p := new(Problem)
		if !errors.As(err, &p) {
			t.Errorf("%s: reading %q = %q, %v; want a problem", tc.why, tc.in, short(rows), err)
			continue
		}
		if p.Error() != tc.want || p.Kind != tc.kind {
			t.Errorf("%s: reading %q =\n%s (%s); want\n%s (%s)", tc.why, tc.in, p, p.Kind, tc.want, tc.kind)
		}
		if p.Hint == "" && !strings.Contains(p.Text, "columns are") {
			t.Errorf("%s: the hint is empty; want what to do", tc.why)
		}
	}
}

// TestSideBySide does not leave it at the flag that would take one of many devices.
func TestSideBySide(t *testing.T) {
	for in, want := range map[string]string{
		idA + "," + idB:           "say which one it is with --id-column; if all of them are devices, write one id a line",
		"a,b\n" + idA + "," + idB: "say which one it is with --id-column",
	} {
		_, _, err := readAll(strings.NewReader(in), Options{})
		if p := new(Problem); !errors.As(err, &p) || p.Hint != want {
			t.Errorf("reading %q: %v, hint %q; want %q", in, err, p.Hint, want)
		}
	}
}

// TestBroken shows the errors that end a list after its first rows.
func TestBroken(t *testing.T) {
	head := "MachineId,Comment\n" + idA + ",x\n"
	wide := func(ascii string) string { return "\xff\xfe" + strings.Join(strings.Split(ascii, ""), "\x00") + "\x00" }
	disk := errors.New("disk on fire")
	for _, tc := range []struct {
		why  string
		in   io.Reader
		want string
	}{
		{"a quote that is not closed at all", strings.NewReader(head + idB + ",\"x\n\n"),
			`list.csv:3: a quote (") is opened in this row and not closed as it should be up to line 4`},
		{"a quote that swallows a row", strings.NewReader(head + idB + ",\"x\n" + idA + ",\"y\"\n"),
			`list.csv:3: a quote (") is opened in this row and not closed as it should be up to line 4`},
		{"a quote that would take the memory of the machine", io.MultiReader(strings.NewReader(head+idB+",\""), endless{}),
			`list.csv:3: the row that begins here has more than 1 MiB: a quote (") is opened and not closed`},
		{"a line without end", io.MultiReader(strings.NewReader(head), endless{}),
			`list.csv:3: the row that begins here has more than 1 MiB: a quote (") is opened and not closed`},
		{"a NUL late in the file", strings.NewReader(head + strings.Repeat(idB+",x\n", 7000) + "\x00"),
			`list.csv:7003: a NUL byte in this row or near it: the file is damaged, or no text`},
		{"UTF-16 that is cut late in the file", strings.NewReader(wide(head+strings.Repeat(idB+",x\n", 7000)) + "d"),
			`list.csv: ends in half a character of UTF-16: the file was cut, or a byte was added`},
		{"UTF-16 that is cut within a pair late in the file", strings.NewReader(wide(head+strings.Repeat(idB+",x\n", 7000)) + "\x3d\xd8"),
			`list.csv: ends in half a character of UTF-16: the file was cut, or a byte was added`},
		{"a reader that fails late", io.MultiReader(strings.NewReader(head+strings.Repeat(idB+",x\n", 7000)), iotest.ErrReader(disk)),
			`list.csv: after line 7002: disk on fire`},
	} {
		rows, l, err := readAll(tc.in, Options{})
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: error %v; want %s", tc.why, err, tc.want)
		}
		if len(rows) == 0 || rows[0].ID != idA {
			t.Errorf("%s: %d rows before the error; want the good ones", tc.why, len(rows))
		}
		if got := l.Digest(); got != "" {
			t.Errorf("%s: Digest() = %q; want none of half a list", tc.why, got)
		}
		if _, again := l.Next(); again != err {
			t.Errorf("%s: Next() again = %v; want %v", tc.why, again, err)
		}
	}
	if _, _, err := readAll(iotest.ErrReader(disk), Options{}); !errors.Is(err, disk) {
		t.Errorf("a reader that fails at once: error %v; want %v", err, disk)
	}
}

// endless is text without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestResolveHint names a file as a shell and the program take it.
func TestResolveHint(t *testing.T) {
	for file, want := range map[string]string{"list.csv": "list.csv", "my list.csv": `"my list.csv"`, "-x.csv": "./-x.csv", "-": "-"} {
		if got := resolveHint(file); !strings.HasPrefix(got, "mde-offboard resolve "+want+" -o ") {
			t.Errorf("resolveHint(%q) = %s; want %s in it", file, got, want)
		}
	}
}
