package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/search"
)

// Everything happens in one office at one time.
const (
	origin   = "diwan.example/register"
	password = "correct horse battery"
	records  = "records@diwan.example"
	noura    = "noura@diwan.example"
)

var now = time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)

// office is an office with real people, mailbox and search, and a register in
// memory.
type office struct {
	*httptest.Server
	people  *people.People
	mailbox *mailbox.Mailbox
	books   *books
	log     bytes.Buffer
	tamper  func(raw []byte) []byte // Changes what Original gives, as a bad server would.
	health  error
	config  Config
}

// newOffice starts an office that holds the fixtures and some fillers. In the
// fixtures CANARY is replaced by canary.
func newOffice(tb testing.TB, canary string) *office {
	tb.Helper()
	o := &office{books: newBooks(tb)}
	register := openDB(tb, "register.db")
	mail := openDB(tb, "mail.db")
	var err error
	if o.people, err = people.Open(tb.Context(), register); err != nil {
		tb.Fatal(err)
	}
	if err := o.people.AddDomain(tb.Context(), "diwan.example"); err != nil {
		tb.Fatal(err)
	}
	for _, a := range []people.Account{{Name: "ديوان المحفوظات", Address: records}, {Name: "نورة السالم", Address: noura}} {
		if _, err := o.people.Add(tb.Context(), a, password); err != nil {
			tb.Fatal(err)
		}
	}
	o.mailbox = mailbox.New(mail)
	finder := search.New(mail, o.mailbox, o.books.item)
	o.fill(tb, mail, canary, o.mailbox, finder)
	o.config = Config{
		People: o.people, Mailbox: o.mailbox, Search: finder, Records: recordsOf{o},
		Log: slog.New(slog.NewTextHandler(&o.log, nil)), Office: "ديوان المحفوظات الوطنية",
		Now: func() time.Time { return now }, Location: time.FixedZone("", 4*3600),
		Health: func(context.Context) error { return o.health },
	}
	o.Server = httptest.NewServer(http.NotFoundHandler())
	tb.Cleanup(o.Close)
	o.swap(tb, o.config.Records)
	return o
}

