package defender_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// TestToolFails: a tool that gave a token and gives none now is an outage in which
// nothing was sent, unless it says that the login is over; before the first
// token waiting is of no use.
func TestToolFails(t *testing.T) {
	const killed = "kill -9 $$" // what azidentity does to a tool that takes more than ten seconds
	says := func(words string) string { return "echo '" + words + "' >&2; exit 1" }
	tests := []struct {
		reason, auth, tool string
		script             string
		lost               bool
		want               string // in the error
	}{
		{"too slow", "azure-cli", "az", killed, false, "not sent: no token: AzureCLICredential: "},
		{"too slow", "azure-developer-cli", "azd", killed, false, "not sent: no token: AzureDeveloperCLICredential: "},
		{"too slow, found by a chain of tools", "default", "az", killed, false, "not sent: no token; tried AzureCLICredential: "},
		{"too slow, found by the chain where no metadata service is", "default", "az", killed, false, "cannot be reached: 169.254.169.254"},
		{"without a network", "azure-cli", "az", says("ERROR: HTTPSConnectionPool(host=login.microsoftonline.com, port=443): Max retries exceeded"), false, "Max retries exceeded"},
		{"without a network", "azure-developer-cli", "azd", says(`{"type":"consoleMessage","data":{"message":"ERROR: fetching token: dial tcp: no such host"}}`), false, "no such host"},
		{"words that are no token", "azure-cli", "az", "echo WARNING", false, "invalid character"},
		{"signed out", "azure-cli", "az", says("ERROR: Please run 'az login' to setup account."), true, "az login"},
		{"signed out", "azure-developer-cli", "azd", says(`{"error":"not logged in, run azd auth login to login"}`), true, "azd auth login"},
		{"signed out, found by the chain where no metadata service is", "default", "az", says("ERROR: Please run 'az login' to setup account."), true, "az login"},
		{"Entra says no", "azure-cli", "az", says("ERROR: AADSTS70043: The refresh token has expired"), true, "AADSTS70043"},
		{"Entra says no", "azure-developer-cli", "azd", says("ERROR: fetching token: AADSTS700082: expired"), true, "AADSTS700082"},
	}
	for _, test := range tests {
		t.Run(test.auth+" "+test.reason, func(t *testing.T) {
			clearEnvironment(t)
			t.Setenv("PATH", onlyShell(t))
			if strings.Contains(test.reason, "chain of tools") {
				t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
			}
			s, cfg := listen(t, simulator.Options{})
			cfg.Transport = noMetadata{s.Transport(), http.NotFoundHandler()}
			standIn(t, s, test.tool)
			source, err := defender.NewSource(defender.CredentialOptions{Auth: test.auth})
			if err != nil {
				t.Fatal(err)
			}
			c := connect(t, cfg, source)
			if _, err := c.Identity(t.Context()); err != nil {
				t.Fatalf("Identity() with the tool at work = %v; want a token", err)
			}
			tool(t, test.tool, test.script)
			if err := c.Refresh(); err != nil {
				t.Fatal(err)
			}
			class := map[bool]defender.Class{true: defender.BadIdentity, false: defender.NotSent}[test.lost]
			_, x, err := c.Offboard(t.Context(), device, "c", nil)
			if defender.ClassOf(err) != class || x.Sent || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Offboard() with the tool %s = %+v, %v; want %v with %q, nothing sent", test.reason, x, err, class, test.want)
			}
			if !test.lost && strings.Contains(err.Error(), "\n") {
				t.Errorf("Offboard() = %q; want one line", err)
			}
			if _, err := connect(t, cfg, source).Identity(t.Context()); defender.ClassOf(err) != defender.BadIdentity {
				t.Errorf("Identity() of a run that begins with the tool %s = %v; want a bad identity", test.reason, err)
			}
		})
	}
}

// TestToolFailsAChallenge: what Defender wants to know of a user, a tool cannot be
// asked again and again.
func TestToolFailsAChallenge(t *testing.T) {
	clearEnvironment(t)
	s, cfg := listen(t, simulator.Options{})
	standIn(t, s, "azd")
	given, err := exec.LookPath("azd")
	if err != nil {
		t.Fatal(err)
	}
	source, err := defender.NewSource(defender.CredentialOptions{Auth: "azure-developer-cli"})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, cfg, source)
	if _, err := c.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.RevokeCAE()
	tool(t, "azd", `case "$*" in *--claims*) exit 1; esac; exec `+given)
	if _, _, err := c.Offboard(t.Context(), device, "c", nil); defender.ClassOf(err) != defender.BadIdentity || !strings.Contains(err.Error(), "additional claims") {
		t.Errorf("Offboard() after a claims challenge that the tool cannot answer = %v; want a bad identity", err)
	}
}

// TestAnswerWithoutAToken: an authority that was asked and has answered is no
// outage, whatever it said, nor is a user who does not sign in again.
func TestAnswerWithoutAToken(t *testing.T) {
	s, cfg := listen(t, simulator.Options{})
	empty := false
	cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if empty && strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
			return respond(answer(200, "", "{}"), r), nil
		}
		return s.Transport().RoundTrip(r)
	})
	c := connect(t, cfg, secretSource)
	if _, err := c.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty = true
	if err := c.Refresh(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Offboard(t.Context(), device, "c", nil); defender.ClassOf(err) != defender.BadIdentity {
		t.Errorf("Offboard() with an answer that is no token = %v; want a bad identity", err)
	}
}

// onlyShell is a folder with what the stand-ins need, and no tool of this machine.
func onlyShell(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range []string{"/bin/sh", "/bin/cat"} {
		if err := os.Symlink(program, filepath.Join(dir, filepath.Base(program))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
