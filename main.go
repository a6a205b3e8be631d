// Command mde-offboard takes lists of devices out of Microsoft Defender for
// Endpoint, at exactly the rate that Defender allows, and tells what became of
// each.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"mde-offboard/batch/command"
)

func main() { os.Exit(run()) }

func run() int {
	stop, hard := signals()
	home, _ := os.UserHomeDir()
	return command.Main(command.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Home: home,
		Context: stop, Hard: hard}, os.Args[1:])
}

// signals turns the first signal into the end of stop and the second into the
// end of hard.
func signals() (stop, hard context.Context) {
	stop, first := context.WithCancel(context.Background())
	hard, second := context.WithCancel(context.Background())
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-c
		first()
		<-c
		second()
	}()
	return stop, hard
}
