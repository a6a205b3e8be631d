package command

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// Signals turns the first signal into the end of stop, the second into the end of
// hard and the third into that of last, which comes by itself soon after hard: it
// is for telling how the run ended.
//
// Ctrl-C and Ctrl-Break have no hurry: calls in flight are finished. The others
// come from something that will soon kill what is still there, so the end of
// hard follows by itself after a grace, in time to write what is in doubt:
// SIGTERM (systemd, containers, on Windows a console that closes, a logoff, a
// shutdown) and SIGHUP (a terminal that is gone), unless the program was started
// to ignore the latter. That nobody reads the output any more ends nothing.
func Signals() (stop, hard, last context.Context) {
	// Without this, a write to a pipe that nobody reads any more ends the program.
	// Not by Ignore, which the programs that this one starts would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	c := make(chan os.Signal, 4)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return stages(c, grace(), farewell())
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

// farewell is how long after that the end of the run may be told: all is over
// before the kill.
func farewell() time.Duration {
	if runtime.GOOS == "windows" {
		return 1500 * time.Millisecond
	}
	return 8 * time.Second
}

// stages ends stop, hard and last by the signals that come.
func stages(c <-chan os.Signal, grace, farewell time.Duration) (stop, hard, last context.Context) {
	stop, first := context.WithCancel(context.Background())
	hard, second := context.WithCancel(context.Background())
	last, third := context.WithCancel(context.Background())
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
		select {
		case <-c:
		case <-time.After(farewell):
		}
		third()
	}()
	return stop, hard, last
}
