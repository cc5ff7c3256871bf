package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"sijill/internal/config"
	"sijill/internal/office"
	"sijill/internal/people"
)

// hind has an office address and a personal one in every populated office.
const (
	hind     = "hind@diwan.example"
	hindHome = "hind@home.example"
)

// credentials are what lets one person in.
type credentials struct{ name, password, app, recovery string }

// population is an office with people who have chosen their passwords and have
// personal mail: laila runs it, sami is its records officer, hind just works
// there. It is made once and copied, since making passwords takes time.
type population struct {
	made              string // Its directory.
	laila, sami, hind credentials
	given             credentials // What hind was given at first, seen by whoever made the account.
}

var populate = sync.OnceValues(func() (*population, error) {
	p := &population{made: filepath.Join(filepath.Dir(blank), "populated")}
	p.laila = credentials{name: "laila", password: "first laila password"}
	if err := p.run(p.laila.password, &p.laila, "init", "--office", "Diwan", "--domain", "diwan.example", "--account", laila); err != nil {
		return nil, err
	}
	if err := p.run("", nil, "user", "address", "add-domain", "home.example"); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		to   *credentials
		name string
		args []string
	}{{&p.sami, "sami", []string{"--role", "records-officer"}}, {&p.hind, "hind", nil}} {
		c.to.name = c.name
		args := append([]string{"user", "add", c.name + "@diwan.example", "--personal", c.name + "@home.example"}, c.args...)
		if err := p.run("given to "+c.name, c.to, args...); err != nil {
			return nil, err
		}
	}
	p.given = p.hind
	p.given.password = "given to hind"
	if err := p.choose(&p.sami, &p.hind); err != nil {
		return nil, err
	}
	for _, c := range []*credentials{&p.laila, &p.sami, &p.hind} {
		if err := p.run(c.password, c, "user", "app-password", c.name, "--scope", "both"); err != nil {
			return nil, err
		}
	}
	return p, nil
})

// run runs a command that prints JSON, and takes from it what it says of a
// person's credentials.
func (p *population) run(password string, into *credentials, args ...string) error {
	c := exec.Command(program, append(args, "--json")...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "SIJILL_DIR=" + p.made, "SIJILL_PASSWORD=" + password}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, stderr.String())
	}
	if into == nil {
		return nil
	}
	var said struct {
		Recovery string `json:"recovery_code"`
		Password string `json:"password"`
	}
	err = json.Unmarshal(out, &said)
	if said.Recovery != "" {
		into.recovery = said.Recovery
	}
	if said.Password != "" {
		into.app = said.Password
	}
	return err
}

// choose has people change the passwords that they were given.
func (p *population) choose(list ...*credentials) error {
	return with(context.Background(), &Globals{Dir: p.made}, Out{io.Discard, io.Discard}, func(o *office.Office) error {
		for _, c := range list {
			s, err := o.Access.SignIn(context.Background(), c.name, "given to "+c.name, "", netip.MustParseAddr("127.9.0.1"), "test")
			if err != nil {
				return err
			}
			c.password = "chosen by " + c.name
			c.recovery, err = o.Access.ChangePassword(context.Background(), s, "given to "+c.name, c.password, people.By{Account: s.Account.ID})
			token := s.Token
			s.Close()
			if err != nil || c.recovery == "" {
				return fmt.Errorf("changing a password (new code %t): %w", c.recovery != "", err)
			}
			if err := o.Access.SignOut(context.Background(), token); err != nil {
				return err
			}
		}
		return nil
	})
}

// populatedHome is a copy of the population's office.
func populatedHome(t testing.TB, change func(*config.Config)) (*home, *population) {
	t.Helper()
	p, err := populate()
	if err != nil {
		t.Fatal(err)
	}
	h := copyHome(t, p.made)
	c, err := config.Read(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	c.DNS.Servers = []string{"127.0.0.1:9"} // Nobody answers there, at once.
	if change != nil {
		change(&c)
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path(config.File), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return h, p
}

// serveMail is serve with the doors for mail programs.
func (h *home) serveMail() *running {
	h.Helper()
	return h.serve("--submission", "off", "--imap", "off", "--submissions", "127.0.0.1:0", "--imaps", "127.0.0.1:0")
}

// anybody takes the certificate that the server has signed itself.
var anybody = &tls.Config{InsecureSkipVerify: true}

// dialFrom connects from an address of this machine: all of 127/8 is.
func dialFrom(from, to string, secure bool) (net.Conn, error) {
	d := &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var c net.Conn
	var err error
	if secure {
		c, err = tls.DialWithDialer(d, "tcp", to, anybody)
	} else {
		c, err = d.Dial("tcp", to)
	}
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(2 * patience))
	}
	return c, err
}

