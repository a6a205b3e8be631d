package batch

import (
	"fmt"
	"io"
	"strings"

	"mde-offboard/batch/input"
)

// Resolved is one row of a list and the device that it means.
type Resolved struct {
	Row input.Row
	// Device is the one that is meant; without an ID the row is unresolved.
	Device Device
	// How says by what the device was found, or why none was.
	How string
	// Candidates are the records among which a person has to choose.
	Candidates []Device
}

// How a row was resolved.
const (
	ByID    = "by the id in the list"
	ByName  = "by name"
	ByEntra = "by Entra device id"
)

// Resolver finds devices by what lists have in place of their ids. It never
// guesses between two.
type Resolver struct {
	inv     *Inventory
	byLabel map[string][]int // places in the inventory
	byEntra map[string][]int
}

// NewResolver makes a resolver of an inventory.
func NewResolver(inv *Inventory) *Resolver {
	r := &Resolver{inv: inv, byLabel: map[string][]int{}, byEntra: map[string][]int{}}
	for i, d := range inv.devices {
		if name := label(d.Name); name != "" {
			r.byLabel[name] = append(r.byLabel[name], i)
		}
		if id := entra(d.EntraID); id != "" {
			r.byEntra[id] = append(r.byEntra[id], i)
		}
	}
	return r
}

// entra is an Entra device id as they are compared: bare, in lower case.
func entra(id string) string { return strings.ToLower(strings.Trim(id, "{} ")) }

// Resolve finds the device of a row: by its id, else by its Entra id, else by
// its name.
func (r *Resolver) Resolve(row input.Row) Resolved {
	out := Resolved{Row: row}
	if row.ID != "" {
		out.How, out.Device = ByID, Device{ID: row.ID}
		if d, ok := r.inv.Find(row.ID); ok {
			out.Device = d
		}
		return out
	}
	if id := entra(row.EntraID); id != "" {
		if found := r.devices(r.byEntra[id]); len(found) > 0 {
			return out.choose(found, ByEntra).renamed()
		}
	}
	if strings.TrimSpace(row.Name) == "" {
		out.How = "unresolved: the inventory has no device with this Entra id"
		return out
	}
	found := r.named(row.Name)
	if len(found) == 0 {
		out.How = "unresolved: not in the inventory"
		return out
	}
	if id := entra(row.EntraID); id != "" {
		for _, d := range found {
			if d.EntraID != "" && entra(d.EntraID) != id {
				out.How, out.Candidates = "unresolved: the device of this name has another Entra id", found
				return out
			}
		}
	}
	return out.choose(found, ByName)
}

// renamed tells of a device that the list knows by another name: a run will hold
// it back for that.
func (out Resolved) renamed() Resolved {
	if d := out.Device; d.Name != "" && out.Row.Name != "" && label(d.Name) != label(out.Row.Name) {
		out.How += ", and its name is " + d.Name
	}
	return out
}

func (r *Resolver) devices(places []int) []Device {
	found := make([]Device, len(places))
	for i, at := range places {
		found[i] = r.inv.devices[at]
	}
	return found
}

// named finds the records that a name may mean: of a short name, those with this
// first label; of a full name, those with the same, and those that the inventory
// knows by the first label alone.
func (r *Resolver) named(name string) (found []Device) {
	whole := full(name)
	for _, d := range r.devices(r.byLabel[label(name)]) {
		known := full(d.Name)
		if known == whole || !strings.Contains(whole, ".") || !strings.Contains(known, ".") {
			found = append(found, d)
		}
	}
	return found
}

// choose takes the only record that can be meant: the only one, or of one device
// that has several the only one that is onboarded and active. Merged records are
// none.
func (out Resolved) choose(found []Device, how string) Resolved {
	var live, active []Device
	for _, d := range found {
		if d.MergedInto == "" {
			live = append(live, d)
			if d.Onboarded() && strings.EqualFold(d.Health, "Active") {
				active = append(active, d)
			}
		}
	}
	names := differentNames(live)
	switch {
	case len(live) == 1:
		out.Device, out.How = live[0], how
	case names > 1:
		out.How, out.Candidates = fmt.Sprintf("unresolved: %d records with %d different names, %d of them onboarded and active", len(live), names, len(active)), live
	case len(active) == 1:
		out.Device, out.How = active[0], how+fmt.Sprintf(", the only one of %d that is onboarded and active", len(found))
	case len(live) == 0:
		out.How, out.Candidates = "unresolved: merged into another record", found
	default:
		out.How, out.Candidates = fmt.Sprintf("unresolved: %d records, %d of them onboarded and active", len(live), len(active)), live
	}
	return out
}

// differentNames counts the names of records that cannot be one device's: srv-01 of two
// domains is two devices. A name without a domain may be that of any, and a record
// without a name, too.
func differentNames(records []Device) int {
	labels, names := map[string]bool{}, map[string]bool{}
	for _, d := range records {
		if d.Name != "" {
			labels[label(d.Name)] = true
		}
		if name := full(d.Name); strings.Contains(name, ".") {
			names[name] = true
		}
	}
	return max(len(labels), len(names))
}

// Resolution is what became of a list.
type Resolution struct {
	Lines      int
	ByID       int
	ByName     int
	ByEntra    int
	Unresolved []string // file:line: name: why, of the first 1,000
	Open       int      // all of them
}

// ResolveAll looks up the rows of a list, which must be without problems, and gives
// each to put.
func (r *Resolver) ResolveAll(list lister, put func(Resolved) error) (sum Resolution, err error) {
	for {
		row, err := list.Next()
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
		out := r.Resolve(*row)
		sum.count(out)
		if err := put(out); err != nil {
			return sum, err
		}
	}
}

func (sum *Resolution) count(out Resolved) {
	sum.Lines++
	switch {
	case out.Device.ID == "":
		if sum.Open++; sum.Open <= maxProblems {
			who := out.Row.Name
			if who == "" {
				who = out.Row.EntraID
			}
			sum.Unresolved = append(sum.Unresolved, fmt.Sprintf("%s:%d: %s: %s", out.Row.File, out.Row.Line, who, strings.TrimPrefix(out.How, "unresolved: ")))
		}
	case out.How == ByID:
		sum.ByID++
	case strings.HasPrefix(out.How, ByEntra):
		sum.ByEntra++
	default:
		sum.ByName++
	}
}

// Checked is what was found of a list that is to be looked up.
type Checked struct {
	Lines    int
	Problems []*input.Problem // of the rows that cannot be used, the first 1,000
	Bad      int              // all of them
	Instead  bool             // a row has something else in the id column
	Digest   string
}

// CheckList reads a list to its end.
func CheckList(list lister) (c Checked, err error) {
	for {
		row, err := list.Next()
		if err == io.EOF {
			c.Digest = list.Digest()
			return c, nil
		}
		if err != nil {
			return c, err
		}
		c.Lines++
		c.Instead = c.Instead || row.Instead != ""
		if row.Problem != nil {
			if c.Bad++; c.Bad <= maxProblems {
				c.Problems = append(c.Problems, row.Problem)
			}
		}
	}
}
