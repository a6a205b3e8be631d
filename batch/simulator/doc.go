// Package simulator is a strict Microsoft Defender for Endpoint to rehearse and test against: the API
// of machines and machine actions, its OAuth authority, its quota, and on request its faults. It
// imports nothing of this program and shares no code with what it judges.
//
// # What it is for
//
// A Server runs in process, as a transport for tests in virtual time, or on a loopback socket with an
// ephemeral CA. Every answer, a fault's too, carries X-Simulated-Defender: 1. Its Books are the judge:
// what arrived, when, and what it led to, by the server's own clock.
//
// Where the real service's behaviour is known, the server has it. Where it is open (sliding or fixed
// windows, what a repeated call answers, 200 or 201, null echoes, the shape of troubleshootInfo, the
// length of a comment) an option chooses, so that a client can be shown to be right either way. Where it is unknown how much is forgiven, the server forgives
// nothing: a comment in the wrong spelling, an unknown query option, a date in quotes are 400.
// A wrong method is 400 too.
//
// # Order of events
//
// A call counts when it arrives, whatever becomes of it. Then come, in this order: the quota (429), the
// fault that was drawn for it, the token (401, 403), the permission (403), the request's form (400), the
// device (404, 400, 403) and an action that is open (Options.Repeat). Only then an action is made.
//
// # Faults
//
// ParseFaults has the grammar. -before means that nothing happened, -after that it did.
//
//	lost-before, lost-after          the connection is lost without an answer
//	500-before, 500-after            500 InternalServerError in Defender's JSON
//	502-html-before, 502-html-after  502 with a gateway's page
//	proxy-403, proxy-404, proxy-407  a proxy's page
//	408, 413                         a page with that status
//	503-retry-after, 503-retry-after-after
//	                                 503 with Retry-After: 5, or the duration
//	h2-refused, h2-refused-after     the HTTP/2 stream is reset with REFUSED_STREAM (HTTP/1.1: lost)
//	h2-goaway, h2-goaway-after       GOAWAY, no stream processed, and the connection's end (HTTP/1.1: lost)
//	cut                              a 2xx whose body ends in the middle; it happened
//	empty, empty-before              a 2xx without a body; without -before it happened
//	notjson, notjson-before          200 with a guest network's page; likewise
//	noid                             a 2xx without the action's id; it happened
//	otherdevice                      a 2xx with another device's id; it happened
//	hang-before, hang-after          no answer ever
//	slow                             the answer comes in drops, over 20 s or the duration; it happened
//	429-seconds, 429-date, 429-message, 429-window, 429-none
//	                                 a hold of 10 s or the duration, and how it is told
//	401                              all tokens are revoked: plain 401; fresh tokens are spared
//	401-cae                          the same, with a claims challenge
//	401-all                          every token is refused, from the first time on
//	403-device                       403 for a share of the devices, by their ids
//	403-all                          403 for all devices
//	404-once                         404 for a device's first such call
//	redirect                         307 to another host, which notes who comes
//	effect-late                      the connection is lost, the effect comes 59 s later, or after the duration
//	lag                              the action can be read only after 110 s, or the duration
//	final-first                      of cancel: the action succeeds a moment before
//	mixed, mixed-quick               all transient ones; those without a long wait
//	seed=7                           the seed of what is drawn
//
// # Magic device ids
//
// Like test card numbers, ids with these beginnings have a fate, so that a list alone can show each
// refusal. They need to be devices that the server knows, through Options.Machines or AnyDevice, except
// for those that are refused. An action that was there before appears with the device: at the start
// for those of the inventory, at the first call for others.
//
//	dead0208  an Offboard action succeeded 30 days ago
//	dead0400  400 OsPlatformNotSupported
//	dead0403  403 Forbidden, for this device alone
//	dead0404  404 ResourceNotFound for good
//	dead0409  an Offboard action of another administrator is open
//	dead0410  an Isolate action of another administrator is open
//	dead0426  400 ClientVersionNotSupported
//	dead0500  500 InternalServerError each time, and nothing happens
//	dead0502  the connection is lost each time, and nothing happens
//	dead0ff1  the device is never online again: the action stays Pending
//	dead713e  the action ends TimeOut
//	deadca11  the action is cancelled by somebody else
//	deadfa11  the action ends Failed
package simulator
