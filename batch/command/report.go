package command

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/report"
)

// telling are the flags of the command report.
type telling struct {
	tenant, dir, results, key string
	excel                     bool
}

func (a *app) reportCommand() *cobra.Command {
	t := &telling{}
	cmd := &cobra.Command{
		Use:   "report BATCH",
		Short: "Write the report folder again, from the checkpoint alone",
		Long: `report writes a folder for the audit: results.csv, failed.csv and pending.csv
(each a list that run takes), audit.html, audit.json, and manifest.json with the
SHA-256 of each and the head of the batch's chain. It needs no network, changes
nothing, and writes the same bytes each time.`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.report(t, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&t.tenant, "tenant-id", "", "tenant `ID`, where several have a batch of that name")
	f.StringVar(&t.dir, "out", "", "write the folder `DIR` (default: NAME.report)")
	f.StringVar(&t.results, "results", "", "write the result CSV `FILE` alone, and no folder")
	f.StringVar(&t.key, "key", "", "sign the manifest with the SSH private key in `FILE`")
	f.BoolVar(&t.excel, "excel", false, "write CSV files for Excel: with a byte order mark")
	return cmd
}

func (a *app) report(t *telling, name string) error {
	var key *report.Signer
	if t.key != "" {
		var err error
		if key, err = report.LoadSigner(t.key); err != nil {
			return usage{err}
		}
	}
	store, b, err := a.batchNamed(name, t.tenant)
	if err != nil {
		return err
	}
	defer store.Close()
	a.sayRehearsed(b.Simulated)
	if t.results != "" {
		sum, err := report.WriteResults(a.Context, store, b.ID, t.results, report.ResultOptions{Excel: t.excel})
		if err == nil {
			a.sayResults(t.results, sum)
		}
		return err
	}
	if t.dir == "" {
		t.dir = b.Name + ".report"
	}
	folder, err := report.WriteFolder(a.Context, store, b.ID, t.dir, report.FolderOptions{Excel: t.excel, Key: key, Program: Version})
	if err != nil {
		return notReport(err)
	}
	for i, file := range folder.Files {
		label := ""
		if i == 0 {
			label = "Report"
		}
		a.say("%-11s %s", label, filepath.Join(folder.Dir, file))
	}
	a.sayLeft(folder)
	a.say("Chain       %s", folder.Head)
	return nil
}

// sayLeft names what verify will not know in a report folder.
func (a *app) sayLeft(folder report.Folder) {
	for _, file := range folder.Left {
		a.warn(filepath.Join(folder.Dir, file) + " is of an earlier report and cannot be removed, as where another program holds it open: delete it when it is free")
	}
}

// notReport makes wrong usage of a folder that is something else.
func notReport(err error) error {
	var no *report.NoReport
	if errors.As(err, &no) {
		return &batch.Stop{Why: err.Error(), Code: batch.CodeUsage, Hint: "nothing was written; name a folder that is new, empty or of an earlier report of this batch: --out DIR"}
	}
	return err
}
