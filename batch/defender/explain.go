package defender

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// hints are what to do about Entra's most common refusals, by their number.
var hints = map[string]string{
	"AADSTS7000215": "the secret is wrong: use its value (shown once, when it is made), not its id",
	"AADSTS7000222": "the secret has expired: make a new one under App registrations > the application > Certificates & secrets",
	"AADSTS7000216": "the application needs a secret or a certificate",
	"AADSTS700016":  "the tenant has no such application: check AZURE_CLIENT_ID and AZURE_TENANT_ID",
	"AADSTS90002":   "there is no such tenant in this cloud: check AZURE_TENANT_ID and --cloud",
	"AADSTS900023":  "AZURE_TENANT_ID is neither a tenant's id nor its domain",
	"AADSTS500011":  "the tenant does not know this service: it has no Defender for Endpoint, or --cloud is another one's",
	"AADSTS700027":  "the certificate is not registered with the application, or has expired",
	"AADSTS700024":  "the assertion is out of date: check this machine's clock",
	"AADSTS700213":  "no federated credential of the application fits: compare issuer, subject and audience",
	"AADSTS70021":   "no federated credential of the application fits: compare issuer, subject and audience",
	"AADSTS65001":   "consent is missing: let an administrator grant it under " + grantWhere,
	"AADSTS50076":   "the login needs a second factor: sign in again",
	"AADSTS53003":   "conditional access has refused the login: ask who runs it for the application",
}

const hintLogin = "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or sign in with az login, or name a way with --auth"

var aadsts = regexp.MustCompile(`AADSTS\d+`)

// explain makes one error of what a credential says, which is long, of many
// lines, and repeats whole answers.
func explain(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Class: BadIdentity}
	described := entraError(err)
	tried := attempts(err.Error())
	switch {
	case len(tried) > 0:
		if described != "" {
			tried[len(tried)-1] = credentialName(tried[len(tried)-1]) + ": " + described
		}
		e.Message = "no token; tried\n  " + strings.Join(tried, "\n  ")
		e.Hint = hintLogin
	case described != "":
		e.Message = "no token: " + described
	default:
		e.Message = "no token: " + brief(firstLine(err.Error()))
		e.Hint = hintLogin
	}
	if hint, ok := hints[aadsts.FindString(described)]; ok {
		e.Hint = hint
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
