package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// following are the flags of the command track.
type following struct {
	connection
	hours
	batch.TrackOptions
	end ended
}

func (a *app) trackCommand() *cobra.Command {
	t := &following{}
	cmd := &cobra.Command{
		Use:   "track BATCH",
		Short: "Ask Defender how the actions of a batch went",
		Long: `track asks Defender how the offboard actions of a batch went: once, or with
--until-final or --for again and again, less often as they grow older. Accepted
means recorded; an action runs when its device next comes online. What Defender
says is kept, for status and report. It can be at work beside a run.

It ends with 0 if all actions succeeded, 3 if some failed, timed out, were
cancelled or are missing, and 4 if some are open.`,
		Example: "  mde-offboard track decommission --until-final --for 8h",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.end.batch = args[0]
			err := a.track(t, args[0])
			a.logTheEnd(&t.end, err)
			return err
		},
	}
	a.checks["track"] = t.checkFlags
	f := cmd.Flags()
	t.connection.addFlags(f)
	f.DurationVar(&t.Every, "every", time.Minute, "look again after `D`, and less often as the actions grow older")
	f.BoolVar(&t.UntilFinal, "until-final", false, "look again until every action is final")
	f.StringVar(&t.until, "until", "", "look again until this `TIME`, such as 06:00: the next time that the clock of --timezone shows it")
	f.DurationVar(&t.length, "for", 0, "look again for `D`, such as 8h (default: no end)")
	t.addTimezone(f, "--until")
	f.BoolVar(&t.Inventory, "inventory", false, "at the end, keep what the inventory says of each device: health, last seen")
	return cmd
}

// checkFlags checks the flags, and works out for how long to look.
func (t *following) checkFlags() error {
	if t.Every <= 0 {
		return usage{errors.New("--every must be positive")}
	}
	if err := t.check(); err != nil {
		return err
	}
	now := time.Now()
	end, err := t.endsAt(now)
	if err != nil {
		return usage{err}
	}
	if !end.IsZero() {
		t.For = end.Sub(now)
	}
	return nil
}

func (a *app) track(t *following, name string) error {
	if err := t.checkFlags(); err != nil {
		return err
	}
	if err := a.known(name); err != nil {
		return err
	}
	s, err := a.signedIn(&t.connection, false)
	if err != nil {
		return err
	}
	defer s.Store.Close()
	t.opt.Log = a.log
	if a.code, err = a.follow(s, name, t.TrackOptions, t.opt, &t.end, goesOn, func(batch.Tracking) {}); err != nil {
		return err
	}
	a.sayRefresh(name)
	a.sayRehearsed(s.Simulated)
	return nil
}

// trackOn goes on from a run that has ended into tracking, and writes the result
// CSV anew with what that has shown. What the run ended with stays, unless
// tracking ends worse.
func (a *app) trackOn(j *job, s *connected) error {
	t := batch.TrackOptions{Every: time.Minute, UntilFinal: true}
	if j.simulate {
		t.Every = time.Second // its devices are quick
	}
	if !j.opt.Until.IsZero() {
		t.For = max(time.Millisecond, j.opt.Until.Sub(s.Clock.Now()))
	}
	opt := j.opt
	opt.Allowed, opt.Until = nil, time.Time{} // of calls that change something
	show, end := j.tracking()
	defer end()
	then := goesOn
	if j.fresh {
		then = ""
	}
	code, err := a.follow(s, j.name, t, opt, &j.end, then, show)
	if err != nil {
		return err
	}
	if code != batch.CodeDone {
		a.code = code
	}
	var b checkpoint.Batch
	err = s.Store.View(context.WithoutCancel(a.Context), func(r checkpoint.Reader) (err error) {
		b, err = r.FindBatch(s.Key.Cloud, s.Key.Tenant, j.name)
		return err
	})
	if err != nil {
		return err
	}
	if b, err = a.writeResults(j, s, b.ID); err == nil {
		a.sayResults(j.results, j.end.sum)
		a.say("Chain       %s", b.Head)
	}
	return err
}

