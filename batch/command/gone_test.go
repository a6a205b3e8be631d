package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"mde-offboard/batch/simulator"
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

// TestToolGone: az gives no token for a new one in the middle of a run, being too
// slow or without a network. The run waits as in any outage, stops with 4, has
// spent no attempt by it, and the same command goes on; when az says that nobody
// is signed in any more, the run stops at once with 5.
func TestToolGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in is a shell script")
	}
	for _, tt := range []struct {
		reason, fails string
		code          int
		says          string
	}{
		{"too slow", "kill -9 $$", 4, "no answer of Defender's for "},
		{"signed out", "echo 'ERROR: Please run az login' >&2; exit 1", 5, "authorization lost"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, append([]string{"--faults", "401@20"}, quick...)...)
			ids := r.list("list.csv", 60)
			log, mended := filepath.Join(r.dir, "log"), filepath.Join(r.dir, "mended")
			script := fmt.Sprintf("#!/bin/sh\nif [ -e %q ]; then exec cat %[1]q; fi\nif grep -q status=401 %q; then %s; fi\necho '%s'\n", mended, log, tt.fails, r.toolToken())
			if err := os.WriteFile(filepath.Join(r.dir, "az"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			r.env = append(r.env, "PATH="+r.dir+":"+os.Getenv("PATH"))
			args := quickRun("list.csv", "--auth", "azure-cli", "--workers", "1", "--max-outage", "2s", "--log-level", "debug", "--log-file", "log")
			code, out := exit(t, r.command(args...))
			want(t, "the run whose tool is "+tt.reason, code, out, tt.code, tt.says, "AzureCLICredential")
			for id, row := range r.results("list.results.csv") {
				if row["Status"] != "accepted" && (row["Status"] != "pending" || row["Attempts"] != "0") {
					t.Errorf("device %s is %s after %s attempts; want it accepted or untouched", id, row["Status"], row["Attempts"])
				}
			}
			if err := os.WriteFile(mended, []byte(r.toolToken()), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out = exit(t, r.command(args...))
			want(t, "the same command with the tool at work again", code, out, 0)
			r.judge(ids, r.results("list.results.csv"))
		})
	}
}

// toolToken is what az says for a token of the simulator's.
func (r *rig) toolToken() string {
	r.t.Helper()
	res, err := r.http.PostForm(r.url+"/"+simulator.DefaultTenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {simulator.DefaultApplication}, "client_secret": {simulator.DefaultSecret},
		"scope": {"https://api.securitycenter.microsoft.com/.default"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var given struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&given); err != nil || given.Token == "" {
		r.t.Fatalf("the simulator gives no token: %v", err)
	}
	return fmt.Sprintf(`{"accessToken":%q,"expires_on":%d}`, given.Token, time.Now().Add(time.Hour).Unix())
}
