package command

import (
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch"
	"mde-offboard/batch/checkpoint"
)

func variables(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestServiceTells(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no sockets of datagrams by path, and no systemd")
	}
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := newService(variables("NOTIFY_SOCKET", path, "WATCHDOG_USEC", "60000000", "WATCHDOG_PID", "7"), 8)
	defer s.close()
	s.ready()
	s.show(batch.Progress{Batch: "list", Total: 3, Counts: map[checkpoint.Status]int{checkpoint.Accepted: 1, checkpoint.Pending: 2}, Wait: "minute window",
		DoneAt: time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC), Night: 2})
	s.show(batch.Progress{Batch: "list", Total: 3})
	s.say("batch a\nb: tracking 3 actions")
	s.stopping()
	want := []string{"READY=1\nSTATUS=planning", "STATUS=batch list: 1 of 3 done, waiting: minute window, done by 2026-11-22T23:00:00Z in night 2",
		"STATUS=batch a b: tracking 3 actions", "STOPPING=1"}
	var got []string
	for range want {
		b := make([]byte, 200)
		n, _, err := socket.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b[:n]))
	}
	if !slices.Equal(got, want) {
		t.Errorf("datagrams %q; want %q: the second progress within ten seconds, and a watchdog of another process, are left out", got, want)
	}
}

func TestServiceWithoutOne(t *testing.T) {
	s := newService(variables("WATCHDOG_USEC", "60000000"), 8)
	s.ready()
	s.show(batch.Progress{})
	s.stopping()
	s.close()
}

// ear is the far end of a connection.
type ear struct {
	net.Conn
	mu    sync.Mutex
	heard []string
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, string(p))
	return len(p), nil
}

func (e *ear) Close() error { return nil }

// pets counts the signs of life since it was asked last.
func (e *ear) pets() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.heard {
		if strings.HasPrefix(s, "WATCHDOG=1") {
			n++
		}
	}
	e.heard = nil
	return n
}

// last is the last of what was heard that begins so.
func (e *ear) last(begins string) (last string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.heard {
		if strings.HasPrefix(s, begins) {
			last = s
		}
	}
	return last
}

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{}
		s := &service{conn: e, watchdog: 30 * time.Second, done: make(chan struct{})}
		go s.pet()
		time.Sleep(10 * time.Minute)
		if e.pets() < 20 {
			t.Error("while the plan is made the watchdog went hungry")
		}
		for range 600 {
			s.show(batch.Progress{Wait: "hour window"})
			time.Sleep(time.Second)
		}
		if e.pets() < 20 {
			t.Error("while the run's loop turned the watchdog went hungry")
		}
		time.Sleep(15 * time.Second)
		e.pets()
		time.Sleep(10 * time.Minute)
		if n := e.pets(); n != 0 {
			t.Errorf("the run's loop stood still, and the watchdog was fed %d times", n)
		}
		s.rest()
		time.Sleep(time.Minute)
		if e.pets() == 0 {
			t.Error("after the loop the watchdog went hungry")
		}
		s.close()
	})
}
