package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lukechampine.com/adiantum"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// yearOffice is an office in which hind has mail of thirteen months, of both
// classes, and sami holds some of the office mail too.
type yearOffice struct {
	*oldOffice
	mail  []yearMail
	words [13]canaries // By how many months ago.

	// What opens the owner's mail of today, all of it, and all office mail.
	password, code, officer *people.Proof
}

// mailsOfMonth is how many messages of each class a month has.
const mailsOfMonth = 24

// yearMail is a message of some months ago.
type yearMail struct {
	entry int64
	ago   int
	class sijill.Class
	msg   []byte
}

func newYearOffice(t *testing.T) *yearOffice {
	t.Helper()
	o := &yearOffice{oldOffice: &oldOffice{}}
	o.home, o.population = populatedHome(t, nil)
	in := o.open()
	defer in.Close()
	h, err := in.People.Lookup(t.Context(), hind)
	if err != nil {
		t.Fatal(err)
	}
	s, err := in.People.Lookup(t.Context(), sami)
	if err != nil {
		t.Fatal(err)
	}
	if o.password, err = in.People.Prove(t.Context(), people.Credentials{Name: o.hind.name, Password: o.hind.password, From: elsewhere, Door: "web"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		credentials
		to **people.Proof
	}{{o.hind, &o.code}, {o.laila, &o.officer}} {
		if *c.to, err = in.People.ProveRecovery(t.Context(), c.name, c.recovery, elsewhere); err != nil {
			t.Fatal(err)
		}
	}
	for ago := range o.words {
		o.words[ago] = newCanaries()
		at := monthsAgo(ago)
		in.Vault.SetClock(func() time.Time { return at })
		var drafts []record.Draft
		for n := range 2 * mailsOfMonth {
			m, holders := yearMail{ago: ago, class: sijill.Office}, []int64{h.ID}
			switch {
			case n%2 == 1:
				m.class = sijill.Personal
			case n%3 == 0:
				holders = append(holders, s.ID)
			}
			drafts = append(drafts, o.draft(&m, n, at, holders))
			o.mail = append(o.mail, m)
		}
		receipts, err := in.Register.AppendAll(t.Context(), drafts)
		if err != nil {
			t.Fatal(err)
		}
		for i, rc := range receipts {
			o.mail[2*mailsOfMonth*ago+i].entry = rc.Entry
		}
	}
	if err := in.Follower.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

// monthsAgo is a day of the month that was so many months ago.
func monthsAgo(n int) time.Time {
	now := time.Now().UTC()
	return time.Date(now.Year(), now.Month()-time.Month(n), 1, 12, 0, 0, 0, time.UTC)
}

func (o *yearOffice) draft(m *yearMail, n int, at time.Time, holders []int64) record.Draft {
	w := o.words[m.ago]
	m.msg = fmt.Appendf(nil, "From: %s <%[1]s@abroad.example>\r\nSubject: about %s\r\nMessage-ID: <%d-%d@test.example>\r\n\r\n%s, number %d.\r\n",
		w["author"], w["subject"], m.ago, n, strings.Repeat(w["body"]+" ", 1+n%50), n)
	return record.Draft{Kind: sijill.Captured, Actor: "test", Holders: holders, Class: m.class,
		Content: &record.Content{Message: m.msg, Envelope: message.Envelope{Time: at, Internal: &at, Door: "test"}}}
}

// keepHot has months close that are older than some months.
func (o *yearOffice) keepHot(months int) {
	o.Helper()
	o.setHotDays(int(time.Since(monthsAgo(months-1)) / (24 * time.Hour)))
}

// whole wants nothing to be lost: every message opens with the owner's recovery
// code, office mail with the records office's key besides; and a message is
// either hot, and opens with the everyday keys, or cold with its whole month. It
// returns from how many months ago on all is cold.
func (o *yearOffice) whole(t *testing.T, when string) (cold int) {
	t.Helper()
	in := o.open()
	defer in.Close()
	everyday, deep, officer := opened(t, in, o.password), opened(t, in, o.code), opened(t, in, o.officer)
	state := [13][2]int{}
	for _, m := range o.mail {
		ring := everyday
		if m.class == sijill.Office {
			ring = nil
		}
		open := 1
		if b, err := contentOf(t, in, m.entry, ring); errors.Is(err, vault.ErrClosed) {
			open = 0
		} else if err != nil || !bytes.Equal(b, m.msg) {
			t.Fatalf("%s, entry %d of %d months ago, %s: %v", when, m.entry, m.ago, m.class, err)
		}
		state[m.ago][open]++
	}
	for ago := range state {
		if state[ago][0] > 0 && state[ago][1] > 0 {
			t.Errorf("%s: of %d months ago %d messages are closed and %d are not", when, ago, state[ago][0], state[ago][1])
		}
		if state[ago][0] == 0 {
			cold = ago + 1
		}
	}
	for ago := range state {
		if (state[ago][1] == 0) != (ago >= cold) {
			t.Errorf("%s: %d months ago is hot, and %d months ago is not", when, cold-1, ago)
		}
	}
	allWraps(t, in, when)
	frames := steal(t, o.dir).frames
	for _, m := range o.mail {
		if b, err := contentOf(t, in, m.entry, deep); err != nil || !bytes.Equal(b, m.msg) {
			t.Errorf("%s, entry %d of %d months ago, %s, with the recovery code: %v", when, m.entry, m.ago, m.class, err)
		}
		if got, err := withRing(t, in, m.entry, officer, frames); (err == nil) != (m.class == sijill.Office) || err == nil && !bytes.Equal(got, m.msg) {
			t.Errorf("%s, entry %d of %d months ago, %s, with the records office's key: %v", when, m.entry, m.ago, m.class, err)
		}
	}
	return cold
}

// opened is what a credential opens.
func opened(t *testing.T, in *office.Office, p *people.Proof) *vault.Ring {
	t.Helper()
	r, err := in.Vault.Unlock(t.Context(), p.Account.ID, p.Credential, p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func contentOf(t *testing.T, in *office.Office, entry int64, ring *vault.Ring) ([]byte, error) {
	t.Helper()
	it, err := in.Register.ItemFor(t.Context(), entry, ring)
	if err != nil {
		t.Fatal(err)
	}
	c, err := it.Content()
	if err != nil {
		return nil, err
	}
	return c.Message, nil
}

// withRing opens a message with the server's key or a ring, whoever holds it.
func withRing(t *testing.T, in *office.Office, entry int64, ring *vault.Ring, frames map[[16]byte][]byte) ([]byte, error) {
	t.Helper()
	it, err := in.Register.ItemFor(t.Context(), entry, nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys []vault.MessageKey
	if err := in.DB.Read(t.Context(), func(tx *db.Tx) error { keys, err = vault.Keys(tx, entry, entry); return err }); err != nil {
		t.Fatal(err)
	}
	opened, err := in.Vault.Open(t.Context(), ring, keys, it.Entry.Message, frames[it.Entry.Message.ID])
	if err != nil {
		return nil, err
	}
	return opened.Message, nil
}

// allWraps wants every compartment's key to be sealed to all who should open it
// for ever.
func allWraps(t *testing.T, in *office.Office, when string) {
	t.Helper()
	n := 0
	err := in.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Each(`SELECT c.id, c.class, sum(k.holder = 'deep'), sum(k.holder = 'records')
			FROM compartment c LEFT JOIN compartment_key k ON k.compartment = c.id GROUP BY c.id`, nil, func(r db.Row) error {
			var id, deep, records int64
			var class string
			err := r.Scan(&id, &class, &deep, &records)
			office := map[string]int64{"office": 1}[class]
			if n++; deep < 1 || records != office {
				t.Errorf("%s: the key of compartment %d, %s, is sealed to %d deep roots and %d of the records office", when, id, class, deep, records)
			}
			return err
		})
	})
	if err != nil || n < 13*3 {
		t.Errorf("%s: %d compartments, %v", when, n, err)
	}
}

// forgotten wants lists, index and the files' free room to know nothing of what
// is cold, and all of what is hot.
func (o *yearOffice) forgotten(t *testing.T, when string, cold int) {
	t.Helper()
	pages := steal(t, o.dir).pages.Bytes()
	raw := o.unlocked(t, office.MailFile)
	for ago, words := range o.words {
		for what, b := range map[string][]byte{"the tables": pages, "the file": raw} {
			if found := words.in(b); (len(found) > 0) != (ago < cold) {
				t.Errorf("%s, cold from %d months ago on: %s of %d months ago: %v", when, cold, what, ago, found)
			}
		}
	}
	noFreePages(t, o.home)
}

// unlocked is a database's file, and its log, as they lie on the disk, without
// the encryption of their pages: also what nothing uses any more.
func (h *home) unlocked(t *testing.T, name string) (all []byte) {
	t.Helper()
	key, err := vault.ReadKeyFile(h.path(keyName), nil)
	if err != nil {
		t.Fatal(err)
	}
	return unlock(t, key, h.path(name))
}

func unlock(t *testing.T, server vault.ServerKey, path string) (all []byte) {
	t.Helper()
	purpose := map[string]string{office.RegisterFile: "pages", office.MailFile: "mail pages"}[filepath.Base(path)]
	key := server.Derive(purpose)
	const block = 4096
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil && (end == "" || !os.IsNotExist(err)) {
			t.Fatal(err)
		}
		for at := 0; at+block <= len(b); at += block {
			all = append(all, adiantum.New(key[:]).Decrypt(b[at:at+block], binary.LittleEndian.AppendUint64(nil, uint64(at)))...)
		}
		if end == "" && !bytes.HasPrefix(all, []byte("SQLite format 3")) {
			t.Fatalf("%s was not decrypted", filepath.Base(path))
		}
	}
	return all
}

// dies kills a command that was started: at some moment of the time that it takes
// when nobody kills it, or soon after it has appended.
func (o *yearOffice) dies(t *testing.T, whole time.Duration, late bool, end func()) {
	t.Helper()
	if !late {
		time.Sleep(time.Duration(rand.Int64N(int64(whole))))
		end()
		return
	}
	stamp := func() string {
		b, err := os.ReadFile(o.path(office.CheckpointFile))
		if err != nil {
			return ""
		}
		return string(b)
	}
	before := stamp()
	for limit := time.Now().Add(2*whole + time.Second); stamp() == before && time.Now().Before(limit); {
		time.Sleep(200 * time.Microsecond)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(whole) / 12)))
	end()
}

