package vault

import (
	"crypto/cipher"
	"crypto/hpke"
	"errors"
	"fmt"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
)

// thief has the data directory and the server's key, and the program's source.
// He tries every key that he has or can make on everything that is stored, and
// what that opens on everything again, until nothing new opens.
type thief struct {
	keys  map[secret]bool
	todo  []secret
	masks []secret
	blobs [][]byte
	whats [][]byte // What wrapped things are bound to.
	tried int
}

// steal reads every row of every table.
func steal(t *testing.T, v *Vault, purposes ...string) *thief {
	t.Helper()
	h := &thief{keys: map[secret]bool{}}
	h.learn(secret(v.key))
	for _, p := range append(purposes, "compartment", "pepper", "secret/sign", "content", "people", "mail") {
		h.learn(v.key.Derive(p))
	}
	err := v.db.Read(t.Context(), func(tx *db.Tx) error {
		var tables []string
		err := tx.Each("SELECT name FROM sqlite_master WHERE type = 'table'", nil, func(r db.Row) error {
			var name string
			err := r.Scan(&name)
			tables = append(tables, name)
			return err
		})
		for _, name := range tables {
			err = errors.Join(err, h.table(tx, name))
		}
		return errors.Join(err, h.bindings(tx))
	})
	if err != nil || len(h.blobs) == 0 {
		t.Fatal("nothing was stolen", err)
	}
	return h
}

func (h *thief) table(tx *db.Tx, name string) error {
	var columns []string
	err := tx.Each("SELECT name FROM pragma_table_info('"+name+"')", nil, func(r db.Row) error {
		var c string
		err := r.Scan(&c)
		columns = append(columns, c)
		return err
	})
	for _, c := range columns {
		err = errors.Join(err, tx.Each(fmt.Sprintf("SELECT DISTINCT %s FROM %s WHERE typeof(%s) = 'blob'", c, name, c), nil, func(r db.Row) error {
			var b []byte
			err := r.Scan(&b)
			h.blobs = append(h.blobs, b)
			if len(b) == 32 {
				h.masks = append(h.masks, secret(b))
				h.learn(secret(b))
			}
			return err
		}))
	}
	return err
}

// bindings are what the rows say that wrapped things are bound to.
func (h *thief) bindings(tx *db.Tx) error {
	err := tx.Each("SELECT account, root, generation, holder, under FROM envelope", nil, func(r db.Row) error {
		var e envelopeID
		err := r.Scan(&e.account, &e.root, &e.generation, &e.holder, &e.under)
		h.whats = append(h.whats, e.what())
		return err
	})
	err = errors.Join(err, tx.Each("SELECT c.account, c.class, c.month, c.generation, k.holder, k.generation FROM compartment c JOIN compartment_key k ON k.compartment = c.id",
		nil, func(r db.Row) error {
			var s slot
			var holder string
			var generation int64
			err := r.Scan(&s.account, &s.class, &s.month, &s.generation, &holder, &generation)
			h.whats = append(h.whats, s.what(holder, generation))
			return err
		}))
	for _, m := range h.masks {
		h.whats = append(h.whats, whatMessage(m))
	}
	return err
}

func (h *thief) learn(k secret) {
	if !h.keys[k] {
		h.keys[k] = true
		h.todo = append(h.todo, k)
	}
}

// found is something that opened: it may be masked.
func (h *thief) found(b []byte) {
	if len(b) != 32 {
		return
	}
	h.learn(secret(b))
	for _, m := range h.masks {
		h.learn(masked(secret(b), m))
	}
}

// work tries every key once on everything.
func (h *thief) work() {
	for len(h.todo) > 0 {
		k := h.todo[0]
		h.todo = h.todo[1:]
		again := derive(k[:], "sijill/personal/again/v1")
		aeads := []cipher.AEAD{gcm(k[:]), gcm(again[:])}
		private, err := pair(k)
		for _, b := range h.blobs {
			for _, what := range h.whats {
				h.tryPair(private, err, what, b)
				for _, a := range aeads {
					h.try(a, what, b)
				}
			}
		}
	}
}

func (h *thief) try(a cipher.AEAD, what, b []byte) {
	if len(b) != 12+32+16 {
		return
	}
	h.tried++
	if out, err := unwrapUnder(a, what, b); err == nil {
		h.found(out)
	}
}

func (h *thief) tryPair(private hpke.PrivateKey, err error, what, b []byte) {
	if err != nil || len(b) != 32+hpkeOverhead {
		return
	}
	h.tried++
	if out, err := openSealed(private, what, b); err == nil {
		h.found(out[:])
	}
}

