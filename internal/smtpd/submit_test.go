package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sijill"
	"sijill/internal/people"
)

// bureau is a Submitter for one account with two addresses.
type bureau struct {
	mu     sync.Mutex
	mail   []*Submission
	fail   error
	tries  int
	closed atomic.Int32
}

var errDown = errors.New("the table is locked")

func (b *bureau) Authenticate(_ context.Context, user, password string, from netip.Addr) (Sender, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	switch {
	case user == "slow":
		return nil, fmt.Errorf("sign in: %w", people.ErrSlowDown{RetryAfter: time.Hour})
	case user == "broken":
		return nil, errDown
	case user != "hind" || password != "app-سر-1" || !from.IsLoopback():
		return nil, fmt.Errorf("sign in: %w", people.ErrCredentials)
	}
	return &desk{b}, nil
}

type desk struct{ *bureau }

func (d *desk) Account() int64 { return 1 }

func (d *desk) Class(string) sijill.Class { return sijill.Office }

func (d *desk) Close() { d.closed.Add(1) }

func (d *desk) MaySend(_ context.Context, from string) error {
	switch strings.ToLower(from) {
	case "hind@diwan.example", "office@diwan.example":
		return nil
	case "hind@home.example":
		return &Refusal{550, [3]int{5, 7, 1}, "a personal address does not send office mail"}
	case "broken@diwan.example":
		return errDown
	}
	return fmt.Errorf("look for address: %w", fs.ErrPermission)
}

func (d *desk) Submit(_ context.Context, m *Submission) (Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return Receipt{}, d.fail
	}
	d.mail = append(d.mail, m)
	return Receipt{Entry: int64(100 + len(d.mail))}, nil
}

func (b *bureau) sent() []*Submission {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mail
}

// submitting serves submission, with implicit TLS or STARTTLS.
func submitting(t testing.TB, implicit bool, change func(*Options)) (*service, *bureau) {
	t.Helper()
	b := &bureau{}
	config := certificate(t)
	s := serving(t, func(s *Server) func(net.Listener) error {
		if implicit {
			return s.ServeSubmissions
		}
		return s.ServeSubmission
	}, func(o *Options) {
		o.TLS, o.Submitter = config, b
		o.Limits.SignInPause = time.Millisecond
		if change != nil {
			change(o)
		}
	})
	return s, b
}

func (s *service) dialTLS(t testing.TB) *client {
	t.Helper()
	c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &client{t, c, bufio.NewReader(c)}
}

// signedIn is a client past AUTH.
func (s *service) signedIn(t testing.TB) *client {
	t.Helper()
	p := s.dialTLS(t)
	p.want("220 ")
	p.hello()
	p.ask("AUTH PLAIN "+plainly("", "hind", "app-سر-1"), "235 2.7.0 ")
	return p
}

func plainly(parts ...string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Join(parts, "\x00")))
}

const outgoingText = "From: Hind <hind@diwan.example>\r\nTo: envoy@abroad.example\r\nBcc: spy@abroad.example,\r\n other@abroad.example\r\n" +
	"Return-Path: <x@y.example>\r\nSubject: treaty\r\nDate: Sun, 22 Nov 2026 04:05:06 +0300\r\nMessage-ID: <m1@diwan.example>\r\n\r\nBcc: stays here\r\n"

