package command

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// takes refuses fewer arguments than least and more than most; most 0: none at all,
// less: any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		why := ""
		switch {
		case len(args) < least:
			why = strings.TrimPrefix(cmd.Use, cmd.Name()+" ") + " is missing"
		case most >= 0 && len(args) > most:
			why = fmt.Sprintf("%q is one argument too many", args[most])
		default:
			return nil
		}
		return usage{hinted{fmt.Errorf("%s: %s", cmd.Name(), why), cmd.CommandPath() + " --help shows how it is called"}}
	}
}

// kinds are what the value of a flag is by its type, where that has no words of its
// own for it.
var kinds = map[string]string{"bool": "neither true nor false", "int": "not a whole number", "int64": "not a whole number",
	"duration": "not a length of time such as 90s or 8h", "days": "not a length of time such as 90d or 36h"}

// badValue says what is wrong with the value of a flag, under the name by which it
// was given; of another error, what that says.
func badValue(err error, name string) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	if name == "" {
		name = "--" + wrong.GetFlag().Name
	}
	kind := kinds[wrong.GetFlag().Value.Type()]
	switch {
	case errors.Is(err, strconv.ErrRange):
		kind = "out of range"
	case kind == "":
		return fmt.Errorf("%s %q: %w", name, wrong.GetValue(), wrong.Unwrap())
	}
	return fmt.Errorf("%s %q is %s", name, wrong.GetValue(), kind)
}

// strict has the commands that cobra brings refuse what they do not know.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return err
			}
		case "completion":
			cmd.Args, cmd.RunE = takes(0, 0), func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}
