package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
)

// TestSettleWait holds the lower bound of --settle-wait, which 0 must not pass:
// it would call every device in doubt at once again.
func TestSettleWait(t *testing.T) {
	const loopback = "https://127.0.0.1:8443"
	tests := []struct {
		reason   string
		endpoint string
		settles  bool
		wait     time.Duration
		ok       bool
	}{
		{"the default", "", true, 5 * time.Minute, true},
		{"longer", "", true, time.Hour, true},
		{"shorter than reads lag", "", true, 5*time.Minute - 1, false},
		{"none at all", "", true, 0, false},
		{"a command without the flag", "", false, 0, true},
		{"none at all, on loopback", loopback, true, 0, true},
		{"shorter, on loopback", loopback, true, time.Second, true},
		{"backwards, on loopback", loopback, true, -time.Second, false},
	}
	for _, tt := range tests {
		c := &connection{}
		c.addFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
		c.config.Endpoint, c.settles, c.opt.SettleWait = tt.endpoint, tt.settles, tt.wait
		err := c.check()
		var u usage
		if tt.ok && err != nil || !tt.ok && !errors.As(err, &u) {
			t.Errorf("%s: check with --settle-wait %v = %v; want allowed: %v", tt.reason, tt.wait, err, tt.ok)
		}
	}
}

// TestSettleWaitFromEnvironment has the commands with the flag heed its bound,
// wherever the value comes from.
func TestSettleWaitFromEnvironment(t *testing.T) {
	a := &app{Env: Env{Getenv: func(name string) string { return map[string]string{"MDE_OFFBOARD_SETTLE_WAIT": "0s"}[name] }}}
	j, w := &job{}, &withdrawal{}
	for name, c := range map[string]*connection{"run": &j.connection, "cancel": &w.connection} {
		f := pflag.NewFlagSet(name, pflag.ContinueOnError)
		if name == "run" {
			j.addFlags(f)
			j.addRunFlags(f)
		} else {
			w.addFlags(f)
		}
		if _, err := a.fromEnvironment(f); err != nil {
			t.Fatal(err)
		}
		var u usage
		if err := c.check(); !errors.As(err, &u) {
			t.Errorf("%s with MDE_OFFBOARD_SETTLE_WAIT=0s: check = %v; want wrong usage", name, err)
		}
	}
}

// TestCodesBeforeTheFirstCall has what is no fault of the command line not end
// with the code for wrong usage, and an interrupt with that for one.
func TestCodesBeforeTheFirstCall(t *testing.T) {
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"} {
		t.Setenv(name, "")
	}
	made := func(change func(c *connection)) error {
		c := &connection{}
		c.addFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
		change(c)
		_, err := c.client(testApp(t))
		return err
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	signedIn := func() error {
		c := &connection{}
		c.addFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
		c.login.Auth, c.config.Endpoint, c.config.AuthorityHost = "environment", "https://127.0.0.1:1", "https://127.0.0.1:1"
		t.Setenv("AZURE_CLIENT_SECRET", "s")
		t.Setenv("AZURE_TENANT_ID", "11111111-1111-4111-8111-111111111111")
		t.Setenv("AZURE_CLIENT_ID", "22222222-2222-4222-8222-222222222222")
		a := testApp(t)
		client, err := c.client(a)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.signIn(ctx, client, time.Minute)
		return err
	}
	tests := []struct {
		reason string
		err    error
		want   int
	}{
		{"no credentials", made(func(c *connection) { c.login.Auth = "environment" }), batch.CodeError},
		{"a permission is missing", defender.Identity{Roles: []string{"Machine.Read.All"}}.Check(true), batch.CodeError},
		{"no such login", made(func(c *connection) { c.login.Auth = "password" }), batch.CodeUsage},
		{"no such file of certificates", made(func(c *connection) { c.login.Auth, c.config.CAFile = "environment", "/nowhere.pem" }), batch.CodeUsage},
		{"interrupted while signing in", signedIn(), batch.CodeStopped},
		{"interrupted while the checkpoint is read", fmt.Errorf("checkpoint: %w", context.Canceled), batch.CodeStopped},
		{"the checkpoint is damaged", checkpoint.ErrDamaged, batch.CodeError},
	}
	for _, tt := range tests {
		if tt.err == nil {
			t.Errorf("%s: no error; want one of code %d", tt.reason, tt.want)
			continue
		}
		if got, _ := codeOf(tt.err); got != tt.want {
			t.Errorf("%s: codeOf(%v) = %d; want %d", tt.reason, tt.err, got, tt.want)
		}
	}
}

// nobody is a login whose authority cannot be reached.
type nobody struct{}

func (nobody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, &defender.Error{Class: defender.NotSent, Message: "no token", Hint: "look at the proxy"}
}

// TestSignInWaits says what is waited for each time, and what can be done once.
func TestSignInWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := defender.New(defender.Config{}, defender.FixedSource(nobody{}))
		if err != nil {
			t.Fatal(err)
		}
		a := testApp(t)
		said := filepath.Join(t.TempDir(), "said")
		if a.Stderr, err = os.Create(said); err != nil {
			t.Fatal(err)
		}
		defer a.Stderr.Close()
		_, err = a.signIn(t.Context(), client, 4*time.Second)
		if code, hint := codeOf(err); code != batch.CodeStopped || hint != "look at the proxy; the same command goes on" {
			t.Errorf("signIn() = %v, code %d, hint %q; want it stopped, with the login's hint", err, code, hint)
		}
		out, err := os.ReadFile(said)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(out), "hint: look at the proxy\n")
		if waits, hints := strings.Count(string(out), "waiting: "), strings.Count(string(out), "hint: "); waits != 3 || hints != 1 || strings.Count(first, "\n") != 1 {
			t.Errorf("signIn() said %q; want three waits, and a hint after the first", out)
		}
	})
}

// TestSeparate: a checkpoint with real batches takes no simulated one, and one with
// simulated batches no real one. One without any takes either.
func TestSeparate(t *testing.T) {
	for _, tt := range []struct {
		has       []bool // the batches that are in it, simulated or not
		simulated bool
		want      string
	}{
		{nil, false, ""},
		{nil, true, ""},
		{[]bool{false}, false, ""},
		{[]bool{true}, true, ""},
		{[]bool{false}, true, "holds real batches, and this would be a simulated one"},
		{[]bool{true}, false, "holds simulated batches, and this would be a real one"},
	} {
		store, err := checkpoint.Open(filepath.Join(t.TempDir(), "c.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		for i, simulated := range tt.has {
			err := store.Update(func(tx *checkpoint.Tx) error {
				_, err := tx.NewBatch(checkpoint.NewBatch{Name: fmt.Sprint(i), Cloud: key.Cloud, Tenant: key.Tenant, Simulated: simulated}, time.Now())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s := &connected{Session: batch.Session{Store: store, Simulated: tt.simulated}}
		err = s.separate(t.Context())
		stop, refused := errors.AsType[*batch.Stop](err)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("simulated %v beside %v: %v; want it taken", tt.simulated, tt.has, err)
		case tt.want != "" && (!refused || stop.Code != batch.CodeUsage || !strings.HasSuffix(stop.Why, tt.want)):
			t.Errorf("simulated %v beside %v: %v; want code 2, and that it %s", tt.simulated, tt.has, err, tt.want)
		}
	}
}
