package input

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
	"testing"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// benchLines is the length of the lists that the benchmarks read.
const benchLines = 1_000_000

// BenchmarkList reads lists of a million lines from files, finds duplicates,
// and takes the digest, in each encoding, beside encoding/csv alone on the same
// list as UTF-8 in the same run. It reports lines a second of both, our speed
// as a share of encoding/csv's (a fifth is asked for), medians all, and the most
// memory that the process held (200 MiB are allowed).
func BenchmarkList(b *testing.B) {
	plain := writeList(b, encoding.Nop, "")
	for _, bc := range []struct {
		name string
		enc  encoding.Encoding
		mark string
	}{
		{"UTF-8", encoding.Nop, ""},
		{"UTF-8-BOM", encoding.Nop, "\ufeff"},
		{"UTF-16LE", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), ""},
		{"UTF-16BE", unicode.UTF16(unicode.BigEndian, unicode.UseBOM), ""},
		{"Windows-1252", charmap.Windows1252, ""},
	} {
		b.Run(bc.name, func(b *testing.B) {
			file := writeList(b, bc.enc, bc.mark)
			var ours, alone, share []float64
			var peak uint64
			for b.Loop() {
				debug.FreeOSMemory() // every list begins in a fresh process
				start := time.Now()
				readAlone(b, plain)
				between := time.Now()
				peak = max(peak, readList(b, file))
				end := time.Now()
				alone = append(alone, benchLines/between.Sub(start).Seconds())
				ours = append(ours, benchLines/end.Sub(between).Seconds())
				share = append(share, float64(between.Sub(start))/float64(end.Sub(between)))
			}
			b.ReportMetric(median(ours), "lines/s")
			b.ReportMetric(median(alone), "csv-lines/s")
			b.ReportMetric(median(share), "of-csv")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
		})
	}
}

// median keeps what else runs on the machine out of the figures.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// writeList writes a list of benchLines lines and returns its path.
func writeList(b *testing.B, enc encoding.Encoding, mark string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "list.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := enc.NewEncoder().Writer(buffered)
	fmt.Fprintf(w, "%sMachineId,Comment\r\n", mark)
	for i := range benchLines {
		fmt.Fprintf(w, "%032x%08x,\"Gerät ausgemustert, ticket %d\"\r\n", i*7919, i, i)
	}
	if err := buffered.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

func readAlone(b *testing.B, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	for n := -1; ; n++ {
		if _, err := r.Read(); err == io.EOF {
			if n != benchLines {
				b.Fatalf("encoding/csv read %d rows; want %d", n, benchLines)
			}
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// readList reads a list as a plan does and returns the most memory held.
func readList(b *testing.B, path string) (peak uint64) {
	l, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var seen Seen
	for n := 0; ; n++ {
		if n%(1<<13) == 0 {
			peak = max(peak, held())
		}
		row, err := l.Next()
		if err == io.EOF {
			break
		}
		if err != nil || row.Problem != nil {
			b.Fatal(err, row.Problem)
		}
		seen.Add(row.ID, row.File, row.Line)
	}
	if seen.Len() != benchLines {
		b.Fatalf("%s has %d ids; want %d", path, seen.Len(), benchLines)
	}
	return max(peak, held())
}

// held returns the bytes that the Go runtime holds of the system's memory.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
