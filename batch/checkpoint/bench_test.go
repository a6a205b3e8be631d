package checkpoint

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mde-offboard/batch/quota"
)

// BenchmarkCommit is durable commits a second. The ratio of 20 callers to one is
// what sharing a transaction gives.
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 20} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			s := open(b, temp(b))
			batch, _ := start(b, s, "list")
			b.ResetTimer()
			each(b, callers, func(int64) error {
				return s.Update(func(tx *Tx) error {
					_, err := tx.Append(batch, Event{Kind: "note", At: t0, Note: "x"})
					return err
				})
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkCall is a device's whole share of the checkpoint: a slot with its
// intent, and an outcome, with a history of an hour at its limit.
func BenchmarkCall(b *testing.B) {
	for _, callers := range []int{1, 20} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			s := open(b, temp(b))
			d := devices(b.N)
			batch, run := start(b, s, "list", d...)
			budget := Budget{Key: key, Kind: "offboard", Windows: []quota.Window{{Limit: 1e6, Per: time.Minute}, {Limit: 1500, Per: time.Second}}}
			var ticks atomic.Int64
			now := func() time.Time { return t0.Add(time.Duration(ticks.Add(1)) * time.Millisecond) }
			b.ResetTimer()
			each(b, callers, func(n int64) error {
				r, err := s.Reserve(batch, Intent{Run: run, N: n, Device: d[n-1], Tag: Tag()}, budget, now)
				if err != nil {
					return err
				}
				over := now()
				return s.Update(func(tx *Tx) error {
					_, err := tx.Append(batch, Event{Kind: "outcome", At: over, Outcome: []Outcome{{Attempt: r.Attempt, Over: over, Status: 201}},
						Tasks: []TaskChange{{N: n, Status: Accepted, Action: &Action{ID: "a"}}}})
					return err
				})
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// each shares b.N calls of fn, numbered from 1, among some callers.
func each(b *testing.B, callers int, fn func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := fn(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkVerify is how fast a batch of 33,000 devices, and so of about 100,000
// events, is made anew and compared.
func BenchmarkVerify(b *testing.B) {
	const n = 33000
	path := temp(b)
	s := open(b, path)
	d := devices(n)
	batch, run := start(b, s, "list")
	s.mustUpdate(b, func(tx *Tx) error {
		for i, device := range d {
			when, task := at(float64(i)), int64(i+1)
			if _, err := tx.Append(batch, Event{Kind: "lines", At: when, Lines: []Line{{N: task, Position: task, File: "list.csv", Line: i + 2, Device: device, Comment: "Hardware refresh", Extra: []string{"Ada", "Berlin"}}}}); err != nil {
				return err
			}
			a, err := tx.Append(batch, Event{Kind: "intent", At: when, Run: run, Intent: &Intent{Run: run, Key: key.String(), Kind: "offboard", N: task, Device: device, Number: 1, Tag: Tag()},
				Tasks: []TaskChange{{N: task, Status: Sending}}})
			if err != nil {
				return err
			}
			if _, err := tx.Append(batch, outcome(a, task, Accepted, float64(i))); err != nil {
				return err
			}
		}
		return nil
	})
	var events int
	if err := s.db.QueryRow("SELECT COUNT(*) FROM event").Scan(&events); err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := s.Verify(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			again, err := Open(path)
			if err != nil {
				b.Fatal(err)
			}
			again.Close()
		}
	})
}