func TestSubmission(t *testing.T) {
	s, b := submitting(t, true, nil)
	p := s.signedIn(t)
	p.ask("MAIL FROM:<hind@diwan.example> RET=HDRS ENVID=Q+2B1 SMTPUTF8 REQUIRETLS", "250 ")
	p.ask("RCPT TO:<envoy@abroad.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bname@abroad.example", "250 ")
	p.ask("RCPT TO:<spy@abroad.example> NOTIFY=NEVER", "250 ")
	p.ask("RCPT TO:<spy@abroad.example>", "250 ")
	p.data(outgoingText+".\r\n", "250 2.0.0 sealed as entry 101")
	p.ask("QUIT", "221 ")
	p.closed()
	m := b.sent()[0]
	if m.From != "hind@diwan.example" || m.HeaderFrom != "hind@diwan.example" || m.Return != "HDRS" || m.EnvelopeID != "Q+1" || !m.SMTPUTF8 || !m.RequireTLS {
		t.Errorf("submission %+v", m)
	}
	want := []Recipient{
		{Address: "envoy@abroad.example", Notify: []string{"SUCCESS", "FAILURE"}, Original: "first+name@abroad.example", OriginalType: "RFC822"},
		{Address: "spy@abroad.example", Notify: []string{"NEVER"}},
	}
	if !slices.EqualFunc(m.To, want, func(a, b Recipient) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("recipients %+v", m.To)
	}
	if string(m.Original) != outgoingText {
		t.Errorf("original %q", m.Original)
	}
	trace := `^Received: by mx\.diwan\.example \(office\) with UTF8SMTPSA id [A-Z2-7]+;\r\n\t\w{3}, .*\+0000\r\n$`
	if !regexp.MustCompile(trace).MatchString(m.Envelope.Trace) {
		t.Errorf("trace %q", m.Envelope.Trace)
	}
	rest := strings.TrimPrefix(string(m.ToSend), m.Envelope.Trace)
	if wanted := regexp.MustCompile(`Bcc: spy(.|\n)*?y\.example>\r\n`).ReplaceAllString(outgoingText, ""); rest != wanted {
		t.Errorf("to send %q, want %q", rest, wanted)
	}
	for _, leak := range []string{"127.0.0.1", "client.example", "spy"} {
		if strings.Contains(string(m.ToSend), leak) {
			t.Errorf("what is sent tells of %q", leak)
		}
	}
	e := m.Envelope
	if e.Door != "submission" || e.Client != "127.0.0.1" || e.TLS == "" || len(e.To) != 2 {
		t.Errorf("envelope %+v", e)
	}
	waitFor(t, func() bool { return b.closed.Load() == 1 })
	if st := s.Stats(); st.SignIns != 1 || st.SignInFailures != 0 || st.Accepted != 1 || st.TLS != 1 {
		t.Errorf("stats %+v", st)
	}
}

// A client may leave these two to us (RFC 6409 section 8).
func TestSubmissionAddsFields(t *testing.T) {
	s, b := submitting(t, true, nil)
	p := s.signedIn(t)
	p.ask("MAIL FROM:<hind@diwan.example>", "250 ")
	p.ask("RCPT TO:<envoy@abroad.example>", "250 ")
	p.say("BDAT 44\r\nFrom: hind@diwan.example\r\nSubject: x\r\n\r\ntext\r\n"[:9+44])
	p.want("250 ")
	p.say("BDAT 4 LAST\r\n\r\n\r\n")
	p.want("250 2.0.0 sealed as entry 101")
	sent := string(b.sent()[0].ToSend)
	if !regexp.MustCompile(`\r\nDate: .* \+0000\r\nMessage-ID: <[A-Z2-7]{26}@mx\.diwan\.example>\r\nFrom: `).MatchString(sent) {
		t.Errorf("to send %q", sent)
	}
}

func TestSubmissionHeaders(t *testing.T) {
	s, b := submitting(t, true, func(o *Options) { o.Limits.Errors = 1000 })
	p := s.signedIn(t)
	for header, want := range map[string]string{
		"From: OFFICE@diwan.example":                               "250 ",
		"From: office@diwan.example\r\nSender: hind@diwan.example": "250 ",
		"Subject: x":                                                            "550 5.6.0 ",
		"From: a@b.example":                                                     "550 5.7.1 ",
		"From: hind@home.example":                                               "550 5.7.1 a personal address",
		"From: broken@diwan.example":                                            "451 ",
		"From: hind@diwan.example, office@diwan.example":                        "550 5.6.0 ",
		"From: hind@diwan.example\r\nFrom: a@b.example":                         "550 5.6.0 ",
		"From: hind@diwan.example\r\nfrom : a@b.example":                        "550 5.6.0 ",
		"From: hind@diwan.example\r\nSender: a@b.example":                       "550 5.7.1 ",
		"From: hind@diwan.example\r\nSender: hind@diwan.example\r\nSender: a@b": "550 5.6.0 ",
		"From: Hind": "550 5.6.0 ",
		"Resent-From: office@diwan.example\r\nFrom: hind@diwan.example":                                                   "250 ",
		"Resent-From: a@b.example\r\nFrom: hind@diwan.example":                                                            "550 5.7.1 ",
		"Resent-From: office@diwan.example, a@b.example\r\nFrom: hind@diwan.example":                                      "550 5.7.1 ",
		"Resent-From: hind@diwan.example\r\nResent-From: a@b.example\r\nFrom: hind@diwan.example":                         "550 5.7.1 ",
		"Resent-From: hind@diwan.example\r\nResent-Sender: a@b.example\r\nFrom: hind@diwan.example":                       "550 5.7.1 ",
		"Resent-Sender: office@diwan.example\r\nresent-sender: hind@home.example\r\nFrom: hind@diwan.example":             "550 5.7.1 a personal address",
		"Resent-From: =?utf-8?q?a=40b=2Eexample?= <hind@diwan.example>\r\nFrom: hind@diwan.example":                       "250 ",
		"Resent-From: Hind\r\nFrom: hind@diwan.example":                                                                   "550 5.6.0 ",
		"Resent-Sender: a@b.example>, <c@\r\nFrom: hind@diwan.example":                                                    "550 5.6.0 ",
		"Resent-From: " + strings.Repeat("hind@diwan.example, ", 10) + "office@diwan.example\r\nFrom: hind@diwan.example": "550 5.6.0 ",
		"From: hind@diwan.example\r\nno field\r\nnor this\r\nFrom: a@b":                                                   "550 5.6.0 ",
		strings.Repeat("X: y\r\n", 10000) + "From: hind@diwan.example":                                                    "550 5.6.0 ",
		strings.Repeat("Received: x\r\n", 101) + "From: hind@diwan.example":                                               "554 5.4.6 ",
	} {
		p.ask("MAIL FROM:<>", "250 ")
		p.ask("RCPT TO:<envoy@abroad.example>", "250 ")
		before := len(b.sent())
		p.data(header+"\r\n\r\ntext\r\n.\r\n", want)
		if sealed := len(b.sent()) > before; sealed != (want == "250 ") {
			t.Errorf("%q: sealed is %v", header, sealed)
		}
	}
	p.ask("MAIL FROM:<a@b.example>", "553 5.7.1 ")
	p.ask("MAIL FROM:<hind@home.example>", "550 5.7.1 a personal address")
	p.ask("MAIL FROM:<broken@diwan.example>", "451 ")
}