// guess tries a holder's secret, which he then has: with the pepper it makes the
// keys of envelopes.
func (h *thief) guess(v *Vault, k secret) {
	h.learn(k)
	pepper := v.key.Derive("pepper")
	for _, what := range h.whats {
		h.learn(derive(append(k[:], pepper[:]...), string(what)))
	}
}

// reads tells whether a key that he has opens a message. The keys of messages in
// office compartments are bound to the message's id, which stands in its entry.
func (h *thief) reads(s *Sealed) bool {
	for k := range h.keys {
		for _, b := range h.blobs {
			if key, err := gcm(k[:]).Open(nil, s.Public.ID[:12], b, s.Public.ID[:]); err == nil && len(key) == 32 {
				if _, err := open(secret(key), &s.Public, s.Ciphertext); err == nil {
					return true
				}
			}
		}
		if _, err := open(k, &s.Public, s.Ciphertext); err == nil {
			return true
		}
	}
	return false
}

// With the data directory and the server's key, and with an administrator's
// password and recovery code besides, no personal message opens while its owner
// is away; neither does it from then on with his everyday password once the
// month is cold, or with anything once it was destroyed.
func TestThief(t *testing.T) {
	v := newVault(t)
	owner(t, v, 1)
	owner(t, v, 2) // The administrator, who is a records officer too.
	if err := v.AddOfficer(t.Context(), nil, 2); err != nil {
		t.Fatal(err)
	}
	office, came := sealAs(t, v, sijill.Office, 0, 1), sealAs(t, v, sijill.Personal, 1, 1)
	ring := signIn(t, v, 1, "password")
	if n, err := v.Rewrap(t.Context(), ring); err != nil || n != 1 {
		t.Fatalf("%d %v", n, err)
	}
	ring.Close()
	fresh := sealAs(t, v, sijill.Personal, 2, 1)

	h := steal(t, v)
	h.work()
	if !h.reads(office) {
		t.Fatal("the thief doesn't know his trade: hot office mail must open")
	}
	if h.reads(came) || h.reads(fresh) {
		t.Fatal("personal mail opens with the data directory and the server's key")
	}
	h.guess(v, kek("password 2"))
	h.guess(v, kek("recovery 2"))
	h.guess(v, kek("a wrong password"))
	h.work()
	if h.reads(came) || h.reads(fresh) {
		t.Fatal("personal mail opens with an administrator's credentials")
	}
	t.Logf("%d keys, %d attempts", len(h.keys), h.tried)
	h.guess(v, kek("password 1"))
	h.work()
	if !h.reads(came) || !h.reads(fresh) {
		t.Fatal("the thief doesn't know his trade: the owner's own password must open it")
	}
}

// Without the server's key a stolen disk lets nobody try passwords: not even the
// right one opens an envelope.
func TestDiskWithoutServersKey(t *testing.T) {
	v := newVault(t)
	owner(t, v, 1)
	office, mine := sealAs(t, v, sijill.Office, 0, 1), sealAs(t, v, sijill.Personal, 1, 1)
	h := steal(t, v) // As if the encryption of pages were broken.
	clear(h.keys)
	h.todo = nil
	for _, m := range h.masks {
		h.learn(m)
	}
	stranger := openVault(t, v.db, ServerKey{8})
	h.guess(stranger, kek("password 1"))
	h.guess(stranger, kek("recovery 1"))
	h.work()
	if h.reads(office) || h.reads(mine) {
		t.Fatal("the right password opens mail without the server's key")
	}
}

// Once a month is cold, the server's key and the everyday password open nothing
// of it; once a message was destroyed, nothing does.
func TestThiefOfThePast(t *testing.T) {
	v := newVault(t)
	at := earlier(v, 3)
	now := v.now
	v.now = func() time.Time { return at }
	owner(t, v, 1)
	office, mine := sealAs(t, v, sijill.Office, 0, 1), sealAs(t, v, sijill.Personal, 1, 1)
	v.now = now
	gone := sealAs(t, v, sijill.Personal, 2, 1)
	if c, err := v.Cool(t.Context(), now()); err != nil || len(c.Closed) != 2 {
		t.Fatalf("%+v %v", c, err)
	}
	err := v.delete(t.Context(), func(tx *db.Tx) (bool, error) { return true, Destroy(tx, []int64{2}) })
	if err != nil {
		t.Fatal(err)
	}
	h := steal(t, v)
	h.guess(v, kek("password 1"))
	h.work()
	if h.reads(office) || h.reads(mine) || h.reads(gone) {
		t.Fatal("what is cold or was destroyed opens")
	}
	h.guess(v, kek("recovery 1"))
	h.work()
	if !h.reads(office) || !h.reads(mine) {
		t.Fatal("the thief doesn't know his trade: the recovery code must open what is cold")
	}
	if h.reads(gone) {
		t.Fatal("what was destroyed opens with the recovery code")
	}
}
