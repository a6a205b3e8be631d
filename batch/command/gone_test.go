package command

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// relay is the network between the program and the simulator: it can be cut.
type relay struct {
	t       *testing.T
	to      string
	address string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

// newRelay puts a relay before the simulator.
func newRelay(t *testing.T, r *rig) *relay {
	t.Helper()
	n := &relay{t: t, to: strings.TrimPrefix(r.url, "https://"), address: "127.0.0.1:0"}
	n.up()
	for i, v := range r.env {
		r.env[i] = strings.ReplaceAll(v, r.url, "https://"+n.address)
	}
	t.Cleanup(n.down)
	return n
}

// up lets connections through, at the same address each time.
func (n *relay) up() {
	n.t.Helper()
	l, err := net.Listen("tcp", n.address)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	n.l, n.address = l, l.Addr().String()
	n.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.carry(c)
		}
	}()
}

// down cuts every connection and refuses new ones.
func (n *relay) down() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.l.Close()
	for _, c := range n.conns {
		c.Close()
	}
	n.conns = nil
}

func (n *relay) carry(c net.Conn) {
	s, err := net.Dial("tcp", n.to)
	if err != nil {
		c.Close()
		return
	}
	n.mu.Lock()
	n.conns = append(n.conns, c, s)
	n.mu.Unlock()
	go func() {
		io.Copy(s, c)
		s.Close()
	}()
	io.Copy(c, s)
	c.Close()
}

// TestDefenderGone: the network goes away in the middle of a run. It is said, it
// is tried again, and after the longest outage the run stops with 4; no device is
// marked by it, and when the network is back the same command goes on.
func TestDefenderGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, quick...)
	network := newRelay(t, r)
	ids := r.list("list.csv", 100)
	run := r.command(quickRun("list.csv", "--max-outage", "2s", "--log-level", "debug", "--log-file", "log")...)
	var out strings.Builder
	run.Stderr = &out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	r.await("log", "offboard status=20")
	network.down()
	if err := run.Wait(); run.ProcessState.ExitCode() != 4 {
		t.Errorf("the run without a network: %v; want code 4\n%s", err, out.String())
	}
	for id, row := range r.results("list.results.csv") {
		if s := row["Status"]; s != "accepted" && s != "pending" && s != "in-doubt" {
			t.Errorf("device %s is %s by an outage", id, s)
		}
	}
	network.up()
	code, text := exit(t, r.command(quickRun("list.csv")...))
	want(t, "the same command with the network back", code, text, 0)
	r.judge(ids, r.results("list.results.csv"))
}
