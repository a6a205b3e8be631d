package command

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

// metricsEvery is how often the figures are written while a run is at work.
const metricsEvery = 15 * time.Second

// metrics writes the figures of a run in Prometheus' text format to a file, for
// the textfile collector of the node exporter. All have the labels batch, tenant
// (empty when that is not known yet) and simulated. Names stay; new ones may come:
//
//	mde_offboard_devices{status}           lines of the batch by status; absent when that is not known
//	mde_offboard_calls_in_flight           absent, as the windows are, after a run that did not get to work
//	mde_offboard_window_used{window}       calls that each window holds
//	mde_offboard_window_limit{window}
//	mde_offboard_done_timestamp_seconds    when the last call can go; absent when it is not known
//	mde_offboard_done_night                in which of the allowed hours that is, 1 being this night or the next; absent where any hour is
//	mde_offboard_running                   1 while a run is at work
//	mde_offboard_exit_code                 of the run that ended last; absent while one is at work
//	mde_offboard_start_timestamp_seconds   of the run
//	mde_offboard_written_timestamp_seconds of the file
//
// The file names the batch and no device, and others may read it.
type metrics struct {
	path   string
	began  time.Time
	tenant string
	warn   func(error) // of the first write that did not succeed

	mu    sync.Mutex
	wrote time.Time
	last  batch.Progress
	over  bool
	once  sync.Once
}

// show takes the newest state of a run.
func (m *metrics) show(p batch.Progress) {
	if m.path == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = p
	if time.Since(m.wrote) >= metricsEvery {
		m.write(-1)
	}
}

// again writes what is known, for a run that has come further than its calls.
func (m *metrics) again() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.path != "" && !m.over {
		m.write(-1)
	}
}

// end writes how the run ended. A run that found another at work, and told nothing
// itself, leaves the file to that one.
func (m *metrics) end(e *ended) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.path == "" || e.code == batch.CodeOtherRunner && m.wrote.IsZero() {
		return
	}
	p := batch.Progress{Batch: e.batch, Simulated: e.simulated, Counts: m.last.Counts, Usage: m.last.Usage}
	for _, counts := range []map[checkpoint.Status]int{e.stands, e.sum.Counts} {
		if counts != nil {
			p.Counts = counts
		}
	}
	m.last, m.over = p, true
	m.write(e.code)
}

// stands is how the lines of a job's batch stand in the checkpoint, for a run
// that ended before it could say so itself, which then knows too whether the batch
// is a rehearsal or closed; nil if the checkpoint cannot tell, as before it is
// known for which tenant of two the batch is.
func (a *app) stands(j *job) (counts map[checkpoint.Status]int) {
	rehearsal := j.simulate && a.global.checkpoint == "" // its books are fresh ones
	if j.name == "" || rehearsal || !a.hasCheckpoint() {
		return nil
	}
	store, err := a.openStore()
	if err != nil {
		return nil
	}
	defer store.Close()
	tenant := either(j.end.tenant, a.tenantOf(j))
	err = store.View(context.WithoutCancel(a.Context), func(r checkpoint.Reader) error {
		b, err := find(r, j.name, tenant)
		if err != nil {
			return err
		}
		j.end.simulated, j.end.closed = b.Simulated, b.Closed != ""
		counts, err = r.Counts(b.ID)
		return err
	})
	if err != nil || counts == nil {
		return nil
	}
	counts[checkpoint.InDoubt] += counts[checkpoint.Sending] // as the results tell it
	return counts
}

// tenantOf is the tenant of a job before it has signed in, as far as that is known.
func (a *app) tenantOf(j *job) string {
	if j.simulate {
		return ""
	}
	return strings.ToLower(either(j.login.TenantID, a.Getenv("AZURE_TENANT_ID")))
}

// write replaces the file; a code below zero is that of a run at work.
func (m *metrics) write(code int) {
	m.wrote = time.Now()
	err := checkpoint.WritePublic(m.path, func(w io.Writer) error { // the collector is another user
		_, err := io.WriteString(w, m.figures(code))
		return err
	})
	if err != nil {
		m.once.Do(func() {
			if why := tryFile("--metrics-file", m.path); why != nil { // which names no file of a moment
				err = why
			}
			m.warn(err)
		})
	}
}

// figures words the last state.
func (m *metrics) figures(code int) string {
	var b strings.Builder
	p := m.last
	label := fmt.Sprintf(`batch="%s",tenant="%s",simulated="%v"`, escapeLabel(p.Batch), escapeLabel(m.tenant), p.Simulated)
	gauge := func(name, help string, samples ...string) {
		if len(samples) > 0 {
			fmt.Fprintf(&b, "# HELP mde_offboard_%s %s\n# TYPE mde_offboard_%s gauge\n", name, help, name)
		}
		for _, s := range samples {
			fmt.Fprintf(&b, "mde_offboard_%s{%s%s\n", name, label, s)
		}
	}
	value := func(v any) string { return fmt.Sprintf("} %v", v) }
	var devices, used, limits []string
	if p.Counts != nil {
		for _, st := range statuses {
			devices = append(devices, fmt.Sprintf(",status=%q} %d", st, p.Counts[st]))
		}
	}
	for _, u := range p.Usage {
		used = append(used, fmt.Sprintf(",window=%q} %d", u.Window.Per, u.Used))
		limits = append(limits, fmt.Sprintf(",window=%q} %d", u.Window.Per, u.Window.Limit))
	}
	gauge("devices", "Lines of the batch by status.", devices...)
	if p.Usage != nil {
		gauge("calls_in_flight", "Offboard calls without an answer yet.", value(p.InFlight))
	}
	gauge("window_used", "Offboard calls that a window of the quota holds.", used...)
	gauge("window_limit", "Offboard calls that a window of the quota may hold.", limits...)
	if !p.DoneAt.IsZero() {
		gauge("done_timestamp_seconds", "When the last call can go.", value(p.DoneAt.Unix()))
	}
	if p.Night > 0 {
		gauge("done_night", "In which of the allowed hours the last call can go.", value(p.Night))
	}
	running := 1
	if code >= 0 {
		running = 0
		gauge("exit_code", "Code with which the run ended.", value(code))
	}
	gauge("running", "Whether a run is at work.", value(running))
	gauge("start_timestamp_seconds", "When the run began.", value(m.began.Unix()))
	gauge("written_timestamp_seconds", "When this was written.", value(m.wrote.Unix()))
	return b.String()
}

// escapeLabel makes text fit for the value of a label.
func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\ufffd"))
}
