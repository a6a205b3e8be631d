package command

import (
	"errors"

	"mde-offboard/batch"
)

// bySent is how a command ends that could not begin a run. Whoever refused that
// cannot know whether an earlier one of the same command has sent anything, which is
// added here. If it has, what keeps the rest back is no wrong usage any more:
// somebody did not agree, or a guard has stopped the command on the way.
func (j *job) bySent(err error) error {
	code, hint := codeOf(err)
	_, wrong := errors.AsType[usage](err)
	why, ok := errors.AsType[*batch.Stop](err)
	stop := &batch.Stop{Err: err, Code: code, Asked: ok && why.Asked}
	switch {
	case j.sent == 0 && (wrong || code == batch.CodeOtherRunner): // that has
		return err
	case j.sent == 0:
		stop.Hint = also(hint, "nothing was sent")
		return stop
	case code == batch.CodeUsage && stop.Asked:
		stop.Code = batch.CodeStopped
	case code == batch.CodeUsage:
		stop.Code = batch.CodeGuard
	}
	stop.Why, stop.Hint = "the rest was not sent", also(hint, "what was sent is in the results")
	return stop
}

// also adds to a hint, which may be empty.
func also(hint, more string) string {
	if hint == "" {
		return more
	}
	return hint + "; " + more
}
