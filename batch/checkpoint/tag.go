package checkpoint

import (
	"crypto/rand"
	"strings"
)

// Tag makes the random word by which an attempt is known again in the comment
// of its machine action: eight letters and digits that are not mistaken for
// each other.
func Tag() string { return "mdo-" + strings.ToLower(rand.Text()[:8]) }
