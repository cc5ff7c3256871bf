package sijill

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpoint is the longest signed checkpoint in bytes that is read: room
// for a hundred ML-DSA-44 signatures.
const MaxCheckpoint = 512 << 10

// ErrCheckpoint says that a text isn't a checkpoint.
var ErrCheckpoint = errors.New("not a checkpoint")

// Checkpoint is a state of a register: C2SP tlog-checkpoint, note text.
type Checkpoint struct {
	Origin string // the register's name
	Size   int64  // number of entries
	Root   Hash   // RFC 6962 root over them
	// Extension holds further lines, each ending in a newline; Sijill writes
	// none. ML-DSA-44 signatures don't cover them: don't trust them.
	Extension string
}

// Text returns the note text that is signed.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(c.Root[:]) + "\n" + c.Extension
}

// ParseCheckpoint reads the text of a checkpoint, without signatures, and wraps
// ErrCheckpoint where it isn't one.
func ParseCheckpoint(text string) (Checkpoint, error) {
	origin, rest, ok1 := strings.Cut(text, "\n")
	size, rest, ok2 := strings.Cut(rest, "\n")
	root, extension, ok3 := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(size, 10, 64)
	hash, err2 := decodeBase64([]byte(root))
	c := Checkpoint{Origin: origin, Size: n, Extension: extension}
	if !ok1 || !ok2 || !ok3 || origin == "" || err != nil || err2 != nil || len(hash) != len(c.Root) {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: %w", ErrCheckpoint)
	}
	copy(c.Root[:], hash)
	blank := strings.HasPrefix(extension, "\n") || strings.Contains(extension, "\n\n") ||
		extension != "" && !strings.HasSuffix(extension, "\n")
	if n < 0 || blank || c.Text() != text {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: %w", ErrCheckpoint)
	}
	return c, nil
}

// Sign returns the checkpoint as a signed note (C2SP signed-note) with one
// signature of each signer.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	if _, err := ParseCheckpoint(c.Text()); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return signed, nil
}

// unverifiedCheckpoint reads a signed note and leaves its signatures alone.
func unverifiedCheckpoint(signed []byte) (Checkpoint, error) {
	text, _, ok := bytes.Cut(signed, []byte("\n\n"))
	if !ok || len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: %w", ErrCheckpoint)
	}
	return ParseCheckpoint(string(text) + "\n")
}
