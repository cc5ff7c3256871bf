package imapd

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var certificate = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// house is a running server.
type house struct {
	*Server
	office         *office
	plain, secured string // addresses
	log            *lockedBuilder
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serve(t testing.TB, change ...func(*Options)) *house {
	t.Helper()
	h := &house{office: newOffice(t), log: &lockedBuilder{}}
	o := Options{Backend: h.office, TLS: certificate(), Log: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(&o)
	}
	var err error
	if h.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	listen := func(serve func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- serve(l) }()
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			h.Shutdown(ctx)
			if err := <-done; err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return l.Addr().String()
	}
	h.plain, h.secured = listen(h.Serve), listen(h.ServeTLS)
	return h
}

// client speaks IMAP by hand.
type client struct {
	t testing.TB
	net.Conn
	in  *bufio.Reader
	n   int
	tag string
}

func (h *house) dial(t testing.TB) *client {
	t.Helper()
	c, err := tls.Dial("tcp", h.secured, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c)
}

func newClient(t testing.TB, c net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	cl := &client{t: t, Conn: c, in: bufio.NewReader(c)}
	c.SetDeadline(time.Now().Add(50 * time.Second))
	if line := cl.line(); !strings.HasPrefix(line, "* OK [CAPABILITY ") {
		t.Fatalf("greeting: %q", line)
	}
	return cl
}

// sign opens a connection that is signed in.
func (h *house) sign(t testing.TB, password string) *client {
	t.Helper()
	c := h.dial(t)
	c.ok("LOGIN layla " + password)
	return c
}

func (h *house) selected(t testing.TB, password, folder string) *client {
	t.Helper()
	c := h.sign(t, password)
	c.ok("SELECT " + folder)
	return c
}

var literalEnd = regexp.MustCompile(`\{(\d+)\}$`)

// line reads a response, literals in it included, without its CRLF.
func (c *client) line() string {
	c.t.Helper()
	var all strings.Builder
	for {
		s, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatalf("read: %v after %.200q", err, all.String()+s)
		}
		s = strings.TrimSuffix(s, "\r\n")
		all.WriteString(s)
		m := literalEnd.FindStringSubmatch(s)
		if m == nil {
			return all.String()
		}
		n, _ := strconv.Atoi(m[1])
		b := make([]byte, n)
		if _, err := io.ReadFull(c.in, b); err != nil {
			c.t.Fatal(err)
		}
		all.WriteString("\r\n" + string(b))
	}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// start sends a command.
func (c *client) start(cmd string) {
	c.t.Helper()
	c.n++
	c.tag = fmt.Sprintf("t%d", c.n)
	c.send("%s", c.tag+" "+cmd+"\r\n")
}

// finish reads up to the tagged response and returns what came before it.
func (c *client) finish() (untagged []string, tagged string) {
	c.t.Helper()
	for {
		l := c.line()
		if rest, ok := strings.CutPrefix(l, c.tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, l)
	}
}

// do runs a command.
func (c *client) do(cmd string) (untagged []string, tagged string) {
	c.t.Helper()
	c.start(cmd)
	return c.finish()
}

// ok runs a command that must succeed.
func (c *client) ok(cmd string) []string {
	c.t.Helper()
	u, tagged := c.do(cmd)
	if !strings.HasPrefix(tagged, "OK") {
		c.t.Fatalf("%.100s: %s", cmd, tagged)
	}
	return u
}

// refused runs a command that must fail so.
func (c *client) refused(cmd, with string) {
	c.t.Helper()
	if u, tagged := c.do(cmd); !strings.HasPrefix(tagged, with) {
		c.t.Fatalf("%.100s: %q %s, wanted %s", cmd, u, tagged, with)
	}
}

// wants compares all untagged responses.
func (c *client) wants(cmd string, want ...string) {
	c.t.Helper()
	if got := c.ok(cmd); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		c.t.Fatalf("%.100s:\n got %q\nwant %q", cmd, got, want)
	}
}

func (c *client) append(folder, flags, raw string) string {
	c.t.Helper()
	c.start(fmt.Sprintf("APPEND %s (%s) {%d+}\r\n%s", folder, flags, len(raw), raw))
	_, tagged := c.finish()
	if !strings.HasPrefix(tagged, "OK [APPENDUID ") {
		c.t.Fatalf("append: %s", tagged)
	}
	return tagged
}

// letter is a plain message.
func letter(n int) string {
	return fmt.Sprintf("Date: Mon, 2 Mar 2026 10:%02d:00 +0300\r\nFrom: Layla <layla@diwan.example>\r\nTo: office@diwan.example\r\nSubject: letter %d\r\nMessage-ID: <%d@diwan.example>\r\n\r\nText of letter %d.\r\n", n%60, n, n, n)
}

func contains1(list []string, s string) bool {
	for _, l := range list {
		if strings.Contains(l, s) {
			return true
		}
	}
	return false
}

func certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate().Certificates[0].Certificate[0]})
}
