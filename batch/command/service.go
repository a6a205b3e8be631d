package command

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"mde-offboard/batch"
	"mde-offboard/report"
)

// service tells systemd how the program stands, by the protocol of sd_notify:
// datagrams to the socket that NOTIFY_SOCKET names. Without one it says nothing,
// and an error is nobody's concern.
type service struct {
	conn     net.Conn
	watchdog time.Duration // within which systemd wants to hear; zero: it does not

	mu    sync.Mutex
	alive time.Time // the last sign of the run's own loop
	loop  bool      // the run shows progress once a second
	told  time.Time
	done  chan struct{}
	once  sync.Once
	ends  sync.Once
}

// newService connects to the service manager that started this program, if
// there is one.
func newService(getenv func(string) string, pid int) *service {
	s := &service{done: make(chan struct{})}
	if path := getenv("NOTIFY_SOCKET"); path != "" {
		s.conn, _ = net.Dial("unixgram", path) // without a socket nobody listens
	}
	if of := getenv("WATCHDOG_PID"); of == "" || of == strconv.Itoa(pid) {
		if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
			s.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	if s.conn != nil && s.watchdog > 0 {
		go s.pet()
	}
	return s
}

func (s *service) send(state string) {
	if s.conn != nil {
		s.conn.Write([]byte(state))
	}
}

// ready says that the program is at work.
func (s *service) ready() { s.send("READY=1\nSTATUS=planning") }

// stopping says, once, that it is ending.
func (s *service) stopping() { s.ends.Do(func() { s.send("STOPPING=1") }) }

// show passes on how a run stands, at most every ten seconds. Its loop shows
// progress once a second from the moment on at which calls may go out; from
// then on the watchdog looks at it.
func (s *service) show(p batch.Progress) {
	if s.conn == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive, s.loop = time.Now(), p.Wait != batch.WaitLookFirst
	if time.Since(s.told) < 10*time.Second {
		return
	}
	s.told = time.Now()
	s.say(standing(p))
}

// standing is a run's progress in a few words.
func standing(p batch.Progress) string {
	done := 0
	for status, n := range p.Counts {
		if status.Final() {
			done += n
		}
	}
	var parts []string
	if p.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d done", done, p.Total))
	}
	if p.Wait != "" {
		text := "waiting: " + p.Wait
		if !p.Until.IsZero() {
			text += " until " + p.Until.Format(time.RFC3339)
		}
		parts = append(parts, text)
	}
	if !p.DoneAt.IsZero() {
		text := "done by " + p.DoneAt.Format(time.RFC3339)
		if p.Night > 0 {
			text += fmt.Sprintf(" in night %d", p.Night)
		}
		parts = append(parts, text)
	}
	return fmt.Sprintf("batch %s: %s", p.Batch, strings.Join(parts, ", "))
}

// pet keeps the watchdog quiet for as long as the run's loop turns, or has not
// begun to: signing in, planning and looking at what is there may take long.
func (s *service) pet() {
	every := time.NewTicker(s.watchdog / 3)
	defer every.Stop()
	for {
		s.mu.Lock()
		stuck := s.loop && time.Since(s.alive) > s.watchdog/2
		s.mu.Unlock()
		if !stuck {
			s.send("WATCHDOG=1")
		}
		select {
		case <-every.C:
		case <-s.done:
			return
		}
	}
}

// say tells how the program stands while no run's loop turns.
func (s *service) say(text string) { s.send("STATUS=" + report.Plain(text)) }

// rest takes the watchdog's eye off the run's loop, which is over. What comes
// after it may take long too: a question, tracking, the results.
func (s *service) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loop = false
}

// close ends what newService began.
func (s *service) close() {
	s.once.Do(func() {
		close(s.done)
		if s.conn != nil {
			s.conn.Close()
		}
	})
}