// Who takes a submission hears of everybody in whose name it goes.
func TestSubmissionTellsWhoElse(t *testing.T) {
	s, b := submitting(t, true, nil)
	p := s.signedIn(t)
	p.ask("MAIL FROM:<hind@diwan.example>", "250 ")
	p.ask("RCPT TO:<envoy@abroad.example>", "250 ")
	p.data("Resent-From: Hind@diwan.example, Office@diwan.example\r\nResent-Sender: office@diwan.example\r\n"+
		"From: hind@diwan.example\r\nSender: office@diwan.example\r\n\r\ntext\r\n.\r\n", "250 ")
	if m := b.sent()[0]; !slices.Equal(m.HeaderOthers, []string{"office@diwan.example"}) {
		t.Errorf("others %q", m.HeaderOthers)
	}
}

func TestSubmissionNeedsTLSAndSignIn(t *testing.T) {
	s, b := submitting(t, false, nil)
	p := s.greeted(t)
	if strings.Contains(p.helloAgain(), "AUTH") {
		t.Error("AUTH is offered in the clear")
	}
	p.ask("AUTH PLAIN "+plainly("", "hind", "app-سر-1"), "538 5.7.11 ")
	p.ask("MAIL FROM:<hind@diwan.example>", "530 5.7.0 STARTTLS")
	p = p.secured()
	p.ask("AUTH PLAIN", "503 ")
	hello := p.helloAgain()
	for _, want := range []string{"AUTH PLAIN LOGIN", "REQUIRETLS", "DSN", "SMTPUTF8", "PIPELINING", "CHUNKING"} {
		if !slices.ContainsFunc(strings.Split(hello, "\n"), func(l string) bool { return l[4:] == want }) {
			t.Errorf("%q is not offered in %q", want, hello)
		}
	}
	p.ask("MAIL FROM:<hind@diwan.example>", "530 5.7.0 sign in")
	p.ask("AUTH PLAIN "+plainly("", "hind", "app-سر-1"), "235 ")
	p.ask("AUTH PLAIN "+plainly("", "hind", "app-سر-1"), "503 ")
	p.ask("MAIL FROM:<hind@diwan.example>", "250 ")
	if b.tries != 1 {
		t.Errorf("%d tries reached the Submitter", b.tries)
	}
}

func (p *client) helloAgain() string {
	p.t.Helper()
	p.say("EHLO client.example\r\n")
	return p.reply()
}

