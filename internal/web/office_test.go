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
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sijill"
	"sijill/internal/message"
)

// Everything happens in one office at one time.
const (
	origin   = "diwan.example/register"
	password = "correct horse battery"
	records  = "records@diwan.example"
	own      = "salma@bayt.example" // The same person's, personally.
	noura    = "noura@diwan.example"
)

var now = time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)

// office is an office with its register in memory. What stands behind the pages
// is simple here, and does what the interfaces promise.
type office struct {
	*httptest.Server
	gate    *gate
	store   *store
	mailer  *mailer
	own     *ownSettings
	bureau  *bureau
	books   *books
	log     lockedBuffer
	tamper  func(raw []byte) []byte // Changes what Original gives, as a bad server would.
	health  error
	config  Config
	handler http.Handler
}

// lockedBuffer is a log that handlers write while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // Guarded by mu.
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newOffice starts an office that holds the fixtures and some fillers. In the
// fixtures CANARY is replaced by canary.
func newOffice(tb testing.TB, canary string) *office {
	tb.Helper()
	o := &office{books: newBooks(tb)}
	o.gate = newGate()
	o.store = newStore(o.books)
	o.mailer = &mailer{store: o.store, sent: map[string]*Letter{}}
	o.own = newOwnSettings(o.gate, o.store)
	o.bureau = newBureau()
	o.fill(tb, canary)
	o.config = Config{
		Access: o.gate, Mailbox: o.store, Search: finder{o.store}, Records: recordsOf{o},
		Post: o.mailer, Settings: o.own, Admin: o.bureau, Watcher: o.store,
		Log: slog.New(slog.NewTextHandler(&o.log, nil)), Office: "ديوان المحفوظات الوطنية",
		Now: func() time.Time { return now }, Location: time.FixedZone("", 4*3600),
		Health: func(context.Context) error { return o.health }, MaxLetter: 4 << 20,
	}
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { o.handler.ServeHTTP(w, r) }))
	o.swap(tb, o.config.Records)
	o.Start()
	tb.Cleanup(func() {
		o.CloseClientConnections()
		o.Close()
	})
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
	o.handler = h
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// fill puts the fixtures into the office: all of them are records', the one
// from Noura is also hers. Last come some letters of one's own.
func (o *office) fill(tb testing.TB, canary string) {
	tb.Helper()
	for i := range 150 {
		o.store.arrive(o.books.add(tb, filler(i), ""), sijill.Office, "", i%3 != 0, 1)
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
		if strings.HasPrefix(filepath.Base(name), "p") {
			o.store.arrive(o.books.add(tb, raw, ""), sijill.Personal, "", false, 1)
			continue
		}
		entry := o.books.add(tb, bytes.ReplaceAll(raw, []byte("CANARY"), []byte(canary)), "")
		o.store.arrive(entry, sijill.Office, "", strings.Contains(name, "gazette"), holders...)
	}
	o.store.arrive(o.books.add(tb, filler(200), "Correspondence 1998.mbox"), sijill.Office, "Correspondence 1998.mbox", true, 1)
	o.books.seal()
	o.mailer.due = append(o.mailer.due, o.entry(tb, "<article-4@"))
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
	mu         sync.Mutex // Guards all but signers.
	envelopes  []message.Envelope
	parsed     []*sijill.Entry
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

func (b *books) add(tb testing.TB, raw []byte, folder string) int64 {
	tb.Helper()
	n, err := b.put(raw, folder)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func (b *books) put(raw []byte, folder string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := int64(len(b.raw))
	seed := sijill.Hash{1, byte(n), byte(n >> 8)}
	commitment, units := sijill.Commit(seed, raw)
	at := now.Add(time.Duration(n-400) * time.Minute)
	e := &sijill.Entry{Time: at, Kind: sijill.Captured, Actor: "smtp",
		Message: &sijill.Message{ID: sijill.ID{byte(n), byte(n >> 8), 1}, Commitment: commitment, Units: units}}
	entry, err := e.Marshal()
	if err != nil {
		return 0, err
	}
	hashes, err := tlog.StoredHashes(n, entry, b.reader())
	if err != nil {
		return 0, err
	}
	env := message.Envelope{
		Door: "smtp", From: "sender@orchard.example", To: []string{records}, Client: "192.0.2.7", Hello: "mail.orchard.example",
		TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", Time: at, Folder: folder,
		Trace: "Return-Path: <sender@orchard.example>\r\nReceived: from mail.orchard.example by diwan.example\r\n",
	}
	b.hashes = append(b.hashes, hashes...)
	b.raw, b.entries, b.seeds = append(b.raw, raw), append(b.entries, entry), append(b.seeds, seed)
	b.envelopes, b.parsed = append(b.envelopes, env), append(b.parsed, e)
	return n, nil
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

// seal signs a checkpoint over all there is.
func (b *books) seal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	root, err := tlog.TreeHash(int64(len(b.raw)), b.reader())
	if err != nil {
		panic(err)
	}
	c := sijill.Checkpoint{Origin: origin, Size: int64(len(b.raw)), Root: root}
	if b.checkpoint, err = c.Sign(b.signers[0], b.signers[1]); err != nil {
		panic(err)
	}
}

// recordsOf is the office's register as Records.
type recordsOf struct{ o *office }

// held locks the books; whoever calls it unlocks them.
func (r recordsOf) held(v *Viewer, entry int64) error {
	if entry < 0 || entry >= int64(len(r.o.books.raw)) {
		return fs.ErrNotExist
	}
	class, ok := r.o.store.holds(v.Account, entry)
	if !ok {
		return fs.ErrNotExist
	}
	if class == sijill.Personal && !v.Open {
		return ErrClosed
	}
	return nil
}

func (r recordsOf) Original(_ context.Context, v *Viewer, entry int64) ([]byte, message.Envelope, error) {
	r.o.books.mu.Lock()
	defer r.o.books.mu.Unlock()
	if err := r.held(v, entry); err != nil {
		return nil, message.Envelope{}, err
	}
	raw := r.o.books.raw[entry]
	if r.o.tamper != nil {
		raw = r.o.tamper(bytes.Clone(raw))
	}
	return raw, r.o.books.envelopes[entry], nil
}

func (r recordsOf) Seal(_ context.Context, v *Viewer, entry int64) (SealInfo, error) {
	b := r.o.books
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := r.held(v, entry); err != nil {
		return SealInfo{}, err
	}
	e := b.parsed[entry]
	info := SealInfo{Entry: entry, Time: e.Time, Commitment: base64.StdEncoding.EncodeToString(e.Message.Commitment[:])}
	if c, err := sijill.ParseCheckpoint(string(b.checkpoint[:bytes.Index(b.checkpoint, []byte("\n\n"))+1])); err == nil && c.Size > entry {
		info.Size, info.Checkpoint = c.Size, string(b.checkpoint)
	}
	return info, nil
}

func (r recordsOf) Proof(_ context.Context, v *Viewer, entry int64) ([]byte, error) {
	b := r.o.books
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := r.held(v, entry); err != nil {
		return nil, err
	}
	path, err := sijill.Inclusion(int64(len(b.raw)), entry, b.reader())
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
