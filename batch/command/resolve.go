package command

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
	"mde-offboard/report"
)

// lookup are the flags of the command resolve.
type lookup struct {
	connection
	list      input.Options
	spooled   batch.Spooled
	output    string
	simulated bool // the inventory is a simulator's
}

func (a *app) resolveCommand() *cobra.Command {
	l := &lookup{list: input.Options{NamesOK: true}}
	cmd := &cobra.Command{
		Use:   "resolve LIST…",
		Short: "Look device names and Entra device ids up in the inventory: a list that run takes",
		Long: `resolve looks up the devices of a list that has names or Entra device ids in
place of Defender's ids, through the inventory, and never guesses between two:
of several records with one full name it takes the one that is onboarded and
active if it is the only such one. Else each of them has a row of its own in the
output, without an id in MachineId, for a person to choose; run refuses the list
until then. All columns of the list are kept; what stood in the id column and is
no id is kept in a column OriginalId.`,
		Example: "  mde-offboard resolve names.csv -o ids.csv",
		Args:    takes(1, -1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.resolve(l, args) },
	}
	a.checks["resolve"] = l.check
	f := cmd.Flags()
	l.connection.addFlags(f)
	f.Lookup("endpoint").Usage = "`URL` of the API (default: the cloud's)" // there is no batch
	f.StringVar(&l.list.IDColumn, "id-column", "", "`COLUMN` of the device ids (default: found by name and value)")
	f.StringVar(&l.list.CommentColumn, "comment-column", "", "`COLUMN` of the comments (default: found by name)")
	f.StringVar(&l.list.NameColumn, "name-column", "", "`COLUMN` of the device names (default: found by name)")
	f.StringVarP(&l.output, "output", "o", "", "write the list to `FILE` (default: standard output)")
	return cmd
}

func (a *app) resolve(l *lookup, args []string) error {
	files, err := input.Expand(args)
	if err != nil {
		return usage{err}
	}
	var remove func()
	if l.spooled, remove, err = a.spool(files); err != nil {
		return err
	}
	defer remove()
	checked, err := a.checkList(l, files)
	if err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return err
	}
	inv, err := a.tenant(l)
	if err != nil {
		return err
	}
	lists, err := batch.OpenSpooled(files, l.spooled, l.list)
	if err != nil {
		return listError(err)
	}
	defer lists.Close()
	var sum batch.Resolution
	fill := func(w io.Writer) error {
		sum, err = l.write(w, batch.NewResolver(inv), lists, checked)
		return err
	}
	if l.output == "" {
		err = fill(a.Stdout)
	} else {
		err = checkpoint.WriteFile(l.output, fill)
	}
	if err != nil {
		return listError(err)
	}
	return a.tellResolved(l, sum)
}

// checkList refuses a list with bad rows before anybody signs in.
func (a *app) checkList(l *lookup, files []string) (batch.Checked, error) {
	lists, err := batch.OpenSpooled(files, l.spooled, l.list)
	if err != nil {
		return batch.Checked{}, listError(err)
	}
	defer lists.Close()
	c, err := batch.CheckList(lists)
	if err != nil {
		return c, listError(err)
	}
	p := &batch.Plan{List: strings.Join(files, ", "), Lines: c.Lines, Problems: c.Problems, Bad: c.Bad}
	a.showLines(p.List, p.Lines, lists.Notes())
	a.problems(p)
	switch {
	case p.Lines == 0:
		return c, p.Unusable()
	case p.Bad > 0:
		return c, &batch.Stop{Why: fmt.Sprintf("%d of %d lines cannot be looked up", p.Bad, p.Lines), Code: batch.CodeUsage, Hint: "correct them, or delete them"}
	}
	return c, nil
}

// tenant signs in and reads the inventory, for which no permission to offboard
// is needed.
func (a *app) tenant(l *lookup) (*batch.Inventory, error) {
	client, err := l.client(a)
	if err != nil {
		return nil, err
	}
	store, err := a.openStore()
	if err != nil {
		return nil, err
	}
	defer store.Close()
	s, err := a.connect(a.Context, &l.connection, client, store, false)
	if err != nil {
		return nil, err
	}
	if !s.identity.CanRead() {
		return nil, &batch.Stop{Why: fmt.Sprintf("application %s in tenant %s may not read the inventory", s.Key.Application, s.Key.Tenant),
			Code: batch.CodeError, Hint: "grant it Machine.Read.All (for a user's login: Machine.Read) of WindowsDefenderATP, then Grant admin consent"}
	}
	if l.simulated = s.Simulated; l.simulated {
		a.say("SIMULATED: the inventory is that of a rehearsal")
	}
	return s.Inventory(a.Context, "resolve", l.opt, a.note)
}

