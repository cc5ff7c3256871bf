package outbox

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is a scripted server: it takes everything, unless answer says otherwise.
type sink struct {
	name       string
	listener   net.Listener
	tls        *tls.Config // nil offers no STARTTLS.
	implicit   bool
	extensions []string
	// answer gives the reply to a line of the dialogue, "" for the usual one
	// and "-" to hang up. The end of the message is the line ".".
	answer func(line string) string

	mu    sync.Mutex // Guards what follows.
	got   []delivery
	lines []string // All commands.
	conns int
}

// delivery is one transaction that was acknowledged.
type delivery struct {
	mail  string
	rcpts []string
	data  []byte
	tls   bool
	sni   string
}

func newSink(t testing.TB, name string, change func(*sink)) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{name: name, listener: l, extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 1000000", "REQUIRETLS"}}
	if change != nil {
		change(s)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return s
}

func (s *sink) deliveries() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]delivery(nil), s.got...)
}

func (s *sink) said(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func (s *sink) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// serve speaks with one client.
func (s *sink) serve(c net.Conn) {
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	p := &peer{sink: s, Conn: c}
	defer func() { p.Conn.Close() }()
	c.SetDeadline(time.Now().Add(time.Minute))
	if s.implicit && !p.secure() {
		return
	}
	p.r = bufio.NewReader(p.Conn)
	if !p.reply("", "220 "+s.name+" ESMTP") {
		return
	}
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		if !p.command(line) {
			return
		}
	}
}

type peer struct {
	net.Conn
	sink *sink
	r    *bufio.Reader
	now  delivery
}

func (p *peer) secure() bool {
	t := tls.Server(p.Conn, p.sink.tls)
	if t.Handshake() != nil {
		return false
	}
	p.Conn, p.r = t, bufio.NewReader(t)
	p.now.tls, p.now.sni = true, t.ConnectionState().ServerName
	return true
}

// reply sends what answer wants for line, or else usual.
func (p *peer) reply(line, usual string) bool {
	text := ""
	if p.sink.answer != nil {
		text = p.sink.answer(line)
	}
	if text == "" {
		text = usual
	}
	if text == "-" {
		return false
	}
	_, err := p.Write([]byte(text + "\r\n"))
	return err == nil && !strings.HasPrefix(text, "421")
}

func (p *peer) command(line string) bool {
	verb := strings.ToUpper(line)
	keep := delivery{tls: p.now.tls, sni: p.now.sni}
	switch {
	case strings.HasPrefix(verb, "EHLO"):
		text := "250-" + p.sink.name + " hello"
		list := p.sink.extensions
		if p.sink.tls != nil && !p.now.tls {
			list = append([]string{"STARTTLS"}, list...)
		}
		for _, e := range list {
			text += "\r\n250-" + e
		}
		return p.reply(line, text+"\r\n250 HELP")
	case verb == "STARTTLS":
		return p.reply(line, "220 2.0.0 go ahead") && p.secure()
	case strings.HasPrefix(verb, "MAIL"):
		p.now = keep
		p.now.mail = line
		return p.answered(line, "250 2.1.0 sender ok", func() {}, func() { p.now.mail = "" })
	case strings.HasPrefix(verb, "RCPT"):
		if p.now.mail == "" {
			return p.reply("", "503 5.5.1 MAIL first")
		}
		return p.answered(line, "250 2.1.5 recipient ok", func() { p.now.rcpts = append(p.now.rcpts, line) }, func() {})
	case verb == "DATA":
		if len(p.now.rcpts) == 0 {
			return p.reply("", "554 5.5.1 no valid recipients")
		}
		return p.answered(line, "354 go on", func() {}, func() { p.now.mail = "" }) && (p.now.mail == "" || p.data())
	case verb == "RSET":
		p.now = keep
	case verb == "QUIT":
		p.reply(line, "221 2.0.0 bye")
		return false
	case strings.HasPrefix(verb, "AUTH"):
		return p.reply(line, "235 2.7.0 welcome")
	}
	return p.reply(line, "250 2.0.0 ok")
}

// answered replies and calls yes when that is 2yz or 3yz, else no.
func (p *peer) answered(line, usual string, yes, no func()) bool {
	text := ""
	if p.sink.answer != nil {
		text = p.sink.answer(line)
	}
	if text == "" {
		text = usual
	}
	if text[0] == '2' || text[0] == '3' {
		yes()
	} else {
		no()
	}
	if text == "-" {
		return false
	}
	_, err := p.Write([]byte(text + "\r\n"))
	return err == nil && !strings.HasPrefix(text, "421")
}

func (p *peer) data() bool {
	var b bytes.Buffer
	for {
		line, err := p.r.ReadBytes('\n')
		if err != nil {
			return false
		}
		if string(line) == ".\r\n" {
			break
		}
		b.Write(bytes.TrimPrefix(line, []byte(".")))
	}
	p.now.data = b.Bytes()
	d := p.now
	keep := delivery{tls: p.now.tls, sni: p.now.sni}
	p.now = keep
	return p.answered(".", "250 2.0.0 taken", func() {
		p.sink.mu.Lock()
		p.sink.got = append(p.sink.got, d)
		p.sink.mu.Unlock()
	}, func() {})
}

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue makes a certificate for names, in a chain with the authority.
func (a *authority) issue(t testing.TB, names ...string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: fmt.Sprint(names)}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}}}
}
