package command

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mde-offboard/batch/simulator"
)

// program builds the real program once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mde-offboard-test-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "mde-offboard")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", path, "mde-offboard").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// rig is a simulator in a process of its own and a folder to work in.
type rig struct {
	t    *testing.T
	dir  string
	path string
	env  []string
	url  string
	sim  *exec.Cmd
	http *http.Client
}

// newRig starts the command simulate.
func newRig(t *testing.T, flags ...string) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("real processes take minutes, and are not built for the race detector")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: t.TempDir(), path: path}
	cmd := exec.Command(path, append([]string{"simulate", "--dir", filepath.Join(r.dir, "sim")}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.sim = cmd
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for len(r.env) < 7 && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		value = strings.Trim(value, "'") // for a shell: a path of Windows has backslashes
		r.env = append(r.env, name+"="+value)
		if name == "MDE_OFFBOARD_ENDPOINT" {
			r.url = value
		}
	}
	r.env = append(r.env, "HOME="+r.dir, "XDG_STATE_HOME="+r.dir, "PATH="+os.Getenv("PATH"), "TMPDIR="+r.dir, "TMP="+r.dir)
	ca, err := os.ReadFile(filepath.Join(r.dir, "sim", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	r.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	return r
}

// list writes a list of n devices.
func (r *rig) list(name string, n int) []string {
	r.t.Helper()
	var ids []string
	text := "MachineId,Comment\n"
	for i := range n {
		ids = append(ids, fmt.Sprintf("%040x", i+1))
		text += ids[i] + ",retired\n"
	}
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return ids
}

func (r *rig) command(args ...string) *exec.Cmd {
	cmd := exec.Command(r.path, args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// books reads the simulator's own books.
func (r *rig) books() (b simulator.Books) {
	r.t.Helper()
	res, err := r.http.Get(r.url + "/simulator/books")
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&b); err != nil {
		r.t.Fatal(err)
	}
	return b
}

// results reads the result CSV into a map from device to row by column.
func (r *rig) results(name string) map[string]map[string]string {
	r.t.Helper()
	f, err := os.Open(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]map[string]string{}
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, cell := range row {
			m[rows[0][i]] = cell
		}
		all[m["MachineId"]] = m
	}
	return all
}

// judge holds the result against the simulator's books: each device once, each
// action id known, the quota kept at arrival over all restarts.
func (r *rig) judge(ids []string, results map[string]map[string]string) {
	r.t.Helper()
	b := r.books()
	if len(b.Doubled) > 0 {
		r.t.Errorf("devices with two actions: %v", b.Doubled)
	}
	for kind, k := range b.Calls {
		if kind != "all" && (k.DensestMinute > b.PerMinute || k.DensestHour > b.PerHour) {
			r.t.Errorf("%s: densest window %d and %d; the quota is %d and %d", kind, k.DensestMinute, k.DensestHour, b.PerMinute, b.PerHour)
		}
	}
	if len(results) != len(ids) {
		r.t.Errorf("the result has %d devices; want %d", len(results), len(ids))
	}
	for _, id := range ids {
		row, device := results[id], b.Devices[id]
		switch {
		case row["Status"] != "accepted":
			r.t.Errorf("device %s: %s (%s); want accepted", id, row["Status"], row["Reason"])
		case device == nil || len(device.Actions) != 1 || device.Actions[0] != row["MachineActionId"]:
			r.t.Errorf("device %s: action %q in the result, in the simulator %+v", id, row["MachineActionId"], device)
		case device.MaxInFlight > 1:
			r.t.Errorf("device %s: %d calls in flight at once", id, device.MaxInFlight)
		}
	}
}

// judgeSoFar holds what a killed runner has left against what it has to be at any
// time: a whole checkpoint, each device once with one status, and what was accepted
// before still accepted, by an action that the simulator has.
func (r *rig) judgeSoFar(ids []string, accepted map[string]string) {
	r.t.Helper()
	for _, args := range [][]string{{"verify"}, {"report", "list", "--results", "so-far.csv"}} {
		code, out := exit(r.t, r.command(args...))
		if want(r.t, args[0]+" after a kill", code, out, 0); code != 0 {
			return // what follows would only say so again
		}
	}
	rows, books := r.results("so-far.csv"), r.books()
	if len(rows) != len(ids) {
		r.t.Errorf("the result has %d devices after a kill; want %d", len(rows), len(ids))
	}
	for _, id := range ids {
		row, device := rows[id], books.Devices[id]
		status, action := row["Status"], row["MachineActionId"]
		before, was := accepted[id]
		switch {
		case was && (status != "accepted" || action != before):
			r.t.Errorf("device %s was accepted by %s, and is %s by %q", id, before, status, action)
		case status == "accepted" && (device == nil || !slices.Contains(device.Actions, action)):
			r.t.Errorf("device %s is accepted by %q; the simulator has %+v", id, action, device)
		case status == "accepted":
			accepted[id] = action
		case status == "pending" && device != nil && len(device.Actions) > 0:
			r.t.Errorf("device %s is pending, and the simulator has %+v", id, device)
		case !slices.Contains([]string{"pending", "in-doubt", "already-active"}, status):
			r.t.Errorf("device %s is %q (%s) after a kill; want it accepted, in doubt, looked up or pending", id, status, row["Reason"])
		}
	}
}

// kills is how many the crash test deals out; more on request.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("MDE_OFFBOARD_TEST_KILLS")); err == nil {
		return n
	}
	return 200
}