func TestAuth(t *testing.T) {
	user, password := plainly("hind"), plainly("app-سر-1")
	for name, steps := range map[string][]string{
		"plain asked":        {"AUTH PLAIN", "334 ", plainly("", "hind", "app-سر-1"), "235 "},
		"plain for itself":   {"auth plain " + plainly("hind", "hind", "app-سر-1"), "235 "},
		"plain for others":   {"AUTH PLAIN " + plainly("salim", "hind", "app-سر-1"), "535 5.7.8 "},
		"login":              {"AUTH LOGIN", "334 VXNlcm5hbWU6", user, "334 UGFzc3dvcmQ6", password, "235 "},
		"login with name":    {"AUTH LOGIN " + user, "334 UGFzc3dvcmQ6", password, "235 "},
		"wrong password":     {"AUTH PLAIN " + plainly("", "hind", "x"), "535 5.7.8 ", "NOOP", "250 "},
		"too fast":           {"AUTH PLAIN " + plainly("", "slow", "x"), "454 4.7.0 too many"},
		"broken":             {"AUTH PLAIN " + plainly("", "broken", "x"), "454 4.7.0 cannot"},
		"no password":        {"AUTH PLAIN " + plainly("", "hind", ""), "535 "},
		"empty":              {"AUTH PLAIN =", "501 ", "AUTH PLAIN", "334 ", "", "501 "},
		"cancelled":          {"AUTH LOGIN", "334 ", "*", "501 5.7.0 ", "NOOP", "250 "},
		"not base64":         {"AUTH PLAIN ???", "501 5.5.2 "},
		"line is no command": {"AUTH LOGIN", "334 ", "QUIT", "334 ", "BDAT", "535 ", "NOOP", "250 "},
		"mechanism":          {"AUTH CRAM-MD5", "504 "},
		"arguments":          {"AUTH", "501 ", "AUTH PLAIN a b", "501 ", "AUTHX", "501 "},
		"too late":           {"AUTH LOGIN " + user, "334 ", password, "235 ", "MAIL FROM:<>", "250 ", "AUTH PLAIN", "503 "},
		"control":            {"AUTH PLAIN", "334 ", "a\x01b", "500 "},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := submitting(t, true, nil)
			p := s.dialTLS(t)
			p.want("220 ")
			p.hello()
			for i := 0; i < len(steps); i += 2 {
				p.ask(steps[i], steps[i+1])
			}
		})
	}
}

// Guessing ends the connection and is slowed before that.
func TestAuthFailuresEndConnection(t *testing.T) {
	s, b := submitting(t, true, func(o *Options) { o.Limits.SignIns, o.Limits.SignInPause = 3, 50*time.Millisecond })
	p := s.dialTLS(t)
	p.want("220 ")
	p.hello()
	began := time.Now()
	for range 3 {
		p.ask("AUTH PLAIN "+plainly("", "hind", "wrong-secret"), "535 ")
	}
	if took := time.Since(began); took < 350*time.Millisecond {
		t.Errorf("three guesses took %v", took)
	}
	p.want("421 ")
	p.closed()
	if b.tries != 3 || s.Stats().SignInFailures != 3 {
		t.Errorf("%d tries, stats %+v", b.tries, s.Stats())
	}
}

func TestSenderLimits(t *testing.T) {
	s, _ := submitting(t, true, func(o *Options) { o.Limits.SenderMessages, o.Limits.SenderRecipients = 3, 4 })
	first := s.signedIn(t)
	first.ask("MAIL FROM:<>", "250 ")
	for range 3 {
		first.ask("RCPT TO:<a@b.example>", "250 ")
	}
	p := s.signedIn(t) // the account's limits, not the connection's
	p.ask("MAIL FROM:<>", "250 ")
	p.ask("RCPT TO:<a@b.example>", "250 ")
	p.ask("RCPT TO:<b@b.example>", "451 4.7.1 ")
	p.ask("RSET", "250 ")
	p.ask("MAIL FROM:<>", "451 4.7.1 ")
	l := newSenders(Limits{SenderMessages: 1, SenderRecipients: 1}.orDefault())
	now := time.Now()
	if !l.message(1, now) || l.message(1, now) || !l.message(2, now) || !l.message(1, now.Add(hour)) || len(l.seen) != 1 {
		t.Error("an hour's limit is not one")
	}
}