// swap puts other records under the pages.
func (o *office) swap(tb testing.TB, r Records) {
	tb.Helper()
	o.config.Records = r
	h, err := New(o.config)
	if err != nil {
		tb.Fatal(err)
	}
	o.Config.Handler = h
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func openDB(tb testing.TB, name string) *db.DB {
	tb.Helper()
	d, err := db.OpenSQLite(tb.Context(), filepath.Join(tb.TempDir(), name), db.Options{Key: [32]byte{1}, Relaxed: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	return d
}

// fill puts the fixtures into the office: all of them are records', the one
// from Noura is also hers.
func (o *office) fill(tb testing.TB, d *db.DB, canary string, projections ...record.Projection) {
	tb.Helper()
	for i := range 150 {
		o.books.add(tb, filler(i), []int64{1}, "", i%3 != 0)
	}
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) == 0 {
		tb.Fatal("no fixtures", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		holders := []int64{1}
		if strings.Contains(name, "html-plain") {
			holders = append(holders, 2)
		}
		o.books.add(tb, bytes.ReplaceAll(raw, []byte("CANARY"), []byte(canary)), holders, "", strings.Contains(name, "gazette"))
	}
	o.books.add(tb, filler(200), []int64{1}, "Correspondence 1998.mbox", true)
	o.books.seal(tb)
	for _, p := range projections {
		if err := d.Migrate(tb.Context(), p.Name(), p.Migrations()); err != nil {
			tb.Fatal(err)
		}
	}
	err = d.Write(tb.Context(), func(tx *db.Tx) error {
		for _, p := range projections {
			prepared := make([]any, len(o.books.items))
			for i, it := range o.books.items {
				var err error
				if prepared[i], err = p.Prepare(it); err != nil {
					return err
				}
			}
			if err := p.Apply(tb.Context(), tx, o.books.items, prepared); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// filler is one of many ordinary messages.
func filler(i int) []byte {
	subjects := []string{"فهرسة المجلد رقم %d", "Ledger %d returned to the stacks", "محضر تسليم الصندوق %d", "Reading room: request %d", "صيانة أجهزة التكييف في المخزن %d"}
	senders := []string{"هدى الكعبي <huda@diwan.example>", "Owen Marsh <owen@orchard.example>", "خالد المري <khalid@diwan.example>", "Reading Room <room@diwan.example>"}
	texts := []string{"تم تسليم المجلد بحالة جيدة وأعيد إلى مكانه في الرف.", "The volume is back in its place; two leaves are loose and were noted.", "يرجى العلم بأن العمل يبدأ صباح الأحد ولا يستغرق أكثر من ساعتين."}
	date := now.Add(-time.Duration(i*i+30*i+200) * time.Hour)
	return fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <f%d@diwan.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n",
		senders[i%len(senders)], records, fmt.Sprintf(subjects[i%len(subjects)], 1000+i), date.Format(time.RFC1123Z), i, texts[i%len(texts)])
}

// books are a register in memory, with proofs as the real one makes them.
type books struct {
	items      []*record.Item
	raw        [][]byte
	entries    [][]byte
	seeds      []sijill.Hash
	hashes     []tlog.Hash
	signers    [2]*sijill.Signer
	checkpoint []byte
}

func newBooks(tb testing.TB) *books {
	ed, err := sijill.NewEd25519Signer(origin, [32]byte{1})
	if err != nil {
		tb.Fatal(err)
	}
	ml, err := sijill.NewMLDSASigner(origin, [32]byte{2}, func() time.Time { return now })
	if err != nil {
		tb.Fatal(err)
	}
	return &books{signers: [2]*sijill.Signer{ed, ml}}
}

func (b *books) add(tb testing.TB, raw []byte, holders []int64, folder string, seen bool) {
	tb.Helper()
	n := int64(len(b.items))
	seed := sijill.Hash{1, byte(n), byte(n >> 8)}
	commitment, units := sijill.Commit(seed, raw)
	at := now.Add(time.Duration(n-400) * time.Minute)
	e := &sijill.Entry{Time: at, Kind: sijill.Captured, Actor: "smtp",
		Message: &sijill.Message{ID: sijill.ID{byte(n), byte(n >> 8), 1}, Commitment: commitment, Units: units}}
	entry, err := e.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	hashes, err := tlog.StoredHashes(n, entry, b.reader())
	if err != nil {
		tb.Fatal(err)
	}
	env := message.Envelope{
		Door: "smtp", From: "sender@orchard.example", To: []string{records}, Client: "192.0.2.7", Hello: "mail.orchard.example",
		TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", Time: at, Folder: folder, Seen: seen,
		Trace: "Return-Path: <sender@orchard.example>\r\nReceived: from mail.orchard.example by diwan.example\r\n",
	}
	b.hashes = append(b.hashes, hashes...)
	b.raw, b.entries, b.seeds = append(b.raw, raw), append(b.entries, entry), append(b.seeds, seed)
	b.items = append(b.items, record.NewItem(n, e, holders, func() (*record.Content, error) {
		return &record.Content{Envelope: env, Message: raw}, nil
	}))
}

func (b *books) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, n := range at {
			out[i] = b.hashes[n]
		}
		return out, nil
	})
}

func (b *books) seal(tb testing.TB) {
	tb.Helper()
	root, err := tlog.TreeHash(int64(len(b.items)), b.reader())
	if err != nil {
		tb.Fatal(err)
	}
	c := sijill.Checkpoint{Origin: origin, Size: int64(len(b.items)), Root: root}
	if b.checkpoint, err = c.Sign(b.signers[0], b.signers[1]); err != nil {
		tb.Fatal(err)
	}
}

func (b *books) item(_ context.Context, entry int64) (*record.Item, error) {
	if entry < 0 || entry >= int64(len(b.items)) {
		return nil, fs.ErrNotExist
	}
	return b.items[entry], nil
}

// recordsOf is the office's register as Records.
type recordsOf struct{ o *office }

func (r recordsOf) held(account, entry int64) (*record.Item, error) {
	it, err := r.o.books.item(context.Background(), entry)
	if err != nil {
		return nil, err
	}
	for _, h := range it.Holders {
		if h == account {
			return it, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (r recordsOf) Original(_ context.Context, account, entry int64) ([]byte, message.Envelope, error) {
	it, err := r.held(account, entry)
	if err != nil {
		return nil, message.Envelope{}, err
	}
	c, err := it.Content()
	raw := c.Message
	if r.o.tamper != nil {
		raw = r.o.tamper(bytes.Clone(raw))
	}
	return raw, c.Envelope, err
}

func (r recordsOf) Seal(_ context.Context, account, entry int64) (SealInfo, error) {
	it, err := r.held(account, entry)
	if err != nil {
		return SealInfo{}, err
	}
	c := it.Entry.Message.Commitment
	return SealInfo{Entry: entry, Time: it.Entry.Time, Size: int64(len(r.o.books.items)),
		Checkpoint: string(r.o.books.checkpoint), Commitment: base64.StdEncoding.EncodeToString(c[:])}, nil
}

func (r recordsOf) Proof(_ context.Context, account, entry int64) ([]byte, error) {
	if _, err := r.held(account, entry); err != nil {
		return nil, err
	}
	b := r.o.books
	path, err := sijill.Inclusion(int64(len(b.items)), entry, b.reader())
	if err != nil {
		return nil, err
	}
	p := sijill.Proof{Index: entry, Entry: b.entries[entry], Inclusion: path, Checkpoint: b.checkpoint, Seed: &b.seeds[entry]}
	return p.Marshal()
}

func (r recordsOf) Checkpoint(context.Context) ([]byte, error) { return r.o.books.checkpoint, nil }

func (r recordsOf) Tile(_ context.Context, path string) ([]byte, error) {
	t, err := sijill.ParseTilePath(path)
	if err != nil {
		return nil, fs.ErrNotExist
	}
	return sijill.TileData(t, r.o.books.reader())
}

func (r recordsOf) Key() string {
	return r.o.books.signers[0].VerifierKey() + "\n" + r.o.books.signers[1].VerifierKey() + "\n"
}

// entry finds the entry of the fixture whose bytes contain text.
func (o *office) entry(tb testing.TB, text string) int64 {
	tb.Helper()
	for i, raw := range o.books.raw {
		if bytes.Contains(raw, []byte(text)) {
			return int64(i)
		}
	}
	tb.Fatalf("no fixture has %q", text)
	return -1
}

// signIn gives a client that is signed in.
func (o *office) signIn(tb testing.TB, address string) *http.Client {
	tb.Helper()
	c := newClient(tb)
	res, err := c.PostForm(o.URL+"/sign-in", map[string][]string{"address": {address}, "password": {password}})
	if err != nil {
		tb.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		tb.Fatalf("signing in: %s", res.Status)
	}
	return c
}

// newClient keeps cookies, as a browser does.
func newClient(tb testing.TB) *http.Client {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &http.Client{Jar: jar}
}