// TestKills runs the real program against a simulator in another process and
// kills it with SIGKILL at random moments, again and again, until the batch is
// done; then the next batch, until so many kills were dealt out.
func TestKills(t *testing.T) {
	const lanes = 2
	left := kills()
	var mu sync.Mutex
	more := func() bool {
		mu.Lock()
		defer mu.Unlock()
		left--
		return left >= 0
	}
	for lane := range lanes {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			t.Parallel()
			for seed := uint64(lane); ; seed += lanes {
				if !killBatch(t, seed, more) || t.Failed() {
					return
				}
			}
		})
	}
}

// killBatch kills its way through one batch, and says whether kills are left.
func killBatch(t *testing.T, seed uint64, more func() bool) bool {
	windows := []string{"--per-minute", "30", "--minute", "1s", "--per-hour", "150", "--hour", "6s"}
	r := newRig(t, append(windows, "--seed", fmt.Sprint(seed), "--lag", "300ms", "--latency-max", "150ms", "--throttle", "mixed",
		"--faults", "lost-before=2%,lost-after=2%,500-before=1%,500-after=1%,cut=1%")...)
	ids := r.list("list.csv", 240)
	args := append([]string{"run", "list.csv", "--yes", "--quiet", "--timeout", "1s", "--settle-wait", "1s", "--max-attempts", "20",
		"--max-failures", "100%"}, windows...)
	rng := rand.New(rand.NewPCG(seed, 1))
	again, dealt, accepted := true, 0, map[string]string{}
	for {
		cmd := r.command(args...)
		var out strings.Builder
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var deadline <-chan time.Time // none: this time it may run to its end
		if again && dealt < 25 {
			deadline = time.After(time.Duration(rng.IntN(1500)) * time.Millisecond)
		}
		select {
		case <-deadline:
			cmd.Process.Kill()
			<-ended
			dealt++
			again = more()
			if r.books().Calls[simulator.KindOffboard] != nil { // else there may be no batch yet
				r.judgeSoFar(ids, accepted)
			}
			continue
		case err := <-ended:
			if err != nil {
				t.Fatalf("seed %d after %d kills: %v\n%s", seed, dealt, err, out.String())
			}
		}
		break
	}
	r.judge(ids, r.results("list.results.csv"))
	t.Logf("seed %d: %d kills", seed, dealt)
	return again
}
