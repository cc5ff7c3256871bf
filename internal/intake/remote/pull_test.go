package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// here is this side: what was appended, by origin.
type here struct {
	mu    sync.Mutex
	mail  map[string]*Mail
	calls int
	state map[string][]byte
	fail  func(*Mail) error
}

func newHere() *here {
	return &here{mail: map[string]*Mail{}, state: map[string][]byte{}}
}

func (h *here) Append(_ context.Context, m *Mail) (Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		if err := h.fail(m); err != nil {
			return Receipt{}, err
		}
	}
	h.calls++
	key := fmt.Sprintf("%s %d %d", m.Folder.Name, m.Folder.Validity, m.UID)
	if _, ok := h.mail[key]; !ok {
		c := *m
		c.Message = bytes.Clone(m.Message)
		h.mail[key] = &c
	}
	return Receipt{Entry: int64(len(h.mail))}, nil
}

func (h *here) Load(_ context.Context, key string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b, ok := h.state[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (h *here) Save(_ context.Context, key string, b []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state[key] = bytes.Clone(b)
	return nil
}

// there is the other server: a real IMAP server on loopback. cut, when above 0,
// ends every connection after so many octets.
type there struct {
	user *imapmemserver.User
	addr string
	cut  atomic.Int64
}

func newThere(t *testing.T) *there {
	t.Helper()
	th := &there{user: imapmemserver.NewUser("old@elsewhere.example", "a password")}
	mem := imapmemserver.New()
	mem.AddUser(th.user)
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}}, InsecureAuth: true, Logger: nil,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	th.addr = l.Addr().String()
	go srv.Serve(cutting{l, th})
	t.Cleanup(func() { srv.Close() })
	return th
}

type cutting struct {
	net.Listener
	th *there
}

func (c cutting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, left: c.th.cut.Load()}, nil
}

type cutConn struct {
	net.Conn
	left int64
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.left == 0 {
		return c.Conn.Write(b)
	}
	if int64(len(b)) >= c.left {
		c.Conn.Write(b[:c.left])
		c.Conn.Close()
		return 0, errors.New("cut")
	}
	c.left -= int64(len(b))
	return c.Conn.Write(b)
}

// literal is a message to be appended.
type literal struct{ *bytes.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

func (th *there) put(t *testing.T, mailbox, msg string, at time.Time, flags ...imap.Flag) {
	t.Helper()
	if _, err := th.user.Append(mailbox, literal{bytes.NewReader([]byte(msg))}, &imap.AppendOptions{Flags: flags, Time: at}); err != nil {
		t.Fatal(err)
	}
}

func (th *there) source() Source {
	return Source{Address: th.addr, Security: Plain, User: "old@elsewhere.example", Password: "a password"}
}

func letter(i int) string {
	return fmt.Sprintf("From: a@b.example\r\nSubject: %d\r\n\r\nbody %d\r\n%s", i, i, strings.Repeat("x", i%700))
}

func fill(t *testing.T, th *there) int {
	t.Helper()
	for _, name := range []string{"INBOX", "Sent", "مشاريع/الميزانية"} {
		if name != "INBOX" {
			if err := th.user.Create(name, nil); err != nil {
				t.Fatal(err)
			}
		} else if err := th.user.Create(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Date(2020, 3, 4, 5, 6, 7, 0, time.UTC)
	for i := range 150 {
		th.put(t, "INBOX", letter(i), day.AddDate(0, 0, i), imap.FlagSeen, "$Label1")
	}
	th.put(t, "Sent", letter(1000), day, imap.FlagAnswered)
	th.put(t, "مشاريع/الميزانية", "Subject: x\r\n\r\nbare\nand\rends\r\n", day)
	return 152
}

func TestPull(t *testing.T) {
	th, h := newThere(t), newHere()
	n := fill(t, th)
	var last Progress
	r, err := Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k", Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Counts; c.Seen != int64(n) || c.Captured != int64(n) || c.Refused != 0 || r.Resumed {
		t.Errorf("counts %+v, resumed %v", c, r.Resumed)
	}
	if last.Done != int64(n) || last.Total != int64(n) {
		t.Errorf("the last progress is %+v", last)
	}
	for _, m := range h.mail {
		switch m.Folder.Name {
		case "INBOX":
			i := int(m.UID) - 1
			if string(m.Message) != letter(i) || !slices.Contains(m.Flags, "\\Seen") || m.Folder.Role != "inbox" ||
				!m.Internal.Equal(time.Date(2020, 3, 4+i, 5, 6, 7, 0, time.UTC)) {
				t.Fatalf("INBOX %d: flags %v, date %v, %d bytes", m.UID, m.Flags, m.Internal, len(m.Message))
			}
		case "Sent":
			if m.Folder.Role != "sent" {
				t.Errorf("Sent has the role %q", m.Folder.Role)
			}
		case "مشاريع/الميزانية":
			if string(m.Message) != "Subject: x\r\n\r\nbare\nand\rends\r\n" {
				t.Errorf("bytes changed: %q", m.Message)
			}
		default:
			t.Errorf("a folder %q", m.Folder.Name)
		}
	}
	again, err := Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k"})
	if err != nil || h.calls != n || again.Counts != r.Counts || !again.Resumed {
		t.Errorf("a second run: %d appends, %+v, %v", h.calls, again, err)
	}
	th.put(t, "INBOX", letter(7), time.Now())
	if again, err = Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k"}); err != nil || again.Counts.Captured != int64(n+1) {
		t.Errorf("what came since: %+v, %v", again.Counts, err)
	}
}

// A connection that breaks again and again brings everything, once.
func TestBrokenConnections(t *testing.T) {
	th, h := newThere(t), newHere()
	n := fill(t, th)
	th.cut.Store(16 << 10)
	r, err := Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k", Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.mail) != n || r.Counts.Seen != int64(n) {
		t.Errorf("%d messages came, counts %+v", len(h.mail), r.Counts)
	}
	th.cut.Store(900) // Enough to sign in and no more.
	th.put(t, "INBOX", letter(1), time.Now())
	if _, err := Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k", Pause: time.Millisecond, Attempts: 3}); err == nil || !strings.Contains(err.Error(), "3 times") {
		t.Errorf("a server that never gets anywhere: %v", err)
	}
}

