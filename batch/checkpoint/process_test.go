package checkpoint

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mde-offboard/batch/quota"
)

// The test binary runs itself in one of these roles to be a process of its own.
var roles = map[string]func(s *Store, name string) error{
	"reserve": roleReserve,
	"append":  roleAppend,
	"calls":   roleCalls,
}

const roleVariable = "CHECKPOINT_TEST_ROLE"

func TestMain(m *testing.M) {
	role := roles[os.Getenv(roleVariable)]
	if role == nil {
		os.Exit(m.Run())
	}
	s, err := Open(os.Args[1])
	if err == nil {
		err = errors.Join(role(s, os.Args[2]), s.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process starts this program in a role.
func process(t *testing.T, role, path, name string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Skip("the test binary cannot be found: ", err)
	}
	cmd := exec.Command(exe, path, name)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // stays open: a role may wait on it
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// real is a budget for the time that passes.
var real = Budget{Key: key, Kind: "offboard", Windows: []quota.Window{{Limit: 50, Per: time.Hour}}}

// roleReserve tries to get far more slots than there are and prints how many it
// got. A part of the calls is over, a part was not sent.
func roleReserve(s *Store, name string) error {
	var batch, run int64
	if err := s.Update(func(tx *Tx) (err error) {
		batch, run, err = startIn(tx, name)
		return err
	}); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got, errs := 0, []error(nil)
	for w := range 4 {
		wg.Go(func() {
			for i := range 60 {
				r, err := s.Reserve(batch, Intent{Run: run}, real, time.Now)
				if no := (*NoSlot)(nil); errors.As(err, &no) {
					continue
				}
				unsent := (i+w)%3 == 0
				if err == nil && i%2 == 0 {
					now := time.Now()
					err = s.Update(func(tx *Tx) error {
						_, err := tx.Append(batch, Event{Kind: "outcome", At: now, Outcome: []Outcome{{Attempt: r.Attempt, Over: now, Unsent: unsent}}})
						return err
					})
				}
				mu.Lock()
				if errs = append(errs, err); !(i%2 == 0 && unsent) {
					got++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Println(got)
	return errors.Join(errs...)
}

// TestTwoProcessesShareTheBudget has real processes take slots as fast as they
// can: together they get each slot once, and all of them.
func TestTwoProcessesShareTheBudget(t *testing.T) {
	path := temp(t)
	var total int
	var running []*exec.Cmd
	var outs []*bufio.Scanner
	for i := range 3 { // all three make the checkpoint, if none is there
		cmd, out := process(t, "reserve", path, fmt.Sprint("list", i))
		running, outs = append(running, cmd), append(outs, out)
	}
	for i, out := range outs {
		out.Scan()
		n, err := strconv.Atoi(out.Text())
		if err != nil {
			t.Errorf("process %d printed %q; want the number of its slots", i, out.Text())
		}
		total += n
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if total != 50 {
		t.Errorf("three processes got %d slots; want 50", total)
	}
	open(t, path).mustVerify(t)
}

// roleAppend writes events without end and prints each once it is durable.
func roleAppend(s *Store, name string) error {
	var batch int64
	if err := s.View(context.Background(), func(r Reader) error {
		b, err := r.FindBatch(key.Cloud, key.Tenant, name)
		batch = b.ID
		return err
	}); err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				note := fmt.Sprintf("%d.%d.%d", os.Getpid(), w, i)
				err := s.Update(func(tx *Tx) error {
					_, err := tx.Append(batch, Event{Kind: "note", At: t0, Note: note})
					return err
				})
				mu.Lock()
				if err == nil {
					_, err = fmt.Println(note)
				}
				mu.Unlock()
				if err != nil {
					return
				}
				if w == 0 && i%8 == 0 {
					s.writeHead(false)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// TestKill kills a process that writes as fast as it can, again and again. What
// it was told is durable is there, and the checkpoint is whole.
func TestKill(t *testing.T) {
	t.Parallel()
	path := temp(t)
	s := open(t, path)
	batch, _ := start(t, s, "list")
	s.Close()
	told := map[string]bool{}
	for kill := range 20 {
		cmd, out := process(t, "append", path, "list")
		// At another point each time: after so many acknowledgements.
		for range 1 + kill*3 {
			if !out.Scan() {
				t.Fatal("the process ended by itself")
			}
			told[out.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() { // what it said before it died
			if strings.Count(out.Text(), ".") == 2 {
				told[out.Text()] = true
			}
		}
		cmd.Wait()
		s, err := Open(path)
		if err != nil {
			t.Fatalf("after kill %d: %v", kill, err)
		}
		there := map[string]bool{}
		for _, note := range notes(t, s, batch) {
			there[note] = true
		}
		for note := range told {
			if !there[note] {
				t.Fatalf("after kill %d: %s was acknowledged and is not there", kill, note)
			}
		}
		s.mustVerify(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) < 20 {
		t.Errorf("%d acknowledged in 20 lives; want more", len(told))
	}
}

// roleCalls takes a slot of the budget, says so, and waits to be killed with the
// call in flight.
func roleCalls(s *Store, name string) error {
	batch, run := int64(0), int64(0)
	err := s.Update(func(tx *Tx) (err error) {
		batch, run, err = startIn(tx, name, "d1")
		return err
	})
	if err != nil {
		return err
	}
	if _, err := s.Reserve(batch, Intent{Run: run, N: 1, Device: "d1"}, budget(1), clock(0)); err != nil {
		return err
	}
	fmt.Println("sent")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// TestKilledWithACallInFlight: the call of a process that is dead keeps its slot
// and its device.
func TestKilledWithACallInFlight(t *testing.T) {
	path := temp(t)
	cmd, out := process(t, "calls", path, "list")
	if !out.Scan() || out.Text() != "sent" {
		t.Errorf("the process said %q; want that it has sent", out.Text())
	}
	cmd.Process.Kill()
	cmd.Wait()
	s := open(t, path)
	if got := s.free(t, budget(1), 1); got != 0 {
		t.Errorf("free with a dead process's call open = %d; want 0", got)
	}
	if got := open(t, path).free(t, budget(1), 120+60.2+unseen.Seconds()); got != 1 {
		t.Errorf("free when it can no longer take effect = %d; want 1", got)
	}
	batch, run := start(t, s, "another")
	s.mustAppend(t, batch, Event{Kind: "lines", At: t0, Lines: []Line{{N: 1, Position: 1, Device: "d1"}}})
	var busy *Busy
	if _, err := s.reserve(batch, run, 1, "d1", budget(9), 600); !errors.As(err, &busy) || busy.Status != Sending {
		t.Errorf("Reserve of its device = %v; want busy, sending", err)
	}
	s.mustVerify(t)
}
