//go:build darwin || linux

package command

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stayAwake keeps the machine from going to sleep by itself until the function
// that it returns is called, by a program of the system: caffeinate on macOS,
// systemd-inhibit on Linux. Where there is none, or it may not be used, the
// machine sleeps as it is set to, and the run goes on when it wakes.
//
// The program watches a pipe that ends with this process, however that ends.
func stayAwake() (release func()) {
	args := []string{"systemd-inhibit", "--what=sleep:idle", "--who=mde-offboard", "--why=a batch is at work", "--mode=block", "cat"}
	if runtime.GOOS == "darwin" {
		args = []string{"caffeinate", "-i", "cat"}
	}
	cmd := exec.Command(args[0], args[1:]...)
	// A session of its own: a Ctrl-C is not for it, and it has no terminal to
	// ask for a password on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return func() {}
	}
	return func() {
		pipe.Close()
		late := time.AfterFunc(2*time.Second, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Wait()
	}
}
