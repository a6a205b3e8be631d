package command

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit it was built from and the version of Go",
		Args:  takes(0, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, _ := debug.ReadBuildInfo()
			fmt.Fprint(a.Stdout, versionText(info))
			return nil
		},
	}
}

// versionText says of which build the program is; info may be nil.
func versionText(info *debug.BuildInfo) string {
	text := fmt.Sprintf("mde-offboard %s\n", Version)
	settings := map[string]string{}
	if info != nil {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	commit := settings["vcs.revision"]
	switch {
	case commit == "":
		commit = "not known"
	case settings["vcs.modified"] == "true":
		commit += ", and changes that are in no commit"
	}
	text += "commit   " + commit + "\n"
	if at := settings["vcs.time"]; at != "" {
		text += "of       " + at + "\n"
	}
	return text + fmt.Sprintf("go       %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