// signedIn opens the checkpoint and signs in for a command that reads actions.
func (a *app) signedIn(c *connection, changes bool) (*connected, error) {
	client, err := c.client(a)
	if err != nil {
		return nil, err
	}
	store, err := a.openStore()
	if err != nil {
		return nil, err
	}
	s, err := a.connect(a.Context, c, client, store, changes)
	if err == nil && !s.identity.CanRead() {
		err = &batch.Stop{Why: fmt.Sprintf("application %s in tenant %s may not read machine actions", s.Key.Application, s.Key.Tenant),
			Code: batch.CodeError, Hint: "grant it Machine.Read.All (for a user's login: Machine.Read) of WindowsDefenderATP, then Grant admin consent"}
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return s, nil
}

// goesOn is what there is to say where the books are kept.
const goesOn = " The same command goes on."

// follow tracks a batch, shows it, also to whoever told is for, writes how it ends
// into e, and returns the code to end with. What comes then is said where actions
// are open.
func (a *app) follow(s *connected, name string, t batch.TrackOptions, opt batch.Options, e *ended, then string, told func(batch.Tracking)) (int, error) {
	live := a.live(0)
	t.Note = a.note
	state, stop, err := s.Track(a.Context, name, t, opt, func(t batch.Tracking) {
		live.show(trackFrame(t), clockTime(time.Now())+"  "+trackLine(t))
		told(t)
	})
	live.close()
	if err != nil {
		return batch.CodeError, err
	}
	for _, line := range trackTable(state) {
		fmt.Fprintln(a.Stdout, printable(line))
	}
	e.more = []any{"actions", state.Total, "open", state.Open, "missing", state.Missing}
	if stop != nil {
		a.tellStop(e, stop)
		return stop.Code, nil
	}
	if state.Open > 0 {
		a.say("%s open: the devices carry them out when they next come online.%s", isAre(state.Open, "action"), then)
	}
	if text := unsent(state); text != "" {
		a.say("%s", text)
	}
	return state.Code(), nil
}

// unsent says that there are lines that were not sent, or were turned away, empty if not: the
// code is about the actions alone.
func unsent(t batch.Tracking) string {
	switch {
	case t.Unsent == 0:
		return ""
	case t.Closed:
		return isAre(t.Unsent, "line") + " pending: the batch is closed."
	}
	return isAre(t.Unsent, "line") + " pending: mde-offboard run goes on."
}

func isAre(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

// trackTable is how the actions stand, by status, the most frequent first.
func trackTable(t batch.Tracking) []string {
	lines := []string{"ACTIONS"}
	if t.Simulated {
		lines[0] = "SIMULATED ACTIONS"
	}
	for _, word := range byCount(t.Statuses) {
		lines = append(lines, fmt.Sprintf("%-14s %8d", word, t.Statuses[word]))
	}
	if t.Missing > 0 {
		lines = append(lines, fmt.Sprintf("%-14s %8d   not known to Defender", "(missing)", t.Missing))
	}
	lines = append(lines, fmt.Sprintf("%-14s %8d", "total", t.Total))
	if t.Oldest > 0 {
		lines = append(lines, fmt.Sprintf("The oldest open one is %s old.", short(t.Oldest)))
	}
	return lines
}

// trackLine is the same on one line.
func trackLine(t batch.Tracking) string {
	var parts []string
	for _, word := range byCount(t.Statuses) {
		parts = append(parts, fmt.Sprintf("%d %s", t.Statuses[word], word))
	}
	if t.Missing > 0 {
		parts = append(parts, fmt.Sprintf("%d missing", t.Missing))
	}
	line := count(t.Total, "action") + ": " + strings.Join(parts, ", ")
	if t.Total == 0 {
		line = "no actions"
	}
	if t.Oldest > 0 {
		line += "; the oldest open one is " + short(t.Oldest) + " old"
	}
	if !t.Next.IsZero() {
		line += "; next look at " + clockTime(t.Next)
	}
	return line
}

// trackFrame is the table with when it will be looked at again.
func trackFrame(t batch.Tracking) []string {
	frame := trackTable(t)
	if !t.Next.IsZero() {
		frame = append(frame, "Next look at "+clockTime(t.Next)+".")
	}
	return frame
}

func byCount(counts map[string]int) []string {
	words := sortedKeys(counts)
	slices.SortStableFunc(words, func(a, b string) int { return counts[b] - counts[a] })
	return words
}
