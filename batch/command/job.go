package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// job are the flags of run and plan: which list, and what to do with it.
type job struct {
	connection
	hours
	watchers
	name     string
	list     input.Options
	req      batch.Request
	retry    []string
	protect  []string
	kept     batch.Spooled // of the protect files
	simulate bool
	faults   string
	results  string
	excel    bool
	yes      bool
	digest   string
	planning bool // the command is plan
	files    []string
	spooled  batch.Spooled
	listName string
	notes    []string    // of the lists, beside those of the plan
	made     *batch.Plan // the last one
	cleanups []func()
	json     bool
	track    bool
	fresh    bool // a rehearsal with books that end with it
	agreed   agreement
	spent    bool // --limit is used up
	begun    bool // a run of this execution has ended
	on       bool // its canary is over, and this execution goes on with the rest
	sent     int  // calls that left in all of them
}

func (j *job) addFlags(f *pflag.FlagSet) {
	j.connection.addFlags(f)
	j.hours.addFlags(f)
	j.hours.addEndFlags(f)
	f.IntVar(&j.opt.Limit, "limit", 0, "make at most `N` offboard calls in this run; 0: no limit")
	f.StringVar(&j.name, "batch", "", "`NAME` of the batch (default: the list's file name without extension)")
	f.StringVar(&j.req.Comment, "comment", "", "`TEXT` for lines that have no comment")
	f.StringVar(&j.list.IDColumn, "id-column", "", "`COLUMN` of the device ids (default: found by name and value)")
	f.StringVar(&j.list.CommentColumn, "comment-column", "", "`COLUMN` of the comments (default: found by name)")
	f.StringVar(&j.list.NameColumn, "name-column", "", "`COLUMN` of the device names (default: found by name)")
	f.BoolVar(&j.req.SkipInvalid, "skip-invalid", false, "leave out lines that cannot be used, instead of refusing the list")
	f.BoolVar(&j.req.Again, "again", false, "take up devices that were accepted or whose action succeeded, too")
	f.StringSliceVar(&j.retry, "retry", nil, "take up devices of these `STATUSES` again: refused, failed (also those whose action failed or timed out)")
	f.BoolVar(&j.noInventory, "no-inventory", false, "do without the inventory, and without the permission to read")
	f.IntVar(&j.req.MaxDevices, "max-devices", 1000, "refuse to offboard more than `N` devices; 0: no limit")
	j.req.MaxPercent = 50
	f.Var((*percent)(&j.req.MaxPercent), "max-percent", "refuse to offboard more than `P` percent of the onboarded inventory, where that is more than 5 devices; 100: no limit")
	f.StringArrayVar(&j.protect, "protect", nil, "never offboard the devices in `FILE`: ids, names with *, tag:…, group:…, os:…, one a line; a line that begins with # is a comment; repeatable")
	f.Var((*days)(&j.req.RecentlySeen), "recently-seen", "hold back devices that were seen within `D`, such as 3d, or whose record does not say when; one that the inventory lacks has left it long ago and is sent, with a warning (default: off)")
	f.IntVar(&j.req.Canary, "canary", 0, "send the first `N` devices, then ask again; unattended, the next run goes on (default: off)")
	f.BoolVar(&j.simulate, "simulate", false, "rehearse against the embedded simulator; no tenant, no login, nothing is changed")
	f.Var((*faultSpec)(&j.faults), "faults", "faults `SPEC` that the simulator plays, such as lost-after=5%,429-seconds@40; help: lists them")
}

func (j *job) addRunFlags(f *pflag.FlagSet) {
	f.StringVar(&j.results, "results", "", "result CSV `FILE` (default: NAME.results.csv beside the list)")
	f.BoolVar(&j.excel, "excel", false, "write the result CSV for Excel: with a byte order mark")
	f.BoolVar(&j.track, "track", false, "when all is sent, go on into track --until-final")
	f.BoolVar(&j.yes, "yes", false, "agree to the plan without being asked")
	f.StringVar(&j.digest, "plan", "", "run exactly the plan with this `DIGEST`, or refuse")
	j.opt.MaxFailures = batch.Threshold{Percent: 10, From: thresholdFrom}
	f.Var((*threshold)(&j.opt.MaxFailures), "max-failures", "stop when more than `N|P%` of the devices failed, from 20 devices on")
	j.settles = true
	f.IntVar(&j.opt.MaxAttempts, "max-attempts", 5, "attempts for one device, at most `N`")
	f.DurationVar(&j.opt.SettleWait, "settle-wait", 5*time.Minute, "how long `D` an action may stay invisible before a device in doubt is called again; shorter on loopback only")
	f.BoolVar(&j.opt.NoTag, "no-comment-tag", false, "send comments without the tag by which actions are known again")
}

