// Package report shows what a checkpoint holds: the progress of a run, the
// result CSV, the audit page, the JSON beside it, and the manifest that ties a
// report folder together.
//
// A report is a view. It is made from the checkpoint alone, without a network,
// as often as anyone likes; it writes nothing back; and unless the checkpoint
// has changed it comes out byte for byte the same, which is why no report says
// when it was made.
//
// A report says what the API said. Accepted means that Defender recorded a
// machine action, not that a device was offboarded, and no report claims more.
package report
