package smtpd

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill/internal/people"
)

// register is an Appender that remembers, or fails as told.
type register struct {
	mu   sync.Mutex
	mail []*Mail
	fail error
	wait chan struct{} // when set, Append waits for it
}

func (r *register) Append(ctx context.Context, m *Mail) (Receipt, error) {
	if r.wait != nil {
		select {
		case <-r.wait:
		case <-ctx.Done():
			return Receipt{}, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return Receipt{}, r.fail
	}
	r.mail = append(r.mail, m)
	return Receipt{Entry: int64(len(r.mail) - 1)}, nil
}

func (r *register) sealed() []*Mail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mail
}

func (r *register) failWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// directory is a Directory of fixed mailboxes at diwan.example.
type directory map[string]int64

var errBroken = errors.New("table is locked")

func (d directory) Lookup(_ context.Context, address string) (int64, error) {
	address = strings.ToLower(address)
	switch account, ok := d[address]; {
	case ok:
		return account, nil
	case address == "broken@diwan.example":
		return 0, errBroken
	case strings.HasSuffix(address, "@diwan.example"):
		return 0, fmt.Errorf("find mailbox: %w", fs.ErrNotExist)
	}
	return 0, fmt.Errorf("find mailbox: %w", people.ErrForeign)
}

var office = directory{
	"hind@diwan.example":       1,
	"salim@diwan.example":      2,
	"sales@diwan.example":      2,
	"سالم@diwan.example":       2,
	"journal@diwan.example":    3,
	"postmaster@diwan.example": 4,
	"a b@diwan.example":        5,
}

type service struct {
	*Server
	*register
	addr string
	log  *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start serves on a loopback port until the test ends.
func start(t testing.TB, lmtp bool, change func(*Options)) *service {
	t.Helper()
	return serving(t, func(s *Server) func(net.Listener) error {
		if lmtp {
			return s.ServeLMTP
		}
		return s.Serve
	}, change)
}

// serving serves what door gives until the test ends.
func serving(t testing.TB, door func(*Server) func(net.Listener) error, change func(*Options)) *service {
	t.Helper()
	s := &service{register: &register{}, log: &safeBuffer{}}
	o := Options{
		Hostname:   "mx.diwan.example",
		Directory:  office,
		Appender:   s.register,
		Journal:    []string{"journal@diwan.example"},
		Postmaster: "postmaster@diwan.example",
		Log:        slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	var err error
	if s.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- door(s.Server)(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if open := s.Stats().Open; open != 0 {
			t.Errorf("%d connections still counted as open", open)
		}
		if !s.memory.TryAcquire(s.opt.Memory + smallest) {
			t.Error("memory of messages was not given back")
		}
		for _, secret := range []string{"@", "secret", "127.0.0.1", "app-", "hind"} {
			if strings.Contains(s.log.String(), secret) {
				t.Errorf("log holds %q:\n%s", secret, s.log)
			}
		}
	})
	return s
}

// client says exactly what it is told.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *service) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &client{t, c, bufio.NewReader(c)}
}

// greeted is a client past EHLO or LHLO.
func (s *service) greeted(t testing.TB) *client {
	t.Helper()
	p := s.dial(t)
	p.want("220 mx.diwan.example")
	p.hello()
	return p
}

func (p *client) hello() string {
	p.t.Helper()
	p.say("EHLO client.example\r\n")
	r := p.reply()
	if strings.HasPrefix(r, "500") {
		p.say("LHLO client.example\r\n")
		r = p.reply()
	}
	if !strings.HasPrefix(r, "250-") {
		p.t.Fatalf("greeting answered %q", r)
	}
	return r
}

func (p *client) say(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// reply reads one reply, its lines joined by LF.
func (p *client) reply() string {
	p.t.Helper()
	var lines []string
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("read reply after %q: %v", lines, err)
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// want reads one reply for each prefix.
func (p *client) want(prefixes ...string) {
	p.t.Helper()
	for _, want := range prefixes {
		if got := p.reply(); !strings.HasPrefix(got, want) {
			p.t.Fatalf("reply %q, want %q", got, want)
		}
	}
}

func (p *client) ask(command string, prefixes ...string) {
	p.t.Helper()
	p.say(command + "\r\n")
	p.want(prefixes...)
}

// begin goes as far as DATA or BDAT may come.
func (p *client) begin(to ...string) {
	p.t.Helper()
	p.ask("MAIL FROM:<sender@abroad.example>", "250 ")
	for _, a := range to {
		p.ask("RCPT TO:<"+a+">", "250 ")
	}
}

// data sends DATA with octets that hold their own end.
func (p *client) data(octets string, prefixes ...string) {
	p.t.Helper()
	p.ask("DATA", "354 ")
	p.say(octets)
	p.want(prefixes...)
}

// closed checks that the server says no more and hangs up.
func (p *client) closed() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Fatalf("connection should be closed; got %q, %v", rest, err)
	}
}

// certificate is a self-made one for mx.diwan.example.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mx.diwan.example"},
		DNSNames:     []string{"mx.diwan.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

type panicking struct{}

func (panicking) Append(context.Context, *Mail) (Receipt, error) { panic("secret of a message") }
