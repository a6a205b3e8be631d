package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

func (a *app) verifyCommand() *cobra.Command {
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check the checkpoint's chains; a report folder against its manifest",
		Long: `verify checks that every chain of the checkpoint is whole and that its tables say
what the events say. With a folder it checks that against its manifest and, with
the checkpoint at hand, makes every file again from the chain as it was when the
folder was written. The first thing that does not fit is named, and the code is 3.
It is 3 too where something could not be compared: a page that another version
wrote, what calls of other batches did to the quota that the checkpoint no longer
has, a file that an earlier report has left there, or all of it where --checkpoint
names one that lacks the batch. The user's own checkpoint may lack it: an auditor
checks the folder alone, and the code is 0.

In no chain are the clock by which the quota counts and a run's last sign of life:
there verify finds only a call or a hold that counts from earlier than the clock
was ever set back.

A chain without a signature proves order and completeness only to someone who
kept an earlier head; each run prints it.`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.verifyFolder(args[0], key, asJSON)
			}
			return a.verifyCheckpoint(asJSON)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "check that the manifest is signed with the SSH public key in `FILE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// unfit is the answer that something does not fit. A checkpoint that is damaged is
// what verify is there to find.
func unfit(err error) error {
	var chain *checkpoint.ErrMismatch
	var folder *report.Mismatch
	switch {
	case errors.As(err, &chain), errors.As(err, &folder):
		return &batch.Stop{Why: "does not fit: " + err.Error(), Code: batch.CodeIncomplete}
	case errors.Is(err, checkpoint.ErrDamaged):
		return &batch.Stop{Why: "does not fit: " + err.Error(), Code: batch.CodeIncomplete,
			Hint: "nothing was changed, and no run goes on with it; a copy that fits, or the heads that runs have printed, tell what was there"}
	}
	return err
}

// checked is what verify says of a batch, in JSON.
type checked struct {
	Batch     string `json:"batch"`
	Tenant    string `json:"tenant"`
	Simulated bool   `json:"simulated"`
	Events    int64  `json:"events"`
	Head      string `json:"head"`
}

func (a *app) verifyCheckpoint(asJSON bool) error {
	if !a.hasCheckpoint() { // opening it would make one, in which all fits
		return a.noCheckpoint()
	}
	store, err := a.openStore()
	if err != nil {
		return unfit(err)
	}
	defer store.Close()
	if err := store.VerifyAll(a.Context); err != nil {
		return unfit(err)
	}
	var all []checkpoint.Batch
	if err := store.View(a.Context, func(r checkpoint.Reader) (err error) {
		all, err = r.Batches()
		return err
	}); err != nil {
		return err
	}
	found := []checked{}
	for _, b := range all {
		found = append(found, checked{b.Name, b.Key.Tenant, b.Simulated, b.Events, b.Head})
		if !asJSON {
			fmt.Fprintf(a.Stdout, "%sbatch %q: %d events fit, head %s\n", report.Mark(b.Simulated), b.Name, b.Events, b.Head)
		}
	}
	if asJSON {
		return a.printJSON(found)
	}
	return nil
}

func (a *app) noCheckpoint() error {
	return usage{hinted{fmt.Errorf("%s: there is no such checkpoint", a.checkpointPath()), "--checkpoint FILE names another one"}}
}

func (a *app) verifyFolder(dir, keyFile string, asJSON bool) error {
	var key *report.Verifier
	if keyFile != "" {
		var err error
		if key, err = report.LoadVerifier(keyFile); err != nil {
			return usage{err}
		}
	}
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return usage{hinted{fmt.Errorf("%s: there is no such folder", dir), "mde-offboard report BATCH writes one"}}
	} else if err == nil && !info.IsDir() {
		return usage{hinted{fmt.Errorf("%s is not a folder", dir), "name the report folder that it lies in"}}
	}
	// A folder can be checked where there is no checkpoint: at the auditor's. One that
	// is named is to be compared with.
	var store *checkpoint.Store
	switch {
	case !a.hasCheckpoint() && a.namesCheckpoint():
		return a.noCheckpoint()
	case a.hasCheckpoint():
		var err error
		if store, err = a.openStore(); err != nil {
			return unfit(err)
		}
		defer store.Close()
	}
	c, err := report.VerifyFolder(a.Context, dir, store, key, Version)
	if err != nil {
		return unfit(err)
	}
	if len(c.Unmade)+len(c.Stale) > 0 || c.Unknown && a.namesCheckpoint() {
		a.code = batch.CodeIncomplete
	}
	if asJSON {
		return a.printJSON(c)
	}
	fmt.Fprintln(a.Stdout, c.Describe())
	return nil
}
