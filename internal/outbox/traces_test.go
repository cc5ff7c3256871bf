package outbox

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"sijill"
	"sijill/internal/record/recordtest"
	"sijill/internal/vault"
)

// stolen is what somebody who has the pages and the queue's key can open of a
// letter: its first part.
func (f *office) stolen(entry int64, size int) []byte {
	f.Helper()
	var pages []byte
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(filepath.Join(f.home.Dir, "register.db"+end))
		if err != nil && !os.IsNotExist(err) {
			f.Fatal(err)
		}
		pages = append(pages, b...)
	}
	wrapped := len(wrapKey(f.opts.Key, [32]byte{}, entry))
	for i := 0; i+wrapped <= len(pages); i++ {
		key, err := unwrapKey(f.opts.Key, pages[i:i+wrapped], entry)
		if err != nil {
			continue
		}
		aead, err := newAEAD(key)
		if err != nil {
			f.Fatal(err)
		}
		for j := 0; j+size+partOverhead <= len(pages); j++ {
			if b, err := aead.Open(nil, partNonce(0), pages[j:j+size+partOverhead], lastPart(true)); err == nil {
				return b
			}
		}
	}
	return nil
}

// A personal letter that has left opens no more with the server's key: not after the
// server was stopped, nor after it was killed and the directory opened again.
func TestNothingIsLeftOfSentLetters(t *testing.T) {
	for name, ends := range map[string]func(*office){
		"stopped": func(f *office) { f.stop() },
		"killed": func(f *office) {
			o := f.home.Vault
			if err := o.Scrub(t.Context()); err != nil { // As vault.Open does.
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &office{TB: t, home: recordtest.New(t, recordtest.Options{Segment: 1 << 20, VFS: "os"}), routes: map[string]string{}}
			f.setUp(nil)
			ring, err := f.home.Vault.MakeRoots(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range []vault.Root{vault.Everyday, vault.Deep} {
				if err := f.home.Vault.PutEnvelope(t.Context(), ring, r, "recovery", [32]byte{9}); err != nil {
					t.Fatal(err)
				}
			}
			l := letterTo("a@abroad.example")
			l.Class = sijill.Personal
			entry := f.send(l)
			if !bytes.Contains(f.stolen(entry, len(text)), []byte("Subject")) {
				t.Fatal("a letter that waits was not found")
			}
			f.domain("abroad.example", "192.0.2.1", newSink(t, "mx.abroad.example", nil))
			f.run()
			f.ends(entry, 1)
			f.empty()
			ends(f)
			if b := f.stolen(entry, len(text)); b != nil {
				t.Errorf("still there: %q", b)
			}
			f.stop()
		})
	}
}
