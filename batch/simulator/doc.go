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
// windows, what a repeated call answers, 200 or 201, null echoes) an option chooses, so that a client
// can be shown to be right either way. Where it is unknown how much is forgiven, the server forgives
// nothing: a comment in the wrong spelling, an unknown query option, a date in quotes are 400.
// A wrong method is 400 too, and a comment of more than 1,000 characters, though the real limit is
// not documented.
//
// # Order of events
//
// A call counts when it arrives, whatever becomes of it. Then come, in this order: the quota (429), the
// fault that was drawn for it, the token (401, 403), the permission (403), the request's form (400), the
// device (404, 400, 403) and an action that is open (Options.Repeat). Only then an action is made.
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
