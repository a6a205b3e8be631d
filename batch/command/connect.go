package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/quota"
)

// connection are the flags of all commands that call Defender.
type connection struct {
	config       defender.Config
	login        defender.CredentialOptions
	perMinute    int
	perHour      int
	minute, hour time.Duration
	opt          batch.Options
	noInventory  bool
	settles      bool            // the command has --settle-wait
	source       defender.Source // in place of a login, in a rehearsal
}

func (c *connection) addFlags(f *pflag.FlagSet) {
	f.StringVar(&c.login.TenantID, "tenant-id", "", "tenant `ID` (default: AZURE_TENANT_ID)")
	f.StringVar(&c.login.ClientID, "client-id", "", "application (client) `ID` (default: AZURE_CLIENT_ID)")
	f.StringVar(&c.login.Auth, "auth", "default", "log in with `NAME`: "+strings.Join(defender.AuthNames(), ", "))
	f.StringVar(&c.config.Cloud, "cloud", "commercial", "`NAME` of the cloud: "+strings.Join(defender.Clouds(), ", "))
	f.StringVar(&c.config.Endpoint, "endpoint", "", "`URL` of the API (default: the batch's, for a new one the cloud's)")
	f.StringVar(&c.config.Scope, "scope", "", "`SCOPE` of the tokens (default: the cloud's)")
	f.StringVar(&c.config.AuthorityHost, "authority-host", "", "`URL` of the login authority (default: AZURE_AUTHORITY_HOST, else the cloud's)")
	f.StringVar(&c.config.CAFile, "ca-file", "", "trust the certificates in `FILE` (PEM or DER) beside the system's")
	f.IntVar(&c.perMinute, "per-minute", 100, "calls a minute, at most `N`")
	f.IntVar(&c.perHour, "per-hour", 1500, "calls an hour, at most `N`")
	f.BoolVar(&c.opt.SharedBudget, "shared-budget", false, "count all kinds of call in one budget")
	f.DurationVar(&c.minute, "minute", time.Minute, "length `D` of the minute window, for rehearsals on loopback")
	f.DurationVar(&c.hour, "hour", time.Hour, "length `D` of the hour window, for rehearsals on loopback")
	f.IntVar(&c.opt.Workers, "workers", 20, "calls in flight at once, at most `N`, no more than 1500")
	f.DurationVar(&c.config.Timeout, "timeout", time.Minute, "time-out `D` of one call")
	f.DurationVar(&c.opt.MaxOutage, "max-outage", 30*time.Minute, "stop when Defender did not answer for `D`")
}

// mostWorkers is more than any window has slots for, and little memory.
const mostWorkers = 1500

// check refuses what would break a promise.
func (c *connection) check() error {
	target, err := defender.Resolve(c.config.Cloud, c.config.Endpoint, c.config.Scope, c.config.AuthorityHost)
	if err != nil {
		return usage{err}
	}
	if _, err := defender.NewSource(c.login); err != nil {
		return usage{fmt.Errorf("--auth: %w", err)}
	}
	if c.perMinute < 1 || c.perHour < 1 {
		return usage{errors.New("--per-minute and --per-hour must be 1 or more")}
	}
	if c.opt.Workers < 1 || c.opt.Workers > mostWorkers {
		return usage{fmt.Errorf("--workers must be from 1 to %d", mostWorkers)}
	}
	if c.opt.Limit < 0 {
		return usage{errors.New("--limit must not be negative")}
	}
	if c.config.Timeout <= 0 || c.minute <= 0 || c.hour <= 0 {
		return usage{errors.New("--timeout, --minute and --hour must be positive")}
	}
	if c.opt.SettleWait < 0 {
		return usage{errors.New("--settle-wait must not be negative")}
	}
	if !target.Loopback {
		switch {
		case c.perMinute > 100, c.perHour > 1500:
			return usage{errors.New("the quota is 100 calls a minute and 1,500 an hour; more is for loopback only")}
		case c.minute != time.Minute, c.hour != time.Hour:
			return usage{errors.New("--minute and --hour are for loopback only")}
		case c.settles && c.opt.SettleWait < 5*time.Minute:
			return usage{errors.New("--settle-wait under 5m is for loopback only: Defender's reads lag by minutes")}
		}
	}
	c.opt.Timeout = c.config.Timeout
	c.opt.Windows = []quota.Window{{Limit: c.perMinute, Per: c.minute}, {Limit: c.perHour, Per: c.hour}}
	c.opt.NoReads = false
	return nil
}

