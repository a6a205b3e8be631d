package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

func (a *app) forgetCommand() *cobra.Command {
	var tenant, dir string
	var yes bool
	cmd := &cobra.Command{
		Use:   "forget BATCH",
		Short: "Take a batch out of the checkpoint; its report folder is what remains",
		Long: `forget writes the report folder of a batch and then takes the batch out of the
checkpoint. One that has work that is open or in doubt, an action included of
which nobody knows how it went, that a runner is at work on, or that made calls
within the last two hours, is not forgotten.

Devices of a forgotten batch are not called again by accident: a run looks at the
actions that the tenant already has before it calls.`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, b, err := a.batchNamed(args[0], tenant)
			if err != nil {
				return err
			}
			defer store.Close()
			if err := a.agreeToForget(b, yes); err != nil {
				return err
			}
			if dir == "" {
				dir = b.Name + ".report"
			}
			return a.forget(store, b, dir)
		},
	}
	f := cmd.Flags()
	f.StringVar(&tenant, "tenant-id", "", "tenant `ID`, where several have a batch of that name")
	f.StringVar(&dir, "out", "", "write the report folder `DIR` first (default: NAME.report)")
	f.BoolVar(&yes, "yes", false, "forget without being asked")
	return cmd
}

// agreeToForget has it agreed to that a batch is forgotten.
func (a *app) agreeToForget(b checkpoint.Batch, yes bool) error {
	if yes || b.Simulated {
		return nil
	}
	answer, err := a.ask(fmt.Sprintf("Type %s to forget this batch, anything else to leave: ", b.Name))
	switch {
	case errors.Is(err, errNoTerminal):
		return &batch.Stop{Why: "there is no terminal to ask on", Code: batch.CodeUsage, Hint: "give --yes"}
	case err != nil || answer != b.Name:
		return &batch.Stop{Why: "not agreed to, nothing was forgotten", Code: batch.CodeUsage}
	}
	return nil
}

// forget writes the report folder of a batch, and takes the batch out of the
// checkpoint when the folder is whole.
func (a *app) forget(store *checkpoint.Store, b checkpoint.Batch, dir string) error {
	ctx := context.WithoutCancel(a.Context)
	unlock, err := batch.LockBatch(ctx, store, b)
	if err != nil {
		return err
	}
	defer unlock()
	if err := store.Needed(b.ID, time.Now()); err != nil {
		return a.stillNeeded(err, b)
	}
	folder, err := report.WriteFolder(ctx, store, b.ID, dir, report.FolderOptions{Program: Version})
	if err != nil {
		return notReport(err)
	}
	a.sayLeft(folder)
	err = a.stillNeeded(store.Forget(b.ID, time.Now()), b)
	if err == nil {
		a.say("Forgot      %sbatch %q of %s; its report is in %s", report.Mark(b.Simulated), b.Name, b.Created.Local().Format("2006-01-02"), folder.Dir)
	}
	return err
}

// stillNeeded says what to do about a batch that may not be forgotten yet.
func (a *app) stillNeeded(err error, b checkpoint.Batch) error {
	var needed *checkpoint.ErrNeeded
	if !errors.As(err, &needed) {
		return err
	}
	hint := a.command("status", b.Name) + " tells how it stands"
	switch on := needed.Until.Add(time.Second).Local().Format("2006-01-02 15:04:05"); {
	case needed.Open:
		hint = fmt.Sprintf("%s asks Defender how they went; cancel takes back what no device has carried out; from %s on Defender has dropped them", a.command("track", b.Name), on)
	case !needed.Until.IsZero():
		hint = "it can be from " + on + " on, when the calls are out of the quota's windows"
	}
	return &batch.Stop{Why: err.Error(), Code: batch.CodeUsage, Hint: "nothing was forgotten; " + hint}
}

// retire forgets the tenant's batches that nobody has touched for as long as
// --retention says. Those that are needed stay, and nothing here changes how the
// run ended.
func (a *app) retire(j *job, s *connected) {
	if j.retention == 0 {
		return
	}
	old, err := s.untouched(j.name, s.Clock.Now().Add(-time.Duration(j.retention)))
	if err != nil {
		a.warn(fmt.Sprintf("--retention: %v", err))
		return
	}
	for _, b := range old {
		dir := filepath.Join(filepath.Dir(s.Store.Path()), "forgotten", fileName(b.Name)+"-"+b.Created.UTC().Format("20060102T150405Z"))
		err := a.forget(s.Store, b, dir)
		var stop *batch.Stop
		var other *batch.ErrOtherRunner
		if err != nil && !errors.As(err, &stop) && !errors.As(err, &other) {
			a.warn(fmt.Sprintf("--retention: batch %q: %v", b.Name, err))
		}
	}
}

// untouched are the tenant's other batches on which nothing was done since.
func (s *connected) untouched(but string, since time.Time) (old []checkpoint.Batch, err error) {
	err = s.Store.View(context.Background(), func(r checkpoint.Reader) error {
		all, err := r.Batches()
		if err != nil {
			return err
		}
		for _, b := range all {
			if b.Key.Tenant != s.Key.Tenant || b.Key.Cloud != s.Key.Cloud || b.Name == but || b.Name == "" {
				continue // the one without a name holds calls that serve no batch
			}
			last := b.Created
			runs, err := r.Runs(b.ID)
			if err != nil {
				return err
			}
			for _, run := range runs {
				if run.Alive.After(last) {
					last = run.Alive
				}
			}
			if last.Before(since) {
				old = append(old, b)
			}
		}
		return nil
	})
	return old, err
}

// fileName makes a batch's name fit for a folder on every system.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, name)
}
