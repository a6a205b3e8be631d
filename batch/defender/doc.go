// Package defender talks to Microsoft Defender for Endpoint: the machine and
// machine action calls, the credentials that authorize them, the clouds they
// live in, and what their errors mean for a device.
//
// # What it guarantees
//
// One call of a method is one HTTP request, or two when the service answers
// the first with a claims challenge. Nothing below repeats a request: the
// pipeline's retries are off, a body cannot be rewound by net/http, reads go
// over HTTP/1.1 with a body that net/http does not replay, no Idempotency-Key
// header is ever set, and redirects are answers, not directions. The [Gate] is
// asked before each of the requests, behind the bearer token, so what it let
// through is what left.
//
// Every error is an [Error] with a [Class] that is decided by the HTTP status
// first and the code second, never by the words of a message. Only Defender's
// own JSON error with a code that is known says something about a device;
// whatever else came back is an [Outage], or [InDoubt] for a POST that was sent
// and may have taken effect. So it is with logins: only Entra's own JSON error is
// a [BadIdentity]; without an answer of the authority's nothing was sent.
//
// Tokens travel over verified TLS only, but for those of a simulator on
// loopback, and are in no log, error or string that this package makes. A token
// for another service than the API, or for another tenant or application than
// the first, is not used.
//
// # What it does not
//
// It does not wait, repeat, pace, remember or decide: that is the work of the
// packages above. It reads no list and writes no file.
package defender