// client makes the client of this execution.
func (c *connection) client(a *app) (*defender.Client, error) {
	c.login.Prompt = func(message string) {
		a.tell(message)
		if a.wordless {
			a.log.Warn(logNote, "note", message)
		}
	}
	source := c.source
	if source == nil {
		var err error
		if source, err = defender.NewSource(c.login); err != nil {
			return nil, usage{err}
		}
	}
	c.config.Version, c.config.Logger = Version, a.log
	client, err := defender.New(c.config, source)
	switch {
	case err == nil:
		return client, nil
	case defender.ClassOf(err) == defender.BadIdentity: // what is wrong is not on the command line
		return nil, err
	}
	return nil, usage{err}
}

// connected is a signed-in session and who it is for.
type connected struct {
	batch.Session
	identity defender.Identity
	target   defender.Target
}

// connect signs in, before anything else is done, and checks what the token
// says against what is needed.
func (a *app) connect(ctx context.Context, c *connection, client *defender.Client, store *checkpoint.Store, offboards bool) (*connected, error) {
	id, err := a.signIn(ctx, client, c.opt.MaxOutage)
	if err != nil {
		return nil, err
	}
	if offboards {
		if err := id.Check(!c.noInventory); err != nil {
			return nil, err
		}
	}
	c.opt.NoReads = !id.CanRead()
	t := client.Target()
	machine, _ := os.Hostname()
	if id.Simulated { // every simulator is the same one, whatever its port
		t.Key = "simulated"
	}
	s := &connected{identity: id, target: t, Session: batch.Session{Store: store, Client: client, Clock: &batch.Clock{},
		Key:  checkpoint.Key{Cloud: t.Key, Tenant: id.Tenant, Application: id.Application},
		Host: t.Host, HostNamed: c.config.Endpoint != "", Simulated: id.Simulated, Who: who(id), Machine: machine, PID: os.Getpid(), Version: Version}}
	return s, s.separate(ctx)
}

// interrupted is how a command ends that was stopped before it did anything.
var interrupted = batch.Interruption("the same command goes on")

// signIn fetches the first token. An authority that cannot be reached is an
// outage like any other: a nightly run may start before the network is up. What
// can be done about it is said with the first wait, not half an hour later.
func (a *app) signIn(ctx context.Context, client *defender.Client, patience time.Duration) (defender.Identity, error) {
	began, pause, said := time.Now(), time.Second, ""
	for {
		id, err := client.Identity(ctx)
		if ctx.Err() != nil {
			return id, interrupted
		}
		if err == nil || defender.ClassOf(err) != defender.NotSent {
			if err != nil {
				err = fmt.Errorf("sign in: %w", err)
			}
			return id, err
		}
		if time.Since(began) >= patience {
			return id, &batch.Stop{Why: fmt.Sprintf("no sign-in for %v", patience), Err: err, Code: batch.CodeStopped,
				Hint: strings.TrimPrefix(hintOf(err)+"; the same command goes on", "; ")}
		}
		a.say("waiting: %v; trying again in %v, until %s", err, pause, clockTime(began.Add(patience)))
		if hint := hintOf(err); hint != "" && hint != said {
			a.say("hint: %s", hint)
			said = hint
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return id, interrupted
		}
		pause = min(2*pause, time.Minute)
	}
}

// separate keeps simulated and real batches in checkpoints of their own.
func (s *connected) separate(ctx context.Context) error {
	var simulated, any bool
	err := s.Store.View(ctx, func(r checkpoint.Reader) (err error) {
		simulated, any, err = r.Simulated()
		return err
	})
	if err != nil || !any || simulated == s.Simulated {
		return err
	}
	kinds := map[bool]string{true: "simulated", false: "real"}
	return &batch.Stop{Why: fmt.Sprintf("the checkpoint %s holds %s batches, and this would be a %s one", s.Store.Path(), kinds[simulated], kinds[s.Simulated]),
		Hint: "name another one: --checkpoint FILE", Code: batch.CodeUsage}
}

// who is the person at work: the one who signed in and the user of the system.
func who(id defender.Identity) string {
	names := []string{id.User}
	if u, err := user.Current(); err == nil {
		names = append(names, u.Username)
	}
	return strings.Join(slices.DeleteFunc(names, func(n string) bool { return n == "" }), " as ")
}

func hintOf(err error) string {
	var e *defender.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}
