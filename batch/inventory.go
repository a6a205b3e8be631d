package batch

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/input"
)

// Device is what the inventory knows of one device, as far as lists and guards
// ask for it: a tenant's inventory is in memory whole.
type Device struct {
	ID         string // 40 hexadecimal characters, lower case
	Name       string // empty where the service has none
	EntraID    string
	Platform   string // no closed list
	Onboarding string
	Health     string
	Group      string
	Tags       []string
	LastSeen   time.Time
	MergedInto string // the id of the record that has replaced this one
}

// Onboarded says whether the device is known to be onboarded.
func (d Device) Onboarded() bool { return strings.EqualFold(d.Onboarding, "Onboarded") }

// Inventory is the devices of a tenant as Defender listed them at one moment. A
// device that it does not have may exist: old ones leave it.
type Inventory struct {
	At        time.Time // when its first page was asked for, by our clock
	Theirs    time.Time // the same by Defender's clock, rather early than late; zero: not known
	Onboarded int       // devices that are, without merged records
	devices   []Device
	byID      map[string]int
}

// NewInventory makes an inventory of devices that were listed at a moment.
func NewInventory(at time.Time, devices []Device) *Inventory {
	inv := &Inventory{At: at, devices: devices, byID: make(map[string]int, len(devices))}
	for i, d := range devices {
		inv.byID[d.ID] = i
		if d.Onboarded() && d.MergedInto == "" {
			inv.Onboarded++
		}
	}
	return inv
}

// asked is the moment that its times are compared with: Defender stamps them, so
// by its clock if that is known.
func (inv *Inventory) asked() time.Time {
	if inv.Theirs.IsZero() {
		return inv.At
	}
	return inv.Theirs
}

// Len is the number of its records.
func (inv *Inventory) Len() int { return len(inv.devices) }

// Devices are its records, in the order in which they were listed.
func (inv *Inventory) Devices() iter.Seq[Device] { return slices.Values(inv.devices) }

// Find finds a device by its id.
func (inv *Inventory) Find(id string) (Device, bool) {
	i, ok := inv.byID[id]
	if !ok {
		return Device{}, false
	}
	return inv.devices[i], true
}

// Inventory lists the tenant's devices in pages of 10,000, more than once if that
// takes several: see whole. Its calls count in the quota of their kind like all
// others, in a run of that name which belongs to no batch. note is told, in words,
// when Defender cannot be reached, and which window or hold is waited for.
func (s *Session) Inventory(ctx context.Context, what string, opt Options, note func(string)) (*Inventory, error) {
	c, end, err := s.calls(what, &opt)
	if err != nil {
		return nil, err
	}
	c.note = inWords(note)
	defer s.noteWait(CallListMachines, note, &opt)()
	text := interned{}
	devices, at, err := whole(func() ([]Device, time.Time, error) {
		return pages(ctx, c, CallListMachines, func(d Device) string { return d.ID },
			func(ctx context.Context, skip int, gate defender.Gate) (page []Device, x defender.Exchange, err error) {
				machines, x, err := s.Client.ListMachines(ctx, defender.MachineQuery{Top: pageSize, Skip: skip}, gate)
				for i := range machines {
					page = append(page, text.device(&machines[i]))
				}
				return page, x, err
			})
	})
	theirs := c.serverTime(at)
	if err = errors.Join(err, end(err)); err != nil {
		return nil, readingStop(err)
	}
	inv := NewInventory(at, devices)
	inv.Theirs = theirs
	return inv, nil
}

// mostReadings is how often an inventory of several pages is read at most.
const mostReadings = 3

