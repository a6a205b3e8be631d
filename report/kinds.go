package report

import "mde-offboard/batch"

// kindWords are the kinds of call that a batch makes, as people read of them: one, and
// several. A call to cancel is no cancellation: Defender may say no.
var kindWords = map[string][2]string{
	batch.CallOffboard:    {"offboard call", "offboard calls"},
	batch.CallCancel:      {"call to cancel", "calls to cancel"},
	batch.CallListActions: {"look-up of actions", "look-ups of actions"},
	batch.CallGetAction:   {"look-up of a single action", "look-ups of single actions"},
	allKinds:              {"call of all kinds", "calls of all kinds"},
}

// wordsOf are those of a kind; one that is not known has its name in them.
func wordsOf(kind string) [2]string {
	if words, ok := kindWords[kind]; ok {
		return words
	}
	return [2]string{visible(kind) + " call", visible(kind) + " calls"}
}

// callsOfKind are so many calls of a kind.
func callsOfKind(n int, kind string) string {
	words := wordsOf(kind)
	if n == 1 {
		return "1 " + words[0]
	}
	return thousands(n) + " " + words[1]
}

// titledCalls are those at the head of a row.
func titledCalls(kind string) string { return wordsOf(kind)[1] }