// mailProgram is an IMAP session that sends octets as they are given.
type mailProgram struct {
	conn net.Conn
	in   *bufio.Reader
	n    int
}

func dialIMAP(address, from string) (*mailProgram, error) {
	conn, err := dialFrom(from, address, true)
	if err != nil {
		return nil, err
	}
	c := newMailProgram(conn)
	_, err = c.line()
	return c, err
}

func newMailProgram(conn net.Conn) *mailProgram {
	return &mailProgram{conn: conn, in: bufio.NewReader(conn)}
}

// signIMAP opens a session that is signed in.
func signIMAP(address string, who credentials) (*mailProgram, error) {
	c, err := dialIMAP(address, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	_, tagged, err := c.do("LOGIN %s %s", who.name, who.app)
	if err == nil && !strings.HasPrefix(tagged, "OK") {
		err = fmt.Errorf("LOGIN: %s", tagged)
	}
	return c, err
}

// imap is signIMAP for a server that must be there.
func (r *running) imap(who credentials) *mailProgram {
	r.Helper()
	c, err := signIMAP(r.door("imaps"), who)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(c.close)
	return c
}

func (c *mailProgram) close() { _ = c.conn.Close() }

var literalEnd = regexp.MustCompile(`\{(\d+)\}$`)

// line reads a response, literals in it included, without its CRLF.
func (c *mailProgram) line() (string, error) {
	var all strings.Builder
	for {
		s, err := c.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		s = strings.TrimSuffix(s, "\r\n")
		all.WriteString(s)
		m := literalEnd.FindStringSubmatch(s)
		if m == nil {
			return all.String(), nil
		}
		n, _ := strconv.Atoi(m[1])
		b := make([]byte, n)
		if _, err := io.ReadFull(c.in, b); err != nil {
			return "", err
		}
		all.WriteString("\r\n" + string(b))
	}
}

// do sends a command and returns what is answered.
func (c *mailProgram) do(format string, args ...any) (untagged []string, tagged string, err error) {
	c.n++
	tag := fmt.Sprintf("t%d ", c.n)
	if _, err := io.WriteString(c.conn, tag+fmt.Sprintf(format, args...)+"\r\n"); err != nil {
		return nil, "", err
	}
	for {
		l, err := c.line()
		if err != nil {
			return nil, "", err
		}
		if rest, ok := strings.CutPrefix(l, tag); ok {
			return untagged, rest, nil
		}
		untagged = append(untagged, l)
	}
}

// must does a command that has to be answered OK.
func (c *mailProgram) must(t testing.TB, format string, args ...any) (untagged []string, tagged string) {
	t.Helper()
	untagged, tagged, err := c.do(format, args...)
	if err != nil || !strings.HasPrefix(tagged, "OK") {
		t.Fatalf("%.60s: %s %v", fmt.Sprintf(format, args...), tagged, err)
	}
	return untagged, tagged
}

// put appends a message and returns its UID, 0 when that was refused.
func (c *mailProgram) put(folder, flags string, msg []byte) (uid int, err error) {
	_, tagged, err := c.do("APPEND %s (%s) {%d+}\r\n%s", folder, flags, len(msg), msg)
	var validity int
	_, _ = fmt.Sscanf(tagged, "OK [APPENDUID %d %d]", &validity, &uid)
	return uid, err
}

var (
	fetched   = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) BODY\[\] \{\d+\}\r\n`)
	messageID = regexp.MustCompile(`(?im)^Message-ID: *<([^@>]+)@`)
)

// stored is a message in a folder.
type stored struct {
	uid   int
	flags string
	body  string
	path  string // Of its file, in a tree of files.
}

// all reads a folder: its messages by the first half of their Message-IDs.
func (c *mailProgram) all(t testing.TB, folder string) map[string][]stored {
	t.Helper()
	found := map[string][]stored{}
	c.must(t, "EXAMINE %s", folder)
	lines, _ := c.must(t, "UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
	for _, l := range lines {
		m := fetched.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		body := strings.TrimSuffix(l[len(m[0]):], ")")
		id := messageID.FindStringSubmatch(body)
		if id == nil {
			t.Fatalf("a message without Message-ID in %s: %.200q", folder, body)
		}
		uid, _ := strconv.Atoi(m[1])
		flags := strings.Fields(m[2])
		slices.Sort(flags)
		found[id[1]] = append(found[id[1]], stored{uid: uid, flags: strings.Join(flags, " "), body: body})
	}
	return found
}

// mailOf is a message with an id.
func mailOf(id, from, to string) []byte {
	return fmt.Appendf(nil, "From: <%s>\r\nTo: <%s>\r\nSubject: letter %s\r\nMessage-ID: <%s@test.example>\r\n"+
		"Date: Sat, 21 Nov 2026 08:30:00 +0300\r\n\r\nThis is letter %s.\r\n%s\r\n", from, to, id, id, id, strings.Repeat("A line of it. ", len(id)*3))
}

// newSender speaks SMTP on a connection.
func newSender(conn net.Conn) *sender { return &sender{conn, bufio.NewReader(conn)} }

// submit opens a session that is signed in to send.
func submit(address string, who credentials) (*sender, error) {
	conn, err := dialFrom("127.0.0.1", address, true)
	if err != nil {
		return nil, err
	}
	s := newSender(conn)
	if _, err := s.reply(); err != nil {
		return nil, err
	}
	if _, err := s.ask("EHLO program.example\r\n"); err != nil {
		return nil, err
	}
	r, err := s.ask("AUTH PLAIN " + plainAuth(who.name, who.app) + "\r\n")
	if err == nil && !strings.HasPrefix(r, "235") {
		err = fmt.Errorf("AUTH: %s", r)
	}
	return s, err
}

// post sends a message and returns the reply that settles it.
func (s *sender) post(from string, msg []byte, to ...string) (string, error) {
	lines := []string{"MAIL FROM:<" + from + ">"}
	for _, a := range to {
		lines = append(lines, "RCPT TO:<"+a+">")
	}
	for _, l := range append(lines, "DATA") {
		r, err := s.ask(l + "\r\n")
		if err != nil {
			return "", err
		}
		if r[0] != '2' && r[0] != '3' {
			_, err := s.ask("RSET\r\n")
			return r, err
		}
	}
	return s.ask(string(stuffed(msg)))
}

// maildir is a folder tree that mbsync keeps like hind's mail.
type maildir struct{ dir string }

func newMaildir(t testing.TB) *maildir {
	t.Helper()
	if _, err := exec.LookPath("mbsync"); err != nil {
		t.Skip("mbsync is not installed")
	}
	m := &maildir{t.TempDir()}
	if err := os.MkdirAll(filepath.Join(m.dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

// command prepares mbsync to run against a server.
func (m *maildir) command(t testing.TB, address string, who credentials) *exec.Cmd {
	t.Helper()
	conn, err := tls.Dial("tcp", address, anybody)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})
	_ = conn.Close()
	_, port, _ := net.SplitHostPort(address)
	conf := fmt.Sprintf("IMAPAccount s\nHost localhost\nPort %s\nUser %s\nPass %s\nSSLType IMAPS\nCertificateFile %[4]s/cert.pem\n\n"+
		"IMAPStore far\nAccount s\n\nMaildirStore near\nPath %[4]s/mail/\nInbox %[4]s/mail/INBOX\nSubFolders Verbatim\n\n"+
		"Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n", port, who.name, who.app, m.dir)
	for name, b := range map[string][]byte{"cert.pem": certificate, "rc": []byte(conf)} {
		if err := os.WriteFile(filepath.Join(m.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("timeout", "60", "mbsync", "-c", filepath.Join(m.dir, "rc"), "-a")
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "LC_ALL=C.UTF-8"}
	return c
}

// sync runs mbsync, which must succeed.
func (m *maildir) sync(r *running, who credentials) {
	r.Helper()
	if out, err := m.command(r, r.door("imaps"), who).CombinedOutput(); err != nil {
		r.Fatalf("mbsync: %v\n%s", err, out)
	}
}

// all reads a folder of the tree as mailProgram.all does that of the server.
func (m *maildir) all(t testing.TB, folder string) map[string][]stored {
	t.Helper()
	found := map[string][]stored{}
	files, _ := filepath.Glob(filepath.Join(m.dir, "mail", folder, "[cn][ue][rw]", "*"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		id := messageID.FindSubmatch(b)
		if id == nil {
			t.Fatalf("a message without Message-ID in %s", f)
		}
		_, flags, _ := strings.Cut(filepath.Base(f), ":2,")
		found[string(id[1])] = append(found[string(id[1])], stored{path: f, flags: flags, body: strings.ReplaceAll(string(b), "\n", "\r\n")})
	}
	return found
}

// plainAuth is the initial response of SASL PLAIN (RFC 4616).
func plainAuth(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + name + "\x00" + password))
}
