package batch

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/input"
)

// BenchmarkMakePlan plans lists of a million lines from a file, as a new batch: of
// ids and comments, and of the columns that the portal exports. Beside it stands
// encoding/csv alone on the same list in the same run. It reports lines a second of
// both and our speed as a share of encoding/csv's, medians, and the most memory
// that the process held (200 MiB are allowed).
func BenchmarkMakePlan(b *testing.B) {
	export, err := os.ReadFile("../testdata/inputs/portal-export.csv")
	if err != nil {
		b.Fatal(err)
	}
	rows := strings.SplitN(string(export), "\n", 3)
	for _, bc := range []struct{ name, header, row string }{
		{"comments", "MachineId,Comment\r\n", ",\"Gerät ausgemustert, ticket 12345\"\r\n"},
		{"portal", rows[0] + "\n", rows[1][len(device("")):] + "\n"},
	} {
		b.Run(bc.name, func(b *testing.B) { benchmarkPlan(b, bc.header, bc.row) })
	}
}

// benchmarkPlan plans a list of ids that have the rest of a row in common.
func benchmarkPlan(b *testing.B, header, row string) {
	const n = 1_000_000
	path := filepath.Join(b.TempDir(), "list.csv")
	writeLong(b, path, n, header, row)
	var ours, alone, share []float64
	var peak uint64
	for b.Loop() {
		debug.FreeOSMemory()
		start := time.Now()
		readAlone(b, path, n)
		between := time.Now()
		peak = max(peak, planLong(b, path, n))
		end := time.Now()
		alone = append(alone, n/between.Sub(start).Seconds())
		ours = append(ours, n/end.Sub(between).Seconds())
		share = append(share, float64(between.Sub(start))/float64(end.Sub(between)))
	}
	b.ReportMetric(median(ours), "lines/s")
	b.ReportMetric(median(alone), "csv-lines/s")
	b.ReportMetric(median(share), "of-csv")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func writeLong(b *testing.B, path string, n int, header, row string) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprint(w, header)
	for i := range n {
		fmt.Fprintf(w, "%032x%08x%s", i*7919, i, row)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

func readAlone(b *testing.B, path string, n int) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	for i := -1; ; i++ {
		if _, err := r.Read(); err == io.EOF {
			if i != n {
				b.Fatalf("encoding/csv read %d rows; want %d", i, n)
			}
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// measured is a list that looks at the memory from time to time while it is read.
type measured struct {
	*input.List
	rows int
	peak uint64
}

func (m *measured) Next() (*input.Row, error) {
	if m.rows++; m.rows%(1<<13) == 0 {
		m.peak = max(m.peak, held())
	}
	return m.List.Next()
}

// planLong plans a list and returns the most memory held.
func planLong(b *testing.B, path string, n int) uint64 {
	l, err := input.Open(path, input.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	m := &measured{List: l}
	p, err := MakePlan(m, path, checkpoint.Batch{}, nil, Request{Name: "long", Comment: "retired"})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	if p.ToDo != n {
		b.Fatalf("plan of %d devices; want %d", p.ToDo, n)
	}
	if p.Digest(Target{}) == "" {
		b.Fatal("no digest")
	}
	return max(m.peak, held())
}

// held returns the bytes that the Go runtime holds of the system's memory.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
