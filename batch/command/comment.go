package command

import (
	"fmt"
	"strings"

	"mde-offboard/batch/input"
)

// cleanComment is what is sent of a comment that a flag gives, empty for a blank
// one, or says that it is too long.
func cleanComment(text string) (string, error) {
	text = strings.TrimSpace(text)
	if n, long := input.TooLong(text); long {
		return "", usage{fmt.Errorf("--comment has %d characters; Defender takes %d with the tag", n, input.MaxComment)}
	}
	return text, nil
}
