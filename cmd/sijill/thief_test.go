package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/blob"
	"sijill/internal/db"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// lock is something stored that a key may open.
type lock struct {
	what     []byte // What it is bound to.
	mask     [32]byte
	wrapped  []byte
	envelope bool
}

// thief has the data directory, the server's key and the program's source, and
// tries every key on every lock, and what that opens again, until nothing new
// opens.
type thief struct {
	server vault.ServerKey
	pepper [32]byte
	keys   map[[32]byte]bool
	todo   [][32]byte
	locks  []lock
	office [][]byte // Wrapped keys of office messages.
	frames map[[16]byte][]byte
	pages  bytes.Buffer // All that stands in the databases.
	tried  int

	credentials [][]byte // All that is kept of them.
}

// credentialTables are where it is.
var credentialTables = []string{"account", "session", "app_password", "passkey", "totp", "recovery", "spent"}

func steal(t testing.TB, dir string) *thief {
	t.Helper()
	key, err := vault.ReadKeyFile(filepath.Join(dir, keyName), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &thief{server: key, keys: map[[32]byte]bool{}, frames: map[[16]byte][]byte{}}
	h.pepper = key.Derive("pepper")
	h.learn([32]byte(key))
	for _, p := range []string{"pages", "mail pages", "people", "junk", "outbox", "post", "compartment", "pepper", "content", "secret/sign", "mail"} {
		h.learn(key.Derive(p))
	}
	for name, purpose := range map[string]string{office.RegisterFile: "pages", office.MailFile: "mail pages"} {
		d, err := db.OpenSQLite(t.Context(), filepath.Join(dir, name), db.Options{Key: key.Derive(purpose)})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			if name == office.RegisterFile {
				if err := h.takeLocks(tx); err != nil {
					return err
				}
			}
			return h.takePages(tx)
		})
		if err = errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	h.takeFrames(t, filepath.Join(dir, office.SegmentsDir))
	return h
}

// takePages reads every value of every table.
func (h *thief) takePages(tx *db.Tx) error {
	var tables []string
	err := tx.Each("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'", nil, func(r db.Row) error {
		var name string
		err := r.Scan(&name)
		tables = append(tables, name)
		return err
	})
	for _, name := range tables {
		var columns []string
		err = errors.Join(err, tx.Each("SELECT name FROM pragma_table_info('"+name+"')", nil, func(r db.Row) error {
			var c string
			err := r.Scan(&c)
			columns = append(columns, c)
			return err
		}))
		for _, c := range columns {
			err = errors.Join(err, tx.Each(fmt.Sprintf("SELECT CAST(%q AS BLOB) FROM %q WHERE %[1]q IS NOT NULL", c, name), nil, func(r db.Row) error {
				var b []byte
				err := r.Scan(&b)
				h.pages.Write(append(b, 0))
				if len(b) == 32 {
					h.learn([32]byte(b))
				}
				if slices.Contains(credentialTables, name) {
					h.credentials = append(h.credentials, bytes.Clone(b))
				}
				return err
			}))
		}
	}
	return err
}

// takeLocks reads what wraps keys, with what it is bound to.
func (h *thief) takeLocks(tx *db.Tx) error {
	add := func(mask, wrapped []byte, envelope bool, format string, args ...any) {
		h.locks = append(h.locks, lock{fmt.Appendf(nil, format, args...), [32]byte(mask), wrapped, envelope})
	}
	var mask, wrapped []byte
	err := tx.Each("SELECT e.account, e.root, e.generation, e.holder, e.under, m.mask, e.wrapped FROM envelope e JOIN mask m ON m.id = e.mask", nil, func(r db.Row) error {
		var account, generation, under int64
		var root, holder string
		err := r.Scan(&account, &root, &generation, &holder, &under, &mask, &wrapped)
		add(mask, slices.Clone(wrapped), true, "sijill/envelope/v1\naccount %d\nroot %s %d\nholder %s\nunder %d\n", account, root, generation, holder, under)
		return err
	})
	err = errors.Join(err, tx.Each(`SELECT c.account, c.class, c.month, c.generation, k.holder, k.generation, m.mask, k.wrapped
		FROM compartment c JOIN compartment_key k ON k.compartment = c.id JOIN mask m ON m.id = k.mask`, nil, func(r db.Row) error {
		var account, month, generation, under int64
		var class, holder string
		err := r.Scan(&account, &class, &month, &generation, &holder, &under, &mask, &wrapped)
		add(mask, slices.Clone(wrapped), false, "sijill/compartment/v1\naccount %d\nclass %s\nmonth %d\ngeneration %d\nholder %s %d\n", account, class, month, generation, holder, under)
		return err
	}))
	err = errors.Join(err, tx.Each("SELECT m.mask, k.wrapped FROM personal_key k JOIN personal_mask m ON m.entry = k.entry", nil, func(r db.Row) error {
		err := r.Scan(&mask, &wrapped)
		add(mask, slices.Clone(wrapped), false, "sijill/message/v1\n%s", mask)
		return err
	}))
	return errors.Join(err, tx.Each("SELECT wrapped FROM message_key", nil, func(r db.Row) error {
		err := r.Scan(&wrapped)
		h.office = append(h.office, slices.Clone(wrapped))
		return err
	}))
}