// whole reads an inventory until a reading brings no device that the ones before
// lacked. Pages have no order that anybody promises: while devices come and go,
// one can move from a page that is still to be read to one that was. A single page
// has no such gap. What the readings say of one device is the last one's.
func whole(read func() ([]Device, time.Time, error)) (all []Device, at time.Time, err error) {
	if all, at, err = read(); err != nil || len(all) < pageSize {
		return all, at, err
	}
	place := make(map[string]int, len(all))
	for i, d := range all {
		place[d.ID] = i
	}
	for n, added := 1, true; added && n < mostReadings; n++ {
		more, _, err := read()
		if err != nil {
			return nil, at, err
		}
		added = false
		for _, d := range more {
			if i, ok := place[d.ID]; ok {
				all[i] = d
				continue
			}
			place[d.ID], added = len(all), true
			all = append(all, d)
		}
	}
	return all, at, nil
}

// readingStop says why a command ends that could not read what it needs.
func readingStop(err error) error {
	switch {
	case defender.ClassOf(err) == defender.Forbidden:
		return &Stop{Why: "the inventory may not be read", Err: err, Code: CodeError,
			Hint: "grant Machine.Read.All, or give --no-inventory: then no device is checked, looked up or settled"}
	case errors.Is(err, context.Canceled):
		return Interruption("the same command goes on")
	}
	return err
}

// calls begins a run of calls that serve no batch. They are in the checkpoint
// all the same, under a batch of the tenant that has no name, since the quota is
// judged by what is there. end writes how the run went.
func (s *Session) calls(what string, opt *Options) (c *caller, end func(error) error, err error) {
	c = s.caller(opt)
	now := s.Clock.Now()
	err = s.Store.Update(func(tx *checkpoint.Tx) error {
		b, err := tx.FindBatch(s.Key.Cloud, s.Key.Tenant, "")
		c.batch = b.ID
		if errors.Is(err, checkpoint.ErrNoBatch) {
			c.batch, err = tx.NewBatch(checkpoint.NewBatch{Cloud: s.Key.Cloud, Tenant: s.Key.Tenant, Application: s.Key.Application,
				Host: s.Host, Simulated: s.Simulated}, now)
		}
		if err != nil {
			return err
		}
		c.run, err = tx.Append(c.batch, checkpoint.Event{Kind: "run", At: now, Start: s.start(what, "changes nothing", opt)})
		return err
	})
	return c, func(failed error) error { return c.endReading(failed) }, err
}

// endReading writes how a run of calls ended that served no batch.
func (c *caller) endReading(failed error) error {
	end := &checkpoint.RunEnd{Run: c.run, At: c.clock.Now(), Why: "done", Code: CodeDone}
	if failed != nil {
		end.Why, end.Code = failed.Error(), CodeError
	}
	return c.store.Update(func(tx *checkpoint.Tx) error {
		_, err := tx.Append(c.batch, checkpoint.Event{Kind: "end", At: end.At, Run: c.run, End: end})
		return err
	})
}

// interned keeps one copy of words that many devices share.
type interned map[string]string

func (in interned) word(s string) string {
	if have, ok := in[s]; ok {
		return have
	}
	s = strings.Clone(s)
	in[s] = s
	return s
}

// device keeps of a record what is asked for.
func (in interned) device(m *defender.Machine) Device {
	d := Device{ID: m.ID, Name: m.ComputerDNSName, EntraID: m.AADDeviceID, MergedInto: m.MergedInto, LastSeen: m.LastSeen,
		Platform: in.word(m.OSPlatform), Onboarding: in.word(m.OnboardingStatus), Health: in.word(m.HealthStatus), Group: in.word(m.RBACGroupName)}
	for _, tag := range m.Tags {
		d.Tags = append(d.Tags, in.word(tag))
	}
	return d
}

// label is a device's name as names are compared: without domain, whether it
// stands before a backslash or behind a dot, and in lower case.
func label(name string) string {
	name, _, _ = strings.Cut(full(name), ".")
	return name
}

// full is a device's whole name as whole names are compared.
func full(name string) string {
	name = strings.ToLower(input.Trim(name))
	name = name[strings.LastIndexByte(name, '\\')+1:]
	return strings.Trim(name, ".$")
}
