package report

import "mde-offboard/batch"

// defuse makes a cell safe to open in a spreadsheet.
func defuse(s string) string { return batch.Defuse(s) }