func TestRefusals(t *testing.T) {
	s, b := submitting(t, true, nil)
	p := s.signedIn(t)
	for _, c := range []struct {
		err  error
		want string
	}{
		{&Refusal{550, [3]int{5, 7, 1}, "send this from your office address"}, "550 5.7.1 send this from your office address"},
		{fmt.Errorf("submit: %w", &Refusal{452, [3]int{4, 2, 2}, "mailbox full"}), "452 4.2.2 mailbox full"},
		{&Refusal{Code: 200, Text: "nonsense\r\n250 ok"}, "451 4.0.0 nonsense??250 ok"},
		{&Refusal{Code: 554, Enhanced: [3]int{2, 1, 1}}, "554 5.1.1 refused"},
		{errDown, "451 4.3.0 "},
	} {
		b.mu.Lock()
		b.fail = c.err
		b.mu.Unlock()
		p.ask("MAIL FROM:<hind@diwan.example>", "250 ")
		p.ask("RCPT TO:<envoy@abroad.example>", "250 ")
		p.data(outgoingText+".\r\n", c.want)
	}
	if len(b.sent()) != 0 {
		t.Error("a refused message was sent")
	}
}

// Without what it needs, submission is not served at all.
func TestSubmissionNotServed(t *testing.T) {
	s, err := New(Options{Hostname: "x.example", Directory: office, Appender: &register{}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ServeSubmission(l); err == nil || errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// A connection that does not finish its handshake holds up nobody.
func TestHandshakeStalls(t *testing.T) {
	s, _ := submitting(t, true, nil)
	for range 3 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	s.signedIn(t).ask("NOOP", "250 ")
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("EHLO in.the.clear\r\n"))
	c.SetDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 100)
	if n, _ := c.Read(b); n > 0 && b[0] == '2' {
		t.Errorf("answered in the clear: %q", b[:n])
	}
	c.Close()
}

// pythonClient signs in wrongly, then rightly, and sends a file.
const pythonClient = `
import smtplib, ssl, sys
ctx = ssl._create_unverified_context()
host, port, implicit, path = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", sys.argv[4]
s = smtplib.SMTP_SSL(host, port, context=ctx) if implicit else smtplib.SMTP(host, port)
if not implicit:
    s.starttls(context=ctx)
try:
    s.login("hind", "wrong")
    sys.exit("signed in with a wrong password")
except smtplib.SMTPAuthenticationError as e:
    assert e.smtp_code == 535, e
s.ehlo()
import base64
code, _ = s.docmd("AUTH", "PLAIN " + base64.b64encode("\0hind\0app-سر-1".encode()).decode())
assert code == 235, code
s.sendmail("hind@diwan.example", ["envoy@abroad.example"], open(path, "rb").read(), mail_options=["RET=FULL"], rcpt_options=["NOTIFY=FAILURE"])
s.quit()
`

// The clients that people and their programs send with.
func TestRealClients(t *testing.T) {
	message := filepath.Join(t.TempDir(), "m.eml")
	if err := os.WriteFile(message, []byte(outgoingText), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, implicit := range []bool{true, false} {
		s, b := submitting(t, implicit, nil)
		host, port, _ := net.SplitHostPort(s.addr)
		mode, scheme, tlsFlag := "0", "smtp", "--tls"
		if implicit {
			mode, scheme, tlsFlag = "1", "smtps", "--tls-on-connect"
		}
		for _, args := range [][]string{
			{"swaks", "--server", host, "--port", port, tlsFlag, "--auth", "PLAIN", "--auth-user", "hind", "--auth-password", "app-سر-1", "--from", "hind@diwan.example", "--to", "envoy@abroad.example", "--data", "@" + message},
			{"swaks", "--server", host, "--port", port, tlsFlag, "--auth", "LOGIN", "--auth-user", "hind", "--auth-password", "app-سر-1", "--from", "hind@diwan.example", "--to", "envoy@abroad.example", "--data", "@" + message},
			{"curl", "-sS", "--insecure", "--ssl-reqd", "--url", scheme + "://" + s.addr, "--user", "hind:app-سر-1", "--mail-from", "hind@diwan.example", "--mail-rcpt", "envoy@abroad.example", "--upload-file", message},
			{"python3", "-c", pythonClient, host, port, mode, message},
		} {
			t.Run(scheme+" "+args[0], func(t *testing.T) { runClient(t, b, args) })
		}
	}
}

func runClient(t *testing.T, b *bureau, args []string) {
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skip(args[0] + " is not installed")
	}
	before := len(b.sent())
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil && strings.Contains(string(out), "TLS not available") {
		t.Skip(args[0] + " is installed without TLS")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mail := b.sent()
	if len(mail) != before+1 {
		t.Fatalf("%d messages\n%s", len(mail)-before, out)
	}
	if m := mail[before]; strings.TrimRight(string(m.Original), "\r\n") != strings.TrimRight(outgoingText, "\r\n") || m.To[0].Address != "envoy@abroad.example" {
		t.Errorf("original %q", m.Original)
	}
}