// takeFrames reads every sealed message.
func (h *thief) takeFrames(t testing.TB, dir string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for b = b[blob.HeaderSize:]; len(b) > blob.FrameOverhead; {
			n := blob.FrameOverhead + int(binary.BigEndian.Uint32(b))
			if n == blob.FrameOverhead || n > len(b) {
				break
			}
			f, err := blob.ParseFrame(b[:n])
			if err != nil {
				t.Fatal(err)
			}
			h.frames[f.ID], b = f.Data, b[n:]
		}
	}
	if len(h.frames) == 0 || len(h.locks) == 0 {
		t.Fatal("nothing was stolen")
	}
}

func (h *thief) learn(k [32]byte) {
	if !h.keys[k] {
		h.keys[k] = true
		h.todo = append(h.todo, k)
	}
}

func derived(k []byte, purpose string) []byte {
	b, err := hkdf.Key(sha256.New, k, nil, purpose, 32)
	if err != nil {
		panic(err) // Only for lengths over 8,160 bytes.
	}
	return b
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // Only for keys of another length.
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // Only for block ciphers of another size.
	}
	return aead
}

// work tries every key once on every lock.
func (h *thief) work() {
	for len(h.todo) > 0 {
		k := h.todo[0]
		h.todo = h.todo[1:]
		private, err := hpke.MLKEM768X25519().NewPrivateKey(k[:])
		tries := []cipher.AEAD{gcm(k[:]), gcm(derived(k[:], "sijill/personal/again/v1"))}
		for _, l := range h.locks {
			all := tries
			if l.envelope {
				all = append(tries[:2:2], gcm(derived(slices.Concat(k[:], h.pepper[:]), string(l.what))))
			}
			h.tried += len(all)
			if len(l.wrapped) == 12+32+16 {
				for _, a := range all {
					if b, err := a.Open(nil, l.wrapped[:12], l.wrapped[12:], l.what); err == nil {
						h.found(b, l.mask)
					}
				}
			} else if err == nil {
				if b, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), l.what, l.wrapped); err == nil {
					h.found(b, l.mask)
				}
			}
		}
	}
}

func (h *thief) found(b []byte, mask [32]byte) {
	h.learn([32]byte(b))
	subtle.XORBytes(mask[:], mask[:], b)
	h.learn(mask)
}

// reads opens every message that one of the keys opens.
func (h *thief) reads() (all []byte) {
	keys := slices.Collect(maps.Keys(h.keys))
	for _, k := range slices.Clone(keys) {
		for id := range h.frames {
			for _, w := range h.office {
				if b, err := gcm(k[:]).Open(nil, id[:12], w, id[:]); err == nil && len(b) == 32 {
					keys = append(keys, [32]byte(b))
				}
			}
		}
	}
	for id, sealed := range h.frames {
		for _, k := range keys {
			payload, err := sijill.Open(nil, k, id, sealed)
			if err != nil {
				continue
			}
			if envelope, msg, err := sijill.ParsePayload(payload, 1<<26); err == nil {
				all = slices.Concat(all, envelope, msg)
			}
		}
	}
	return all
}

