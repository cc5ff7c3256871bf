// Package interop has no code of its own: its tests let verifiers that others
// wrote check what Sijill publishes. Tessera's fsck reads the exported tiles and
// recomputes the log, and the note packages of transparency.dev check the
// signatures of the checkpoint.
package interop
