package batch

import (
	"fmt"
	"slices"

	"mde-offboard/batch/input"
)

// note adds to what there is to say of the list, whose own notes are not ours.
func (p *Plan) note(text string) { p.Notes = append(slices.Clip(p.Notes), text) }

const noComment = "no comment, and Defender requires one"

// sayOnce says in one problem, or in the refusal if nothing else is wrong, that
// no line at all has a comment.
func (p *Plan) sayOnce() {
	if p.silent < 2 || p.spoken {
		return
	}
	p.Problems = slices.DeleteFunc(p.Problems, func(b *input.Problem) bool { return b.Text == noComment })
	if p.Told = p.silent; p.Told < p.Bad {
		p.Told--
		p.Problems = append(p.Problems, &input.Problem{File: p.List, Kind: input.KindComment, Text: noLineHasOne, Hint: hintComment})
	}
}

const (
	noLineHasOne = "no line has a comment, and Defender requires one"
	hintComment  = `give one for all of them: --comment "why"`
)

// isPortalExport knows the portal's export by columns that nothing else has.
func isPortalExport(columns []string) bool {
	return slices.Contains(columns, "Discovery sources") && slices.Contains(columns, "Onboarding Status")
}

func duplicateOf(file string, line int, here string) string {
	if file == here {
		return fmt.Sprintf("duplicate of line %d", line)
	}
	return fmt.Sprintf("duplicate of %s:%d", file, line)
}

func (p *Plan) bad(problem *input.Problem) {
	p.Bad++
	if len(p.Problems) < maxProblems {
		p.Problems = append(p.Problems, problem)
	}
}
