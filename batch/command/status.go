package command

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

func (a *app) statusCommand() *cobra.Command {
	var tenant string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [BATCH [DEVICE]]",
		Short: "Show the batches, one, or one device of it, as they stand",
		Long: `status shows the batches with what is to do next; one batch with its runs; or one
device of it, by its line, its id or its name, with every attempt.`,
		Args: takes(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.statusOfAll(asJSON)
			}
			store, b, err := a.batchNamed(args[0], tenant)
			if err != nil {
				return err
			}
			defer store.Close()
			if len(args) == 1 {
				return a.statusOf(store, b, asJSON)
			}
			return a.statusOfDevice(store, b, args[1], asJSON)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant-id", "", "tenant `ID`, where several have a batch of that name")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) statusOfAll(asJSON bool) error {
	if !a.hasCheckpoint() {
		if asJSON {
			return a.printJSON([]report.BatchStatus{})
		}
		a.say("No batches yet: " + firstBatch + ".")
		return nil
	}
	store, err := a.openStore()
	if err != nil {
		return err
	}
	defer store.Close()
	all, err := report.Status(a.Context, store, a.asking())
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(all)
	}
	return report.WriteStatus(a.Stdout, all, time.Local)
}

func (a *app) asking() report.StatusOptions {
	machine, _ := os.Hostname()
	return report.StatusOptions{Now: time.Now(), Machine: machine, Command: a.command}
}

func (a *app) statusOf(store *checkpoint.Store, b checkpoint.Batch, asJSON bool) error {
	st, err := report.StatusOf(a.Context, store, b.ID, a.asking())
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(st)
	}
	return report.WriteBatch(a.Stdout, st, time.Local)
}

func (a *app) statusOfDevice(store *checkpoint.Store, b checkpoint.Batch, what string, asJSON bool) error {
	found, err := report.Devices(a.Context, store, b.ID, what)
	var none *report.NotInBatch
	if errors.As(err, &none) {
		return usage{err}
	}
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(found)
	}
	return report.WriteDevices(a.Stdout, found, time.Local)
}

// hasCheckpoint says whether there is one to look at: looking makes none. One
// that is lost is there to be missed as long as its head file is.
func (a *app) hasCheckpoint() bool {
	for _, end := range []string{"", "-head"} {
		if _, err := os.Stat(a.checkpointPath() + end); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
