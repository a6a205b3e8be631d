package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

// find finds a batch by its name alone; two tenants may have one of that name.
func find(r checkpoint.Reader, name, tenant string) (checkpoint.Batch, error) {
	all, err := r.Batches()
	if err != nil {
		return checkpoint.Batch{}, err
	}
	var found []checkpoint.Batch
	for _, b := range all {
		if b.Name == name && (tenant == "" || b.Key.Tenant == tenant) {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 0:
		return checkpoint.Batch{}, usage{fmt.Errorf("batch %q: %w\nhint: mde-offboard status lists them", name, checkpoint.ErrNoBatch)}
	case 1:
		return found[0], nil
	}
	return checkpoint.Batch{}, usage{fmt.Errorf("batch %q is there for %d tenants\nhint: say which: --tenant-id ID", name, len(found))}
}

func (a *app) reportCommand() *cobra.Command {
	var tenant, results string
	var excel bool
	cmd := &cobra.Command{
		Use:   "report BATCH",
		Short: "Write the results again, from the checkpoint alone",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.openStore()
			if err != nil {
				return err
			}
			defer store.Close()
			var b checkpoint.Batch
			if err := store.View(a.Context, func(r checkpoint.Reader) (err error) {
				b, err = find(r, args[0], tenant)
				return err
			}); err != nil {
				return err
			}
			if results == "" {
				results = b.Name + ".results.csv"
			}
			sum, err := report.WriteResults(a.Context, store, b.ID, results, report.ResultOptions{Excel: excel})
			if err != nil {
				return err
			}
			a.say("Results     %s", sum.Path)
			return nil
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant-id", "", "tenant `ID`, where several have a batch of that name")
	cmd.Flags().StringVar(&results, "results", "", "result CSV `FILE` (default: NAME.results.csv)")
	cmd.Flags().BoolVar(&excel, "excel", false, "write the result CSV for Excel: with a byte order mark")
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [BATCH]",
		Short: "Show the batches, or one, as they stand",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.openStore()
			if err != nil {
				return err
			}
			defer store.Close()
			return store.View(a.Context, func(r checkpoint.Reader) error {
				all, err := r.Batches()
				if err != nil {
					return err
				}
				for _, b := range all {
					counts, err := r.Counts(b.ID)
					if err != nil {
						return err
					}
					fmt.Fprintf(a.Stdout, "%s\t%s\t%v\n", b.Name, b.Created.Format(time.RFC3339), counts)
				}
				return nil
			})
		},
	}
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check the checkpoint's chains",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.openStore()
			if err != nil {
				return err
			}
			defer store.Close()
			var all []checkpoint.Batch
			if err := store.View(a.Context, func(r checkpoint.Reader) (err error) {
				all, err = r.Batches()
				return err
			}); err != nil {
				return err
			}
			for _, b := range all {
				err := store.Verify(a.Context, b.ID)
				var mismatch *checkpoint.ErrMismatch
				if errors.As(err, &mismatch) {
					return &batch.Stop{Why: err.Error(), Code: batch.CodeIncomplete}
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(a.Stdout, "%s: %d events fit, head %s\n", b.Name, b.Events, b.Head)
			}
			return nil
		},
	}
}
