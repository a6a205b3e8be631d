package command

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// rehearse starts the embedded simulator and turns all that a run needs to know
// towards it, whatever the environment says: its endpoint, its authority, its CA
// and a made-up tenant. Without --checkpoint the run starts from fresh books.
func (a *app) rehearse(j *job) error {
	machines, err := j.inventory()
	if err != nil {
		return err
	}
	opt := simulator.Options{Seed: 1, Machines: machines, Faults: j.faults,
		PerMinute: j.perMinute, PerHour: j.perHour, Minute: j.minute, Hour: j.hour, SharedBudget: j.opt.SharedBudget,
		LatencyMin: 10 * time.Millisecond, LatencyMax: 60 * time.Millisecond, Lag: time.Second}
	if j.track { // then the devices are online
		opt.Pending, opt.Running = 2*time.Second, time.Second
	}
	sim, err := simulator.New(opt)
	if err != nil {
		return usage{err}
	}
	if err := sim.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	j.cleanups = append(j.cleanups, func() { sim.Close() })
	dir, err := os.MkdirTemp("", "mde-offboard-simulated-*")
	if err != nil {
		return err
	}
	j.cleanups = append(j.cleanups, func() { os.RemoveAll(dir) })
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, sim.CertPEM(), 0o600); err != nil {
		return err
	}
	j.config.Endpoint, j.config.AuthorityHost, j.config.CAFile = sim.URL(), sim.URL(), ca
	j.connection.source = defender.SecretSource(simulator.DefaultTenant, simulator.DefaultApplication, simulator.DefaultSecret)
	if a.global.checkpoint == "" {
		a.global.checkpoint, j.fresh = filepath.Join(dir, "checkpoint.db"), true
	}
	return nil
}

// faultSpec is a flag for faults.
type faultSpec string

// String is the value as it is given on the command line.
func (s *faultSpec) String() string { return string(*s) }

// Set takes help for a request, which is met before anything else is looked at.
func (s *faultSpec) Set(spec string) error {
	if spec == "help" {
		return request{simulator.FaultHelp()}
	}
	*s = faultSpec(spec)
	return nil
}

// checkFaults refuses faults that there are not.
func checkFaults(spec string) error {
	if _, err := simulator.ParseFaults(spec); err != nil {
		return usage{hinted{fmt.Errorf("--faults: %w", err), "--faults help says what there is"}}
	}
	return nil
}

// Type names the value in the help.
func (s *faultSpec) Type() string { return "faults" }

// request is no error, but what was asked for by the value of a flag.
type request struct{ text string }

func (r request) Error() string { return r.text }
