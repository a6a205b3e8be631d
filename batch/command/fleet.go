package command

import (
	"fmt"
	"io"
	"strings"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/input"
	"mde-offboard/batch/simulator"
)

// anyFleet is how many devices a simulator lists that was given no list: so many
// that a rehearsal's list is not most of the tenant.
const anyFleet = 4000

// inventory makes a fleet for the simulator in which the listed devices are a
// part, as they are in a tenant. What an export says of a device is taken for
// true, so that a rehearsal holds back what a run would.
func (j *job) inventory() (machines []simulator.Machine, err error) {
	if len(j.files) == 0 {
		return fleet(anyFleet), nil
	}
	lists, err := batch.OpenSpooled(j.files, j.spooled, j.list)
	if err != nil {
		return nil, listError(err)
	}
	defer lists.Close()
	for {
		row, err := lists.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, listError(err)
		}
		if row.ID != "" {
			machines = append(machines, machineOf(*row, lists.Columns()))
		}
	}
	return append(machines, fleet(2*len(machines))...), nil
}

// fleet makes devices that nobody lists.
func fleet(n int) []simulator.Machine {
	machines := make([]simulator.Machine, n)
	for i := range machines {
		machines[i] = simulator.Machine{ID: fmt.Sprintf("f1ee7%035x", i), ComputerDNSName: fmt.Sprintf("fleet-%05d.contoso.example", i)}
	}
	return machines
}

// machineOf makes a record of a row: of its name and Entra id, and of the
// columns that the portal's export and the API have.
func machineOf(row input.Row, columns []string) simulator.Machine {
	m := simulator.Machine{ID: row.ID, ComputerDNSName: row.Name, AadDeviceID: row.EntraID}
	for i, cell := range row.Extra {
		switch column := strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(columns[i])); column {
		case "osplatform":
			m.OSPlatform = cell
		case "onboardingstatus":
			m.OnboardingStatus = strings.ReplaceAll(cell, "Can be onboarded", "CanBeOnboarded") // as the portal writes it
		case "healthstatus":
			m.HealthStatus = cell
		case "group", "rbacgroupname":
			m.RbacGroupName = cell
		case "mergedintomachineid":
			m.MergedIntoMachineID = cell
		case "tags", "machinetags":
			if cell != "" {
				m.MachineTags = strings.Split(cell, ",")
			}
		case "lastdeviceupdate", "lastseen":
			m.LastSeen, _ = time.Parse(time.RFC3339, cell) // unreadable: seen lately, as all are by default
		}
	}
	return m
}