// resolvedColumns are what resolve adds to a list.
var resolvedColumns = []string{"Resolved", "Candidate", "LastSeen", "HealthStatus", "OnboardingStatus"}

// originalColumn has what stood in the id column and is not the id that is written.
// It is among the columns only if a row has such a thing; run takes it for one that
// came along.
const originalColumn = "OriginalId"

// write writes the list with its ids.
func (l *lookup) write(out io.Writer, r *batch.Resolver, lists *batch.Lists, checked batch.Checked) (batch.Resolution, error) {
	w := csv.NewWriter(out)
	w.UseCRLF = true
	kept := keptColumns(lists.Columns())
	write := func(ours []string, row input.Row, added ...string) error {
		for _, i := range kept {
			cell := ""
			if i < len(row.Extra) { // a short row has fewer
				cell = row.Extra[i]
			}
			ours = append(ours, cell)
		}
		if checked.Instead {
			ours = append(ours, row.Instead)
		}
		return w.Write(append(ours, added...))
	}
	if err := write([]string{"MachineId", "ComputerDnsName", "Comment"}, input.Row{Extra: lists.Columns(), Instead: originalColumn}, resolvedColumns...); err != nil {
		return batch.Resolution{}, err
	}
	sum, err := r.ResolveAll(lists, func(row batch.Resolved) error {
		d, how := row.Device, report.Marked(l.simulated, row.How)
		name := row.Row.Name
		if name == "" {
			name = input.Defuse(d.Name)
		}
		if d.ID != "" || len(row.Candidates) == 0 {
			return write([]string{d.ID, name, row.Row.Comment}, row.Row, append([]string{how, ""}, state(d)...)...)
		}
		for _, c := range row.Candidates {
			if err := write([]string{"", name, row.Row.Comment}, row.Row, append([]string{how, record(c)}, state(c)...)...); err != nil {
				return err
			}
		}
		return nil
	})
	w.Flush()
	if err = errors.Join(err, w.Error()); err == nil && lists.Digest() != checked.Digest {
		err = &batch.Stop{Why: "the list was changed while it was resolved", Code: batch.CodeUsage, Hint: "give the command again"}
	}
	return sum, err
}

// record says which record a candidate is. Its id stands behind a word, so that no
// reader takes the column for one of device ids; records of one short name can be
// of two domains.
func record(d batch.Device) string {
	if d.Name == "" {
		return "record " + d.ID
	}
	return fmt.Sprintf("record %s (%s)", d.ID, d.Name)
}

// state is what helps a person to choose between records.
func state(d batch.Device) []string {
	seen := ""
	if !d.LastSeen.IsZero() {
		seen = d.LastSeen.UTC().Format(time.RFC3339)
	}
	return []string{seen, input.Defuse(d.Health), input.Defuse(d.Onboarding)}
}

// keptColumns are the places of the list's columns that go into the output: all,
// but for those that an earlier resolve has added.
func keptColumns(columns []string) (kept []int) {
	ours := true
	for _, name := range resolvedColumns {
		ours = ours && slices.Contains(columns, name)
	}
	for i, name := range columns {
		if !ours || !slices.Contains(resolvedColumns, name) {
			kept = append(kept, i)
		}
	}
	return kept
}

// tellResolved says how the list was resolved, and ends with 3 if some of it was
// not.
func (a *app) tellResolved(l *lookup, sum batch.Resolution) error {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{sum.ByID, batch.ByID}, {sum.ByName, batch.ByName}, {sum.ByEntra, batch.ByEntra}, {sum.Open, "unresolved"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	a.say("%s: %s", count(sum.Lines, "line"), strings.Join(parts, ", "))
	if sum.Open == 0 {
		if l.output != "" {
			a.say("Output      %s: %s", l.output, a.command("plan", l.output))
		}
		return nil
	}
	for _, line := range sum.Unresolved {
		a.tell(line)
	}
	if rest := sum.Open - len(sum.Unresolved); rest > 0 {
		a.tell(fmt.Sprintf("… and %d more", rest))
	}
	return &batch.Stop{Why: fmt.Sprintf("unresolved: %d of %s", sum.Open, count(sum.Lines, "line")), Code: batch.CodeIncomplete,
		Hint: "in the output, fill in MachineId for the right record of each and delete its other rows, or delete them all: run refuses the list until then"}
}