func TestStoppedAndResumed(t *testing.T) {
	th, h := newThere(t), newHere()
	n := fill(t, th)
	ctx, cancel := context.WithCancel(t.Context())
	h.fail = func(m *Mail) error {
		if m.UID == 100 {
			cancel()
		}
		return nil
	}
	if _, err := Pull(ctx, th.source(), Options{Appender: h, Ledger: h, Key: "k", InFlight: 4}); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	h.fail = nil
	r, err := Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k"})
	if err != nil || r.Counts.Seen != int64(n) || len(h.mail) != n || !r.Resumed {
		t.Errorf("resumed: %+v, %d messages, %v", r.Counts, len(h.mail), err)
	}
	if h.calls > n+8 {
		t.Errorf("%d appends for %d messages: too much was done again", h.calls, n)
	}
}

func TestRefusals(t *testing.T) {
	th, h := newThere(t), newHere()
	n := fill(t, th)
	h.fail = func(m *Mail) error {
		if m.Folder.Role == "inbox" && m.UID == 3 {
			return fmt.Errorf("a reason: %w", ErrRefused)
		}
		return nil
	}
	var refused []Refusal
	r, err := Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k", MaxMessage: 180,
		Refused: func(r Refusal) { refused = append(refused, r) }})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Counts
	if c.Seen != int64(n) || c.Seen != c.Captured+c.Already+c.Refused || c.Refused != int64(len(refused)) || c.Refused < 2 {
		t.Errorf("counts %+v, %d refusals", c, len(refused))
	}
	h.fail = func(*Mail) error { return io.ErrShortWrite }
	th.put(t, "INBOX", letter(1), time.Now())
	if _, err := Pull(t.Context(), th.source(), Options{Appender: h, Ledger: h, Key: "k"}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a disk that fails: %v", err)
	}
}

func TestSignIn(t *testing.T) {
	th, h := newThere(t), newHere()
	s := th.source()
	s.Password = "wrong"
	_, err := Pull(t.Context(), s, Options{Appender: h, Ledger: h, Key: "k"})
	if !errors.Is(err, ErrSignIn) || strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("%v", err)
	}
}

// A certificate that isn't believed is no passing trouble.
func TestCertificate(t *testing.T) {
	h := newHere()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: srv.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var calls atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	_, err = Pull(t.Context(), Source{Address: l.Addr().String(), Security: TLS, User: "a", Password: "b"}, Options{Appender: h, Ledger: h, Key: "k"})
	if !errors.Is(err, ErrCertificate) || calls.Load() != 1 {
		t.Errorf("after %d calls: %v", calls.Load(), err)
	}
}

func TestNamesOfOtherServers(t *testing.T) {
	list := []Folder{
		describe(&imap.ListData{Mailbox: "INBOX", Delim: '.'}),
		describe(&imap.ListData{Mailbox: "INBOX.Projects.a/b", Delim: '.'}),
		describe(&imap.ListData{Mailbox: "[Gmail]/All Mail", Delim: '/', Attrs: []imap.MailboxAttr{imap.MailboxAttrAll}}),
		describe(&imap.ListData{Mailbox: "Gesendet", Delim: '/', Attrs: []imap.MailboxAttr{imap.MailboxAttrSent}}),
		describe(&imap.ListData{Mailbox: "Sent Items", Delim: '/'}),
		describe(&imap.ListData{Mailbox: "INBOX.المسودات", Delim: '.'}),
	}
	claim(list)
	for i, want := range []Folder{{Name: "INBOX", Role: "inbox"}, {Name: "INBOX/Projects/a∕b"}, {Name: "[Gmail]/All Mail", All: true},
		{Name: "Gesendet", Role: "sent"}, {Name: "Sent Items"}, {Name: "INBOX/المسودات", Role: "drafts"}} {
		want.mailbox = list[i].mailbox
		if list[i] != want {
			t.Errorf("%+v, want %+v", list[i], want)
		}
	}
}
