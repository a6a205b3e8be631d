package simulator

import (
	_ "embed"
	"strings"
)

// documentation is the text of the package's own, which has the table of the faults.
//
//go:embed doc.go
var documentation string

// FaultHelp says how a specification is written, which ParseFaults reads, and what
// each fault does, in the words of the package's documentation.
func FaultHelp() string {
	text := "[KIND/]NAME[=5% | =3 | @17][:DURATION], several with commas between them: a share of the\n" +
		"calls, the first 3, the 17th; without, all. KIND is " + strings.Join(faultKinds, ", ") + ".\n" +
		"-before means that nothing happened, -after that it did.\n\n"
	_, table, _ := strings.Cut(documentation, "# Faults\n")
	table, _, _ = strings.Cut(table, "# Magic")
	for line := range strings.Lines(table) {
		if entry, ok := strings.CutPrefix(line, "//\t"); ok {
			text += entry
		}
	}
	return text
}
