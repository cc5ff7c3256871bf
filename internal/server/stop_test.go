package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// patience bounds every wait for what comes long before, or never.
const patience = 30 * time.Second

// log is what a server said. It is safe for concurrent use.
type log struct {
	mu sync.Mutex // Guards b.
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const address = "laila@town.example"

// serving is a server with one account, which runs until it gets SIGTERM.
type serving struct {
	*Server
	o        *office.Office
	log      *log
	password string // Of a mail program.
	ended    chan error
}

func serve(t *testing.T) *serving {
	t.Helper()
	c := config.Default("Office", "town.example")
	c.SMTP.Listen, c.LMTP.Listen, c.HTTP.Listen, c.Metrics.Listen = "127.0.0.1:0", "", "127.0.0.1:0", ""
	c.Checks.Off = true
	c.Submission, c.IMAP.Listen, c.IMAP.TLSListen = config.Submission{}, "", "127.0.0.1:0"
	s := &serving{log: &log{}, ended: make(chan error, 1)}
	opts := office.Options{Dir: t.TempDir(), Config: c, Key: vault.NewServerKey(), Log: slog.New(slog.NewTextHandler(s.log, nil))}
	err := office.Create(t.Context(), opts)
	if err == nil {
		s.o, err = office.Open(t.Context(), opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.o.People.AddDomain(t.Context(), people.By{}, "town.example"); err != nil {
		t.Fatal(err)
	}
	a, err := s.o.People.Add(t.Context(), people.Account{Name: "Laila", Address: address, Class: sijill.Office}, "correct horse battery staple 77")
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.o.People.MakeAppPassword(t.Context(), people.By{}, a.ID, "a program", people.ScopeOffice)
	if err != nil {
		t.Fatal(err)
	}
	s.password = app.Password
	if s.Server, err = New(t.Context(), s.o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	ready := make(chan struct{})
	go func() {
		err := s.Run(ctx, func() { close(ready) })
		stop()
		s.ended <- err
	}()
	<-ready
	return s
}

// terminate sends SIGTERM.
func terminate(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// closes waits until a door is closed.
func (s *serving) closes(t *testing.T, door string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", s.Addr(door).String())
		if err != nil {
			return
		}
		c.Close()
	}
	t.Fatalf("the %s door stays open", door)
}

// stopped waits for the end, and closes the office.
func (s *serving) stopped(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the server doesn't end")
	}
	if err := s.o.Close(); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.log.String(), "were cut") {
		t.Errorf("it did not wait: %s", s.log)
	}
}

// program is a mail program.
type program struct {
	net.Conn
	in *bufio.Reader
}

// enter signs a mail program in.
func (s *serving) enter(t *testing.T) program {
	t.Helper()
	c, err := tls.Dial("tcp", s.Addr("imaps").String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	p := program{c, bufio.NewReader(c)}
	p.want(t, "* OK")
	fmt.Fprintf(c, "a1 LOGIN %s %s\r\n", address, s.password)
	p.want(t, "a1 OK")
	return p
}

// want reads up to a line that begins in a way.
func (p program) want(t *testing.T, begin string) {
	t.Helper()
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %q: %v", begin, err)
		}
		if strings.HasPrefix(line, begin) {
			return
		}
		if word, _, _ := strings.Cut(begin, " "); strings.HasPrefix(line, word+" ") && word != "*" {
			t.Fatalf("%q, not %q", line, begin)
		}
	}
}

// A message that a mail program is putting here when the server is told to stop is
// sealed and acknowledged: otherwise the program would put it here again.
func TestStopInTheMidstOfAppend(t *testing.T) {
	s := serve(t)
	before, _ := s.o.Register.Head()
	p := s.enter(t)
	letter := "From: laila@town.example\r\nSubject: The bridge\r\n\r\n" + strings.Repeat("It is open.\r\n", 100)
	fmt.Fprintf(p, "a2 APPEND INBOX {%d}\r\n", len(letter))
	p.want(t, "+")
	fmt.Fprint(p, letter[:len(letter)/2])
	terminate(t)
	s.closes(t, "imaps")
	fmt.Fprint(p, letter[len(letter)/2:]+"\r\n")
	p.want(t, "a2 OK")
	p.want(t, "* BYE")
	if after, _ := s.o.Register.Head(); after <= before {
		t.Errorf("%d entries after %d", after, before)
	}
	s.stopped(t)
}

// All doors close at once: one doesn't wait for the sessions of another.
func TestAllDoorsClose(t *testing.T) {
	s := serve(t)
	c, err := net.Dial("tcp", s.Addr("smtp").String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	p := program{c, bufio.NewReader(c)}
	p.want(t, "220 ")
	for _, step := range [][2]string{{"EHLO there.example", "250 "}, {"MAIL FROM:<karim@elsewhere.example>", "250 "}, {"RCPT TO:<" + address + ">", "250 "}, {"DATA", "354 "}} {
		fmt.Fprintf(c, "%s\r\n", step[0])
		p.want(t, step[1])
	}
	terminate(t)
	s.closes(t, "imaps")
	s.closes(t, "http")
	fmt.Fprint(c, "From: karim@elsewhere.example\r\nSubject: The bridge\r\n\r\nIt is open.\r\n.\r\n")
	p.want(t, "250 ")
	c.Close()
	s.stopped(t)
}
