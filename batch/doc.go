// Package batch is the domain: it plans a list, runs it, settles what is in
// doubt, and tracks and cancels what came of it.
//
// # The way of a call
//
// A Session is one sign-in to one tenant. Open takes a batch for this process
// (a lock of the system's, which ends with its process) and puts in doubt what
// a runner that died left open: a fresh batch is the resume of an empty one.
// MakePlan holds the list against the tasks, by device and not by position.
// Start writes the plan that was agreed to, and Run works:
//
//  1. It waits, outside the HTTP pipeline, for windows, holds, outages and the
//     hours that are allowed. One goroutine owns the state and decides.
//  2. A worker's request passes the bearer token, and then the gate, which
//     reserves a slot and writes the intent in one transaction. A crash from
//     there on leaves the device in doubt, never silently called again.
//  3. One request leaves. Nothing below repeats it.
//  4. The outcome is on the disk before anything is said about the device.
//
// Before the first call of a run, and whenever a device is in doubt, one list
// call shows the actions that the tenant has; each attempt is known again by the
// tag in its comment. Absence counts only in a look that began after the settle
// wait, and even then Defender's own refusal stands behind it.
//
// # What is not here
//
// Nothing here prints, asks or knows a flag: that is package command. What
// happened is told by package report, from the checkpoint alone.
package batch
