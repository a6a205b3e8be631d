package command

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// Signals turns the first signal into the end of stop and the second into the
// end of hard.
//
// Ctrl-C and Ctrl-Break have no hurry: calls in flight are finished. The others
// come from something that will soon kill what is still there, so the end of
// hard follows by itself after a grace, in time to write what is in doubt:
// SIGTERM (systemd, containers, on Windows a console that closes, a logoff, a
// shutdown) and SIGHUP (a terminal that is gone), unless the program was started
// to ignore the latter.
func Signals() (stop, hard context.Context) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return stages(c, grace())
}

// grace is how long calls in flight may take after a signal that announces a
// kill. Containers and Kubernetes kill after 30 s, Windows closes a console
// after 5 s.
func grace() time.Duration {
	if runtime.GOOS == "windows" {
		return 3 * time.Second
	}
	return 20 * time.Second
}

// stages ends stop and hard by the signals that come.
func stages(c <-chan os.Signal, grace time.Duration) (stop, hard context.Context) {
	stop, first := context.WithCancel(context.Background())
	hard, second := context.WithCancel(context.Background())
	go func() {
		s := <-c
		first()
		var late <-chan time.Time
		if s != os.Interrupt {
			late = time.After(grace)
		}
		select {
		case <-c:
		case <-late:
		}
		second()
	}()
	return stop, hard
}
