package command

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

// watchers are the flags by which a run tells those who are not there, and what
// serves them.
type watchers struct {
	metricsFile  string
	notifyURL    string
	notifyFile   string
	notifyFormat string
	retention    days

	metrics *metrics
	service *service
	end     ended
}

// ended is how a run ended, for those who were not there.
type ended struct {
	batch, tenant string
	simulated     bool
	closed        bool // the batch is, as far as was looked
	began         time.Time
	code          int
	why, hint     string // empty: it ran to its end
	idle          bool   // there was nothing to do
	sum           report.Summary
	stands        map[checkpoint.Status]int // the lines of the batch, where sum has none; nil: not known
	head          string
	more          []any // that the log is told
}

func (w *watchers) addFlags(f *pflag.FlagSet) {
	f.StringVar(&w.metricsFile, "metrics-file", "", "write figures to `FILE` in Prometheus' text format, every 15 s and at the end")
	f.StringVar(&w.notifyURL, "notify", "", "post how the run ended as JSON to `URL`, unless there was nothing to do; better given as MDE_OFFBOARD_NOTIFY, as the URL of a webhook is a secret")
	f.StringVar(&w.notifyFile, "notify-file", "", "take the URL of --notify from `FILE`, for where others can read the environment")
	f.StringVar(&w.notifyFormat, "notify-format", notifyPlain, "`SHAPE` of what is posted: plain, teams or slack")
	f.Var(&w.retention, "retention", "forget batches of the tenant that nobody has touched for `D`, such as 90d; their reports are kept beside the checkpoint, in forgotten (default: never)")
}

// watched runs a job and tells those who are not there how it ended.
func (a *app) watched(j *job, args []string) (err error) {
	if err := j.findWebhook(); err != nil {
		return usage{err}
	}
	j.end.began = time.Now()
	j.end.simulated = j.simulate
	j.metrics = &metrics{path: j.metricsFile, began: j.end.began, tenant: a.tenantOf(j), warn: func(err error) { a.warn(err.Error()) }}
	j.service = newService(a.Getenv, os.Getpid())
	defer j.service.close()
	defer context.AfterFunc(a.Context, j.service.stopping)()
	j.service.ready()
	err = a.byVariable(a.run(j, args))
	j.service.stopping()
	a.tellTheEnd(j, err)
	return err
}

// tellTheEnd tells the log, the metrics and whoever is to be notified.
func (a *app) tellTheEnd(j *job, err error) {
	e := &j.end
	e.batch = j.name
	if j.metricsFile != "" && e.sum.Counts == nil {
		e.stands = a.stands(j)
	}
	a.logTheEnd(e, err)
	j.metrics.end(e)
	if !e.idle || e.code != batch.CodeDone {
		a.notify(j, e)
	}
}

// waits tells that a run waits before there is a plan.
func (w *watchers) waits(p batch.Progress) {
	w.metrics.show(p)
	w.service.say(standing(p))
}

// counted counts tasks by status; nil if there are none, as before the first plan.
func counted(tasks []checkpoint.Task) (counts map[checkpoint.Status]int) {
	if len(tasks) > 0 {
		counts = map[checkpoint.Status]int{}
	}
	for i := range tasks {
		counts[tasks[i].Status]++
	}
	return counts
}

// of says whose the run is, from when that is known on.
func (w *watchers) of(s *connected) {
	w.end.tenant, w.end.simulated, w.metrics.tenant = s.Key.Tenant, s.Simulated, s.Key.Tenant
}

// tracking is how a run tells that it tracks: what each look has shown, and
// between two of them, which may be a quarter of an hour apart, that it is there.
func (w *watchers) tracking() (show func(batch.Tracking), end func()) {
	ended := make(chan struct{})
	tick := time.NewTicker(metricsEvery)
	go func() {
		for {
			select {
			case <-tick.C:
				w.metrics.again()
			case <-ended:
				return
			}
		}
	}()
	return func(t batch.Tracking) { w.service.say(fmt.Sprintf("batch %s: tracking %s", t.Batch, trackLine(t))) },
		func() { tick.Stop(); close(ended) }
}

// warn says what does not change how the program ends.
func (a *app) warn(text string) {
	a.tell("warning: " + text)
	a.log.Warn(logNote, "note", text)
}
