package record_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sijill/internal/blob"
	"sijill/internal/db"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// A damaged message is passed over, and the log says which; the mail after it
// comes through.
func TestDamagedMessageIsPassedOver(t *testing.T) {
	d := newDesk(t, 20)
	flipMessage(t, d.Home, letter(7))
	d.Close()
	var log bytes.Buffer
	r, err := reopen(t, d, &log)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a := &ledger{name: "a", version: 1}
	d.mail = d.openMail(t, "")
	f, err := r.Follow(t.Context(), d.mail, d.lease(), a)
	if err != nil {
		t.Fatal(err)
	}
	mustCatchUp(t, f)
	d.check(t, a, 20)
	var passed int
	err = d.mail.Read(t.Context(), func(tx *db.Tx) error {
		return tx.One("SELECT count(*) FROM a WHERE length = -1", nil, &passed)
	})
	if err != nil || passed != 1 {
		t.Fatalf("%d were passed over: %v", passed, err)
	}
	if n := strings.Count(log.String(), "damaged"); n == 0 || strings.Contains(log.String(), "letter") {
		t.Fatalf("the log says %q", log.String())
	}
}

// reopen opens the register of d with a log, over stores that stay open until
// the test ends.
func reopen(t *testing.T, d *desk, log *bytes.Buffer) (*record.Register, error) {
	t.Helper()
	h := &recordtest.Home{Dir: d.Dir}
	if err := h.Open(t.Context(), recordtest.Options{}); err != nil {
		return nil, err
	}
	t.Cleanup(func() { h.Close() })
	return record.Open(t.Context(), record.Options{DB: h.DB, Blobs: h.Blobs, Vault: h.Vault, Accounts: recordtest.Accounts{},
		Turn: filepath.Join(d.Dir, "turn"), Log: slog.New(slog.NewTextHandler(log, nil))})
}

// flipMessage changes one byte of the sealed form of the entry that holds msg.
func flipMessage(t *testing.T, h *recordtest.Home, msg []byte) {
	t.Helper()
	size, _ := h.Register.Head()
	for n := range size {
		it, err := h.Register.Item(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		c, err := it.Content()
		if err != nil || !bytes.Equal(c.Message, msg) {
			continue
		}
		names, _ := filepath.Glob(filepath.Join(h.Dir, "segments", "*.seg"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if i := bytes.Index(b, it.Entry.Message.ID[:]); i >= 0 {
				b[i+30] ^= 1
				_ = os.Chmod(name, 0o600)
				if err := os.WriteFile(name, b, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatal("no such message")
}

// A segment that has lost its end keeps no office closed: what is whole can be
// read, mail is accepted, and reading what is lost says so.
func TestTruncatedSegment(t *testing.T) {
	d := newDesk(t, 20)
	d.Close()
	name := filepath.Join(d.Dir, "segments", "00000001.seg")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()-10); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r, err := reopen(t, d, &log)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if rc := mustAppend(t, r, captured(20, 1)); rc.Entry != 20 {
		t.Fatalf("entry %d, want 20", rc.Entry)
	}
	var lost []int64
	for n := range int64(21) {
		it, err := r.Item(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := it.Content(); errors.Is(err, blob.ErrDamaged) {
			lost = append(lost, n)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if len(lost) != 1 || !strings.Contains(log.String(), "damaged") {
		t.Fatalf("lost %v; the log says %q", lost, log.String())
	}
}

// Looking at a directory changes nothing in it: its database may be an old copy,
// and what seems to belong to no entry may be all that is left of newer ones.
func TestOpeningDestroysNothing(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	mustAppend(t, h.Register, captured(0, 1))
	h.Close()
	name := filepath.Join(h.Dir, "segments", "00000001.seg")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	longer := append(b, "the frames of entries that this database does not know"...)
	if err := os.WriteFile(name, longer, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Open(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Register.Item(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if left, err := os.ReadFile(name); err != nil || !bytes.Equal(left, longer) {
		t.Fatalf("looking changed the segment: %v", err)
	}
	if err := h.Open(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, h.Register, captured(1, 1))
}
