// Package mailauth tells who answers for a message, and signs our own.
//
// Judge checks SPF (RFC 7208), every DKIM signature (RFC 6376, 8301, 8463), the
// ARC chain (RFC 8617) and DMARC (RFC 9989) of a message as it arrives, and
// keeps every DNS answer that it used: with this Evidence, Judge comes to the
// same Result years later, when the keys are gone from DNS. Signer puts DKIM
// signatures on what we send; Sealer adds an ARC set to what we forward.
//
// Promises: any bytes may be judged, in time linear in their length, with
// bounds on signatures, instances, header and DNS questions; no verdict
// depends on anything but the message, the peer, the time and the evidence;
// the message's bytes are never changed; reasons are fixed texts that hold
// nothing from the message.
//
// Where the standards leave a choice:
//
//   - A message with more than one From field has a verdict of its own (Froms)
//     and is to be refused: readers show one of them, signatures may cover the
//     other.
//   - A signature that covers a part of the body only (l=) gives "policy", not
//     "pass", unless the part is all of it as it arrived. So does one whose
//     Subject, Date or other field that should be there once has been doubled
//     by a field that it doesn't cover.
//   - RSA keys under 1024 bits fail (RFC 8301 section 3.2); under 2048 bits a
//     signature passes and is marked Weak. SHA-1 fails.
//   - x= and t= are judged against the time of arrival.
//   - DMARC finds the organisational domain by the public suffix list rather
//     than by walking up DNS: two questions at most. sp and np are honoured; pct is
//     ignored as RFC 9989 has it, but pct=0 counts as t=y, which it was
//     used for, and both make a policy one step milder.
//   - An ARC chain changes no DMARC result. Whether it excuses a failure is
//     decided by Overrides.
package mailauth
