package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ServerKey is the key that the server holds in memory while it runs. Whoever
// has it and the disk can read hot office mail, and nothing else.
type ServerKey [32]byte

// NewServerKey makes a random key.
func NewServerKey() (k ServerKey) {
	rand.Read(k[:])
	return k
}

// Derive gives the key for one purpose. Keys of different purposes tell
// nothing about each other.
func (k ServerKey) Derive(purpose string) (out [32]byte) {
	b, err := hkdf.Expand(sha256.New, k[:], "sijill/server/"+purpose, len(out))
	if err != nil {
		panic(err) // Only for lengths over 8,160 bytes.
	}
	copy(out[:], b)
	return out
}

const (
	plainKey      = "sijill-server-key-v1"
	passphraseKey = "sijill-server-key-passphrase-v1"
)

// Errors of key files.
var (
	// ErrPassphraseNeeded says that the key file is locked and no passphrase was given.
	ErrPassphraseNeeded = errors.New("the key file is locked with a passphrase")
	// ErrPassphrase says that the passphrase given doesn't open the key file.
	ErrPassphrase = errors.New("the passphrase does not open the key file")
	// ErrKeyFile says that a file is not a key file, or is damaged.
	ErrKeyFile = errors.New("not a key file of Sijill, or a damaged one")
)

// WriteKeyFile writes k to a new file that only its owner can read, locked
// with a passphrase unless that is empty. An existing file is an error that
// wraps fs.ErrExist: a key is never overwritten.
func WriteKeyFile(path string, k ServerKey, passphrase string) error {
	line := plainKey + " " + base64.StdEncoding.EncodeToString(k[:])
	if passphrase != "" {
		line = passphraseKey + " " + base64.StdEncoding.EncodeToString(lock(k, passphrase))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing key file: %w", err)
	}
	_, err = f.WriteString(line + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing key file: %w", errors.Join(err, os.Remove(path)))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing directory: %w", err)
	}
	defer d.Close()
	return d.Sync()
}

// ReadKeyFile reads a key file. passphrase is called only when the file is
// locked; nil means that nobody can be asked. Errors wrap fs.ErrNotExist,
// ErrKeyFile, ErrPassphraseNeeded or ErrPassphrase.
func ReadKeyFile(path string, passphrase func() (string, error)) (k ServerKey, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return k, fmt.Errorf("reading key file: %w", err)
	}
	if len(b) > 4096 {
		return k, fmt.Errorf("reading key file: %w", ErrKeyFile)
	}
	kind, text, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	raw, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return k, fmt.Errorf("reading key file: %w", ErrKeyFile)
	case kind == plainKey && len(raw) == len(k):
		return ServerKey(raw), nil
	case kind == passphraseKey && passphrase == nil:
		return k, ErrPassphraseNeeded
	case kind == passphraseKey:
		return ask(raw, passphrase)
	}
	return k, fmt.Errorf("reading key file: %w", ErrKeyFile)
}

func ask(locked []byte, passphrase func() (string, error)) (k ServerKey, err error) {
	p, err := passphrase()
	if err != nil {
		return k, fmt.Errorf("asking for the passphrase: %w", err)
	}
	return unlock(locked, p)
}

// A locked key is salt (16) ‖ AES-256-GCM under Argon2id(passphrase, salt),
// nonce zero since each salt gives a key that is used once.
const saltSize = 16

func lock(k ServerKey, passphrase string) []byte {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return stretched(passphrase, salt).Seal(salt, make([]byte, 12), k[:], []byte(passphraseKey))
}

func unlock(locked []byte, passphrase string) (k ServerKey, err error) {
	if len(locked) != saltSize+len(k)+16 {
		return k, ErrKeyFile
	}
	salt, box := locked[:saltSize], locked[saltSize:]
	out, err := stretched(passphrase, bytes.Clone(salt)).Open(nil, make([]byte, 12), box, []byte(passphraseKey))
	if err != nil {
		return k, ErrPassphrase
	}
	return ServerKey(out), nil
}

// stretched takes about half a second and 256 MiB: it is asked for once, when
// the server starts.
func stretched(passphrase string, salt []byte) cipher.AEAD {
	return gcm(argon2.IDKey([]byte(passphrase), salt, 3, 256<<10, 4, 32))
}
