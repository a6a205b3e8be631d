package report

import "mde-offboard/batch/input"

// defuse makes a cell safe to open in a spreadsheet.
func defuse(s string) string { return input.Defuse(s) }
