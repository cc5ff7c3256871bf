package main

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"os"
	"slices"
	"testing"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/db"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/people/peopletest"
	"sijill/internal/vault"
)

// keptOffice is an old office in which everything has happened that leaves
// something behind: hind has passkeys, with a secret of their own, that she has
// signed in and stepped up with; her sessions have ended; a message was destroyed,
// months were closed, a backup was made, and the server was killed with its logs
// full.
type keptOffice struct {
	*oldOffice
	phone     *peopletest.Authenticator
	destroyed canaries
	masks     [][]byte // Of the keys that were deleted.
	backup    string
}

// keysHome is where hind's passkeys belong.
const keysHome = "https://mail.diwan.example"

func newKeptOffice(t *testing.T) *keptOffice {
	t.Helper()
	o := &keptOffice{oldOffice: newOldOffice(t), phone: &peopletest.Authenticator{Origin: keysHome, PRF: true}, destroyed: newCanaries()}
	o.change(func(c *config.Config) { c.HTTP.URL = keysHome })
	in := o.open()
	o.enrols(t, in)
	gone := o.add(in, sijill.Personal, sijill.Captured, o.destroyed.letter(), monthsAgo(0))
	a, err := in.People.Lookup(t.Context(), hind)
	if err != nil {
		t.Fatal(err)
	}
	o.masks = append(o.masks, masks(t, in, "SELECT mask FROM personal_mask WHERE entry = ?", gone)...)
	o.masks = append(o.masks, masks(t, in, `SELECT m.mask FROM compartment c JOIN compartment_key k ON k.compartment = c.id JOIN mask m ON m.id = k.mask
		WHERE c.month < ? AND k.holder = CASE c.class WHEN 'personal' THEN 'everyday' ELSE 'server' END`, monthsAgo(7).Year()*12+int(monthsAgo(7).Month())-1)...)
	if len(o.masks) != 3 {
		t.Fatalf("%d masks", len(o.masks))
	}
	if _, err := in.Register.Destroy(t.Context(), a.ID, "test", []int64{gone}); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	o.must("cool")
	r := o.serve()
	b := newBrowser(r.http, "127.0.0.1")
	if status, err := b.signIn("hind", o.hind.password); status != http.StatusSeeOther || err != nil {
		t.Fatal(status, err)
	}
	b.get(t, "/")
	connect(t, r.smtp).deliver(t, letter("last", 1), hind)
	if res, err := b.do("/sign-out", map[string][]string{}); err != nil || res.StatusCode != http.StatusSeeOther {
		t.Fatal(res, err)
	}
	o.backup = o.TempDir() + "/backup"
	o.must("backup", o.backup)
	r.kill() // Its logs stay as they are.
	return o
}

// change changes the settings.
func (o *oldOffice) change(how func(*config.Config)) {
	o.Helper()
	c, err := config.Read(o.dir)
	if err != nil {
		o.Fatal(err)
	}
	how(&c)
	if err := os.Remove(o.path(config.File)); err != nil {
		o.Fatal(err)
	}
	if err := c.Write(o.dir); err != nil {
		o.Fatal(err)
	}
}

