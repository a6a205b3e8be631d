// Command mde-offboard takes lists of devices out of Microsoft Defender for
// Endpoint, at exactly the rate that Defender allows, and tells what became of
// each.
package main

import (
	"os"

	"mde-offboard/batch/command"
)

func main() { os.Exit(run()) }

func run() int {
	stop, hard, last := command.Signals()
	home, _ := os.UserHomeDir()
	return command.Main(command.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, LookupEnv: os.LookupEnv, Home: home,
		Context: stop, Hard: hard, Last: last}, os.Args[1:])
}