// A cooling that is killed again and again, by itself, beside a server, or in a
// server that has just started, loses nothing: each message is hot, or cold with
// all that opens it. The next one takes up what was left, and when it has ended,
// nothing has words of what is cold. The recovery code opens all of it.
func TestCoolingKilled(t *testing.T) {
	o := newYearOffice(t)
	try := &yearOffice{oldOffice: &oldOffice{home: copyHome(t, o.dir), population: o.population}}
	try.keepHot(12)
	began := time.Now()
	try.must("cool")
	whole := time.Since(began)
	var fell [3]int // How often it died before the keys were deleted, before the words were, and after.
	cold := o.whole(t, "at the beginning")
	for hot := 12; hot >= 2; hot-- {
		when := fmt.Sprintf("killed while closing %d months ago", hot)
		switch late := hot%2 == 0; hot % 3 {
		case 0:
			o.keepHot(hot)
			c := o.command("cool")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			o.dies(t, whole, late, func() { kill(c); _ = c.Wait() }) // It was killed, or had ended.
		case 1:
			o.besideServer(t, whole, late, hot)
		case 2:
			o.keepHot(hot)
			r := o.serve()
			o.dies(t, whole, late, r.kill)
		}
		o.sound()
		now := o.whole(t, when)
		if now != cold && now != hot {
			t.Errorf("%s: cold from %d months ago on; before it was %d", when, now, cold)
		}
		switch {
		case now != hot:
			fell[0]++
		case len(o.words[hot].in(steal(t, o.dir).pages.Bytes())) > 0:
			fell[1]++
		default:
			fell[2]++
		}
		if cold = now; hot%4 == 0 {
			o.must("cool")
			cold = o.whole(t, when+", and finished")
			o.forgotten(t, when+", and finished", hot)
		}
	}
	o.must("cool")
	if said := o.must("cool", "--json"); !strings.Contains(said, `"closed":[]`) {
		t.Errorf("once more: %s", said)
	}
	if cold = o.whole(t, "at the end"); cold != 2 {
		t.Errorf("at the end it is cold from %d months ago on", cold)
	}
	o.forgotten(t, "at the end", 2)
	o.must("rebuild", "--check")
	o.sound()
	o.opensOnTheWeb(t)
	t.Logf("a cooling takes %v; %d deaths before the keys were deleted, %d before the words were, %d after", whole.Round(time.Millisecond), fell[0], fell[1], fell[2])
}