// checkFlags refuses values of flags that say on their own that they are wrong.
func (j *job) checkFlags() error {
	for _, s := range j.retry {
		if s != string(checkpoint.Refused) && s != string(checkpoint.Failed) {
			return usage{fmt.Errorf("--retry %q: only refused and failed can be taken up again", s)}
		}
	}
	if j.req.MaxDevices < 0 || j.req.Canary < 0 {
		return usage{errors.New("--max-devices and --canary must not be negative")}
	}
	if _, err := cleanComment(j.req.Comment); err != nil {
		return err
	}
	if err := checkFaults(j.faults); err != nil {
		return err
	}
	c, h := j.connection, j.hours // what they work out is worked out when it is needed
	if j.simulate {
		if c.config.Endpoint != "" || c.config.AuthorityHost != "" || c.login.Auth != "default" {
			return usage{errors.New("--simulate brings an endpoint and a login of its own; leave out --endpoint, --authority-host and --auth")}
		}
		c.config.Endpoint, c.config.AuthorityHost = "https://127.0.0.1", "https://127.0.0.1"
	}
	if err := c.check(); err != nil {
		return err
	}
	return h.apply(time.Now(), &c.opt)
}

// prepare reads the flags and finds the lists.
func (j *job) prepare(a *app, args []string) (err error) {
	if err := j.checkFlags(); err != nil {
		return err
	}
	for _, s := range j.retry {
		j.req.Retry = append(j.req.Retry, checkpoint.Status(s))
	}
	if j.req.Comment, err = cleanComment(j.req.Comment); err != nil {
		return err
	}
	if j.kept, err = j.spool(a, j.protect); err != nil {
		return err
	}
	if err := j.readProtection(); err != nil {
		return err
	}
	note := ""
	if j.files, note, err = j.lists(args); err != nil {
		return err
	}
	if note != "" {
		j.notes = append(j.notes, note)
	}
	if j.name, j.listName, err = batch.Named(j.files, j.name); err != nil {
		return usage{err}
	}
	j.req.Name, j.opt.Again, a.batch = j.name, j.req.Again, j.name
	if err := checkName(j.name); err != nil {
		return usage{err}
	}
	if err := j.placeResults(a); err != nil {
		return usage{err}
	}
	j.spooled, err = j.spool(a, j.files)
	return err
}

// agreedAhead says whether the command line agrees, so that nobody is asked.
func (j *job) agreedAhead() bool { return j.yes || j.digest != "" }

// readProtection reads the protect files as they are now. What came through a pipe
// stays as it came.
func (j *job) readProtection() (err error) {
	if len(j.protect) == 0 {
		return nil
	}
	if j.req.Protect, err = batch.ReadProtection(j.protect, j.kept); err != nil {
		return usage{fmt.Errorf("--protect: %w", err)}
	}
	return nil
}

// spool keeps what can be read only once for as long as the job lasts.
func (j *job) spool(a *app, files []string) (batch.Spooled, error) {
	kept, remove, err := a.spool(files)
	if err == nil {
		j.cleanups = append(j.cleanups, remove)
	}
	return kept, err
}

// spool keeps the files that can be read only once.
func (a *app) spool(files []string) (kept batch.Spooled, remove func(), err error) {
	kept, remove, err = batch.Spool(a.Context, files, a.Stdin)
	return kept, remove, asInterrupted(err)
}

// unlessStopped reads from whoever may write nothing: the first signal ends it.
func (a *app) unlessStopped(read func() error) error {
	return asInterrupted(batch.Unless(a.Context, read))
}

func asInterrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return interrupted
	}
	return err
}

// cleanup undoes what prepare and rehearse set up.
func (j *job) cleanup() {
	j.drop()
	for i := len(j.cleanups) - 1; i >= 0; i-- {
		j.cleanups[i]()
	}
}