// With the data directory, the server's key, and all credentials of those who run
// the office in hand, nothing of an owner's personal mail can be opened once she
// has signed out, by trying every key on everything or by asking the program's
// own packages.
func TestThiefHasEverything(t *testing.T) {
	o := newSecretOffice(t)
	_, _, _ = o.program.do("LOGOUT") // The server hangs up.
	if r, err := o.web.do("/sign-out", url.Values{}); err != nil || r.StatusCode != http.StatusSeeOther {
		t.Fatal(r, err)
	}
	o.r.stop()
	o.files(o.dir)
	stolen := copyHome(t, o.dir)
	h := steal(t, stolen.dir)
	if found := o.personal.in(h.pages.Bytes()); len(found) > 0 {
		t.Errorf("the pages of the databases have %v in them", found)
	}
	if found := o.office.in(h.pages.Bytes()); !slices.Contains(found, "body") || !slices.Contains(found, "subject") {
		t.Errorf("of office mail the thief finds only %v in the pages", found)
	}
	inside := stolen.open()
	ctx := t.Context()
	for _, who := range []credentials{o.laila, o.sami} {
		for _, secret := range secretsOf(t, inside, who) {
			h.learn(secret)
		}
	}
	for _, old := range []credentials{o.given} { // What hind was given at first is worth nothing any more.
		if _, err := inside.People.Prove(ctx, people.Credentials{Name: "hind", Password: old.password, From: elsewhere, Door: "web"}); !errors.Is(err, people.ErrCredentials) {
			t.Errorf("the first password: %v", err)
		}
		if _, err := inside.People.ProveRecovery(ctx, "hind", old.recovery, elsewhere); !errors.Is(err, people.ErrCredentials) {
			t.Errorf("the first recovery code: %v", err)
		}
	}
	began := time.Now()
	h.work()
	read := h.reads()
	if found := o.personal.in(read); len(found) > 0 {
		t.Errorf("the thief has read %v", found)
	}
	if found := o.office.in(read); !slices.Contains(found, "body") {
		t.Error("the thief doesn't know his trade: office mail must open")
	}
	t.Logf("%d keys on %d locks, %d attempts, %d sealed messages, in %v", len(h.keys), len(h.locks), h.tried, len(h.frames), time.Since(began).Round(time.Millisecond))
	for _, who := range []credentials{o.laila, o.sami} {
		o.inside(t, inside, who)
	}
	h.learn(secretsOf(t, inside, o.hind)[0])
	h.work()
	if found := o.personal.in(h.reads()); !slices.Contains(found, "body") || !slices.Contains(found, "appended") || !slices.Contains(found, "sent") {
		t.Errorf("the thief doesn't know his trade: hind's own password opens only %v", found)
	}
}

var elsewhere = netip.MustParseAddr("127.66.0.1")

// secretsOf are what a person's password, app password and recovery code become.
func secretsOf(t testing.TB, o *office.Office, who credentials) (list [][32]byte) {
	t.Helper()
	p, err := o.People.Prove(t.Context(), people.Credentials{Name: who.name, Password: who.password, From: elsewhere, Door: "web"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := o.People.Application(t.Context(), people.Credentials{Name: who.name, Password: who.app, From: elsewhere, Door: "imap"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.People.ProveRecovery(t.Context(), who.name, who.recovery, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	return [][32]byte{p.Secret, a.Secret, r.Secret}
}

// inside asks the program's packages for every entry, as somebody who is signed
// in and stepped up.
func (o *secretOffice) inside(t *testing.T, at *office.Office, who credentials) {
	t.Helper()
	s, err := at.Access.SignIn(t.Context(), who.name, who.password, "", elsewhere, "thief")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := at.Access.StepUpByCode(t.Context(), s, who.recovery, people.By{Account: s.Account.ID}); err != nil {
		t.Fatal(err)
	}
	o.asks(t, at, s)
}

func (o *secretOffice) asks(t *testing.T, at *office.Office, s *access.Session) {
	t.Helper()
	if !s.Ring().Has(vault.Everyday) || s.Deep().IsZero() {
		t.Error("the session is not stepped up")
	}
	size, _ := at.Register.Head()
	opened := 0
	for n := range size {
		it, err := at.Register.ItemFor(t.Context(), n, s.Ring())
		if errors.Is(err, fs.ErrNotExist) {
			continue // It is somebody else's.
		}
		if err != nil {
			t.Fatal(err)
		}
		c, err := it.Content()
		if err != nil {
			continue
		}
		opened++
		if found := o.personal.in(slices.Concat([]byte(fmt.Sprint(c.Envelope)), c.Message)); len(found) > 0 {
			t.Errorf("%s opens entry %d: %v", s.Account.SignIn, n, found)
		}
	}
	if _, err := at.Register.ProofFor(t.Context(), o.entry, true, s.Ring()); err == nil {
		t.Errorf("%s proves a personal message of another", s.Account.SignIn)
	}
	if opened == 0 {
		t.Errorf("%s opens nothing at all", s.Account.SignIn)
	}
}