// besideServer kills a cooling beside a server that takes mail, and then the server.
func (o *yearOffice) besideServer(t *testing.T, whole time.Duration, late bool, hot int) {
	t.Helper()
	r := o.serve()
	o.keepHot(hot)
	s := connect(t, r.smtp)
	msg := mailOf(fmt.Sprintf("beside-%d", hot), "sender@abroad.example", hind)
	deliver := func() {
		o.mail = append(o.mail, yearMail{entry: s.deliver(t, msg, hind), class: sijill.Office, msg: msg})
	}
	deliver()
	c := o.command("cool")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	o.dies(t, whole, late, func() { kill(c); _ = c.Wait() })
	deliver()
	r.kill()
}

// opensOnTheWeb wants the recovery code to show every closed month.
func (o *yearOffice) opensOnTheWeb(t *testing.T) {
	t.Helper()
	r := o.serve()
	b := newBrowser(r.http, "127.0.0.1")
	if status, err := b.signIn("hind", o.hind.password); status != http.StatusSeeOther || err != nil {
		t.Fatal(status, err)
	}
	shown := func(m yearMail) bool {
		_, body := b.get(t, fmt.Sprintf("/m/%d", m.entry))
		return slices.Contains(o.words[m.ago].in(body), "body")
	}
	for _, m := range o.mail {
		if m.ago > 1 && m.entry%29 == 0 && shown(m) {
			t.Errorf("entry %d of %d months ago is shown before", m.entry, m.ago)
		}
	}
	if res, err := b.do("/open", url.Values{"code": {o.hind.recovery}}); err != nil || res.StatusCode != http.StatusSeeOther {
		t.Fatal(res.StatusCode, err)
	}
	for _, m := range o.mail {
		if m.ago > 0 && m.entry%29 == 0 {
			await(t, fmt.Sprintf("entry %d of %d months ago is shown", m.entry, m.ago), func() bool { return shown(m) })
		}
	}
}
