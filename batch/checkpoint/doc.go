// Package checkpoint is the durable state of all batches of a user: an SQL
// database that a crash at any line leaves whole.
//
// # What is guaranteed
//
// What Update has returned without an error is on the disk. Each change of a
// batch is an Event, appended to the batch's chain in the same transaction that
// applies it to the other tables, so those tables are views that can be made
// anew from the chain (Verify does). Each event carries the SHA-256 of the one
// before it.
//
// A call's slot in the quota and its intent are one transaction (Reserve). All
// processes that have the checkpoint open share the quota, and a device has at
// most one call in flight or in doubt in all batches of its tenant.
//
// A checkpoint that is cut, changed or replaced is refused by Open or named by
// Verify, and never started anew. The head file beside it, written every few
// seconds of a run and at its end, tells how far each chain had come: without it
// a log that lost its end, and a file that is gone, look like nothing happened.
//
// # What is not
//
// The chain is not signed: it proves order and completeness only to someone who
// kept an earlier head. Events that were lost after the last head was written
// are not missed. Signs of life, the clock and how far the end of a hold has
// moved with it are bookkeeping, of which no event speaks.
//
// SQLite's locks are not to be trusted on a network share, so a checkpoint
// belongs on a local disk. Its files are for the user alone where the system has
// file modes; on Windows the directory is, if it was made here.
package checkpoint
