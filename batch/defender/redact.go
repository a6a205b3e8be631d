package defender

import (
	"regexp"
	"strings"
	"unicode"
)

var (
	// A JWT is three runs of base64url with dots between; the first is an object
	// and so begins with the base64 of `{"`. A cut one is as secret.
	tokenText = regexp.MustCompile(claimsOption + `[A-Za-z0-9+/]+=*|eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`)
	// A proxy's address may hold its password.
	userinfoText = regexp.MustCompile(`://[^/@\s"]+@`)
)

// claimsOption stands before the claims of a challenge, which are what the API
// wants to know and not secret, in the command that a user is told to give.
const claimsOption = "--claims-challenge "

// Redact takes tokens and passwords out of a text that others wrote: a server's
// message, an error of net/http, an answer of the authority.
func Redact(s string) string {
	s = tokenText.ReplaceAllStringFunc(s, func(found string) string {
		if strings.HasPrefix(found, claimsOption) {
			return found
		}
		return "[redacted]"
	})
	return userinfoText.ReplaceAllString(s, "://[redacted]@")
}

// maxText is how much of a server's text is kept: it ends in a cell of a CSV.
const maxText = 1000

// tidy makes a server's text fit for one line: redacted, without control
// characters, and not longer than maxText runes.
func tidy(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r)
	}), " ")
	s = Redact(strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText]) + "…"
	}
	return s
}

// quiet is an error of others that is redacted wherever it is printed.
type quiet struct{ error }

func (q quiet) Error() string { return Redact(q.error.Error()) }
func (q quiet) Unwrap() error { return q.error }

// hush makes err quiet.
func hush(err error) error {
	if err == nil {
		return nil
	}
	return quiet{err}
}