// enrols has hind register a passkey, and step up with it.
func (o *keptOffice) enrols(t *testing.T, in *office.Office) {
	t.Helper()
	ctx := t.Context()
	s, err := in.Access.SignIn(ctx, "hind", o.hind.password, "", elsewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	by := people.By{Account: s.Account.ID}
	if err := in.Access.StepUpByCode(ctx, s, o.hind.recovery, by); err != nil {
		t.Fatal(err)
	}
	c, err := in.Access.BeginRegister(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	k, next, err := in.Access.FinishRegister(ctx, s, c.State, o.phone.Create(t, c.Options), "phone", by)
	if err == nil && next != nil {
		k, err = in.Access.FinishOpening(ctx, s, next.State, o.phone.Get(t, next.Options), by)
	}
	if err != nil || !k.Deep {
		t.Fatalf("registering a passkey: %+v %v", k, err)
	}
	if err := in.Access.SignOut(ctx, s.Token); err != nil {
		t.Fatal(err)
	}
	s.Close()
	token, ring := o.byPasskey(t, in)
	if !ring.Has(vault.Deep) {
		t.Error("the passkey doesn't open older mail")
	}
	if err := in.Access.SignOut(ctx, token); err != nil {
		t.Fatal(err)
	}
}

// byPasskey signs in by passkey.
func (o *keptOffice) byPasskey(t *testing.T, in *office.Office) (token string, ring *vault.Ring) {
	t.Helper()
	c, err := in.Access.BeginPasskey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := in.Access.FinishPasskey(t.Context(), c.State, o.phone.Get(t, c.Options), elsewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Token, s.Ring()
}

func masks(t *testing.T, in *office.Office, query string, args ...any) (all [][]byte) {
	t.Helper()
	err := in.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Each(query, args, func(r db.Row) error {
			var b []byte
			err := r.Scan(&b)
			all = append(all, bytes.Clone(b))
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// All that is kept of passkeys, ended sessions, destroyed messages and closed
// months, in the databases, their logs, their free room and the backup, opens
// neither personal mail nor cold mail for who has the server's key; with every
// administrator's credentials, cold mail of the office at most. No file has words
// of it.
func TestThiefOfAllThatIsKept(t *testing.T) {
	t.Parallel()
	o := newKeptOffice(t)
	stolen := copyHome(t, o.dir)
	copied := copyHome(t, o.backup)
	key, err := os.ReadFile(o.path(keyName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied.path(keyName), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(stolen.path(office.RegisterFile + "-wal")); err != nil || info.Size() == 0 {
		t.Errorf("the register has no log: %v", err)
	}
	for what, h := range map[string]*home{"the disk": stolen, "the backup": copied} {
		o.leftIn(t, what, h)
	}
	thief := steal(t, copied.dir)
	thief.work()
	o.closedTo(t, "a thief with the backup", thief, false)
	thief = steal(t, stolen.dir)
	thief.learnAll()
	thief.work()
	o.closedTo(t, "a thief with the disk", thief, false)
	t.Logf("%d keys on %d locks, %d attempts", len(thief.keys), len(thief.locks), thief.tried)
	inside := copyHome(t, o.dir).open()
	for _, who := range []credentials{o.laila, o.sami} {
		for _, s := range secretsOf(t, inside, who) {
			thief.learn(s)
		}
	}
	thief.work()
	o.closedTo(t, "with the credentials of the records office", thief, true)
	// With the authenticator, and so its secret, everything opens: the thief would
	// have seen it.
	_, ring := o.byPasskey(t, inside)
	for class, entry := range o.oldMail {
		if b, err := contentOf(t, inside, entry, ring); err != nil || !slices.Contains(o.old[class].in(b), "body") {
			t.Errorf("the passkey itself doesn't open old %s mail: %v", class, err)
		}
	}
	thief.learn(secretsOf(t, inside, o.hind)[2])
	thief.work()
	finds(t, "a thief with the recovery code, today's personal mail", o.young[sijill.Personal], thief.reads(), true)
	finds(t, "a thief with the recovery code, old personal mail", o.old[sijill.Personal], thief.reads(), true)
	finds(t, "a thief with the recovery code, what was destroyed", o.destroyed, thief.reads(), false)
}

// leftIn wants the files to have nothing in them, as they are and without the
// encryption of their pages, that should have gone.
func (o *keptOffice) leftIn(t *testing.T, what string, h *home) {
	t.Helper()
	var raw []byte
	for _, name := range []string{office.RegisterFile, office.MailFile} {
		raw = append(raw, h.unlocked(t, name)...)
	}
	finds(t, what+": today's office mail", o.young[sijill.Office], raw, true)
	for which, c := range map[string]canaries{"today's personal mail": o.young[sijill.Personal], "old personal mail": o.old[sijill.Personal],
		"old office mail": o.old[sijill.Office], "what was destroyed": o.destroyed} {
		finds(t, what+": "+which, c, raw, false)
	}
	for i, m := range o.masks {
		if bytes.Contains(raw, m[:16]) || bytes.Contains(raw, m[16:]) {
			t.Errorf("%s: half of deleted key %d is left", what, i)
		}
	}
	files := &secretOffice{home: h, personal: o.young[sijill.Personal], office: o.young[sijill.Office]}
	files.files(h.dir)
	files.personal, files.office = o.old[sijill.Personal], o.old[sijill.Office]
	files.files(h.dir)
}

// closedTo wants a thief to have read nothing but today's office mail, and with
// the key of the records office that of the past.
func (o *keptOffice) closedTo(t *testing.T, who string, h *thief, records bool) {
	t.Helper()
	read := h.reads()
	finds(t, who+", today's office mail", o.young[sijill.Office], read, true)
	finds(t, who+", today's personal mail", o.young[sijill.Personal], read, false)
	finds(t, who+", what was destroyed", o.destroyed, read, false)
	finds(t, who+", old personal mail", o.old[sijill.Personal], read, false)
	finds(t, who+", old office mail", o.old[sijill.Office], read, records)
}

// learnAll has a thief try, besides what is stored as a key, what can be made of
// everything that is kept of credentials: its digest, the key that a session's
// token becomes, and every stretch that is as long as a key.
func (h *thief) learnAll() {
	for _, v := range h.credentials {
		h.learn(sha256.Sum256(v))
		h.learn([32]byte(derived(v, "session")))
		for at := range max(0, len(v)-31) {
			h.learn([32]byte(v[at:]))
		}
	}
}
