package defender

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

var (
	aadsts = regexp.MustCompile(`AADSTS\d+`)
	// gone are the words of Entra, az, azd and PowerShell for a login that is over.
	gone = regexp.MustCompile(`(?i)AADSTS\d|\baz login\b|\bazd auth login\b|\bnot logged in\b|Connect-AzAccount`)
)

// explain makes one error of what a credential says, which is long, of many
// lines, and repeats whole answers.
func explain(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Class: BadIdentity}
	if a, ok := errors.AsType[advised](err); ok {
		e.Hint = a.hint
	}
	described := entraError(err)
	tried := attempts(err.Error())
	switch {
	case len(tried) > 0:
		if described != "" {
			tried[len(tried)-1] = credentialName(tried[len(tried)-1]) + ": " + described
		}
		e.Message = "no token; tried\n  " + strings.Join(tried, "\n  ")
	case described != "":
		e.Message = "no token: " + described
	default:
		e.Message = "no token: " + brief(firstLine(err.Error()))
	}
	// A tool passes Entra's words on in its own.
	for _, number := range aadsts.FindAllString(described+" "+err.Error(), -1) {
		if hint, ok := hints[number]; ok {
			e.Hint = hint
			break
		}
	}
	return e
}

// entraError returns the description in Entra's answer, without the trace ids
// that come after it.
func entraError(err error) string {
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	if !ok || failed.RawResponse == nil {
		return ""
	}
	body, err := runtime.Payload(failed.RawResponse)
	if err != nil {
		return ""
	}
	var answer struct {
		Error       text `json:"error"`
		Description text `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return tidy(failed.RawResponse.Status)
	}
	if answer.Description == "" {
		return tidy(string(answer.Error))
	}
	description, _, _ := strings.Cut(string(answer.Description), "Trace ID:")
	return tidy(description)
}

// denied reports whether an authority has answered and said no.
func denied(err error) bool {
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	return ok && failed.RawResponse != nil
}

// signedOut reports whether a tool says that its login is over.
func signedOut(err error) bool { return !denied(err) && gone.MatchString(err.Error()) }

// oneLine is an error of explain's in the place of a reason, which has one line.
func oneLine(err error) string {
	return strings.NewReplacer("tried\n  ", "tried ", "\n  ", "; ").Replace(err.Error())
}

// attempts returns one line for each credential of a chain. In the chain's
// message each has a line behind one tab, and what belongs to it behind two.
func attempts(message string) []string {
	_, list, ok := strings.Cut(message, "Attempted credentials:")
	if !ok {
		return nil
	}
	var lines []string
	for _, line := range strings.Split(list, "\n") {
		if strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "\t\t") {
			lines = append(lines, brief(tidy(line)))
		}
	}
	return lines
}

func credentialName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	name, _, _ = strings.Cut(name, " ")
	return name
}

// brief leaves out the advice that a credential gives: the hint has our own.
func brief(line string) string {
	line, _, _ = strings.Cut(line, "To troubleshoot, visit")
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "Visit"))
}
