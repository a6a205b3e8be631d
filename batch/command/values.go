package command

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mde-offboard/batch"
)

// percent is a flag for a share: more than 0 and at most 100.
type percent float64

var plainNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// String is the value as it is given on the command line.
func (p *percent) String() string { return fmt.Sprintf("%g", float64(*p)) }

// Set reads digits, with a point where there is need. What a float may be
// otherwise, NaN among it, is no share.
func (p *percent) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !plainNumber.MatchString(s) || v <= 0 || v > 100 {
		return errors.New("it is not a share from above 0 to 100")
	}
	*p = percent(v)
	return nil
}

// Type names the value in the help.
func (p *percent) Type() string { return "percent" }

// thresholdFrom is from how many devices on --max-failures is judged.
const thresholdFrom = 20

// threshold is a flag for a number, or a share such as 10%.
type threshold batch.Threshold

// String is the value as it is given on the command line.
func (t *threshold) String() string { return batch.Threshold(*t).String() }

// Set reads the whole of a text.
func (t *threshold) Set(s string) error {
	v := threshold{From: thresholdFrom}
	if share, ok := strings.CutSuffix(s, "%"); ok {
		if err := (*percent)(&v.Percent).Set(share); err != nil {
			return err
		}
	} else if n, err := strconv.ParseUint(s, 10, 31); err != nil {
		return errors.New("it is neither a number nor a share such as 10%")
	} else {
		v.Count = int(n)
	}
	*t = v
	return nil
}

// Type names the value in the help.
func (t *threshold) Type() string { return "threshold" }

// days is a flag for a length of time that is told in days.
type days time.Duration

// String is the value as it is given on the command line.
func (d *days) String() string {
	if *d == 0 {
		return ""
	}
	return fmt.Sprintf("%gd", time.Duration(*d).Hours()/24)
}

// Set reads 90d, or a duration such as 36h.
func (d *days) Set(s string) error {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		v, err := strconv.ParseUint(n, 10, 16)
		if err == nil {
			*d = days(time.Duration(v) * 24 * time.Hour)
		}
		return err
	}
	v, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return err
	case v < 0:
		return errors.New("it is negative")
	}
	*d = days(v)
	return nil
}

// Type names the value in the help.
func (d *days) Type() string { return "days" }

// isEmpty says whether a flag has got nothing for its value, or a list with nothing
// in one of its places. A script gives it so when it takes it from a variable that
// is not set. To heed it as left out would be to cancel a whole batch for --only, or
// to do without a guard.
func isEmpty(f *pflag.Flag) bool {
	blank := func(s string) bool { return strings.TrimSpace(s) == "" }
	if list, ok := f.Value.(pflag.SliceValue); ok {
		all := list.GetSlice()
		return len(all) == 0 || slices.ContainsFunc(all, blank)
	}
	return f.Value.Type() == "string" && blank(f.Value.String())
}

var errEmpty = errors.New("it is empty; leave it out, or say what it is")
