package batch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/input"
	"mde-offboard/batch/quota"
	"mde-offboard/batch/simulator"
)

// BenchmarkDevices offboards devices with the windows out of the way and
// durability on, beside a plain HTTP client that posts to the same simulator
// and remembers nothing: devices/s of both, ours as a share of the other, and the
// allocations for a device of both, with those of the simulator, which is in the
// same process.
func BenchmarkDevices(b *testing.B) {
	sim, err := simulator.New(simulator.Options{AnyDevice: true, PerMinute: 1e6, PerHour: 1e6})
	if err != nil {
		b.Fatal(err)
	}
	if err := sim.Listen("127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	const n = 1000
	var ours, plain cost
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		plain.add(func() { post(b, sim, ids(fmt.Sprint("plain ", i), n)) })
		b.StartTimer()
		ours.add(func() { offboardAll(b, sim, ids(fmt.Sprint("ours ", i), n)) })
	}
	done := float64(n * b.N)
	b.ReportMetric(done/ours.took.Seconds(), "devices/s")
	b.ReportMetric(done/plain.took.Seconds(), "plain-devices/s")
	b.ReportMetric(plain.took.Seconds()/ours.took.Seconds(), "of-plain")
	b.ReportMetric(float64(ours.allocs)/done, "allocs/device")
	b.ReportMetric(float64(plain.allocs)/done, "plain-allocs/device")
}

// cost is what something took.
type cost struct {
	took   time.Duration
	allocs uint64
}

func (c *cost) add(do func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	do()
	c.took += time.Since(began)
	runtime.ReadMemStats(&after)
	c.allocs += after.Mallocs - before.Mallocs
}

func ids(about string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = device(fmt.Sprint(about, " ", i))
	}
	return all
}

// offboardAll is the whole job: plan, run, every intent and outcome on the disk.
func offboardAll(b *testing.B, sim *simulator.Server, devices []string) {
	dir := b.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, sim.CertPEM(), 0o600); err != nil {
		b.Fatal(err)
	}
	client, err := defender.New(defender.Config{Endpoint: sim.URL(), AuthorityHost: sim.URL(), CAFile: ca},
		defender.SecretSource(simulator.DefaultTenant, simulator.DefaultApplication, simulator.DefaultSecret))
	if err != nil {
		b.Fatal(err)
	}
	store, err := checkpoint.Open(filepath.Join(dir, "checkpoint.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	s := &Session{Store: store, Client: client, Clock: &Clock{}, Key: checkpoint.Key{Tenant: simulator.DefaultTenant}, Simulated: true}
	o, err := s.Open(b.Context(), "list")
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	list, err := input.NewList("list.csv", strings.NewReader(listOf(devices)), input.Options{})
	if err != nil {
		b.Fatal(err)
	}
	plan, err := MakePlan(list, "list.csv", o.Batch, nil, Request{Name: "list"})
	if err != nil {
		b.Fatal(err)
	}
	r, err := o.Start(b.Context(), plan, "run", "benchmark", Options{Windows: []quota.Window{{Limit: 1e6, Per: time.Minute}},
		Workers: 20, Timeout: time.Minute, SettleWait: 5 * time.Minute, MaxAttempts: 5, MaxOutage: time.Minute, NoReads: true}, nil)
	if err != nil {
		b.Fatal(err)
	}
	if stop := r.Run(b.Context(), context.Background()); stop != nil || r.Counts()[checkpoint.Accepted] != len(devices) {
		b.Fatal(stop, r.Counts())
	}
}

// post is what a script would do: twenty posts at a time, nothing remembered.
func post(b *testing.B, sim *simulator.Server, devices []string) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(sim.CertPEM())
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	token := sim.Token(simulator.TokenRequest{})
	body, _ := json.Marshal(map[string]string{"Comment": "retired"})
	var g errgroup.Group
	g.SetLimit(20)
	for _, id := range devices {
		g.Go(func() error {
			req, err := http.NewRequest(http.MethodPost, sim.URL()+"/api/machines/"+id+"/offboard", bytes.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/json")
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			_, err = io.Copy(io.Discard, res.Body)
			if err == nil && res.StatusCode/100 != 2 {
				err = fmt.Errorf("status %d", res.StatusCode)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}
