// Package sijill is the public format of a Sijill register: everything a
// stranger needs to check what an office says about its mail, and nothing that
// touches a disk or a network.
//
// A register is an append-only verifiable log. Each message that the office
// sends or receives becomes one [Entry] in it before the sender is told that
// the message was accepted. An entry holds no content: it holds a commitment,
// which hides the message until somebody who knows the message's key chooses to
// show it, whole or with passages withheld, and which then binds them to every
// byte.
//
// What the package promises:
//
//   - An entry has one encoding. [ParseEntry] refuses every other, so the bytes
//     that were hashed are the bytes that are shown.
//   - A commitment ([Commit]) tells nothing of the message except the number of
//     its units, to whoever lacks the 32-byte seed. A [Disclosure] shows the
//     units that were kept and nothing of the others, not even their length.
//   - A [Proof] is one text file, in the C2SP tlog-proof format, and needs only
//     the register's public [Keys] to be checked: [Verify] says what holds, or
//     names the step that failed.
//   - Every parser is strict, linear in its input and bounded; none panics.
//
// A proof shows that the message was in the register when the checkpoint was
// signed. It does not show that what the message says is true, that its sender
// is who it names, or that the register holds every message there was. Times in
// entries are the office's own claim; the time of a checkpoint is claimed by
// whoever signed it.
//
// The bytes are described in docs/format.md, from which a verifier can be
// written in another language; testdata/vectors.json was made by an
// implementation independent of this one.
package sijill
