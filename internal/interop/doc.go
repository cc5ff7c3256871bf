// Package interop has no code of its own: its tests let programs that others
// wrote check what Sijill publishes and how it asks. Tessera's fsck reads the
// exported tiles and recomputes the log, the note packages of transparency.dev
// check the signatures of the checkpoint, and Pebble, the certificate authority
// by which Let's Encrypt has ACME clients tested, gives the server its
// certificates.
package interop
