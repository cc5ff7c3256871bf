package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/outbox"
)

// insideExchange is set where this test runs in namespaces of its own.
const insideExchange = "SIJILL_EXCHANGE"

// exchangeTime bounds the whole test.
const exchangeTime = time.Minute

// Two offices and a Postfix with OpenDKIM exchange mail over a network that is
// theirs alone, on port 25 and with names of their own. Everything arrives
// unchanged, over TLS, and is known to be genuine; what is forged is refused;
// what can't be delivered comes back as an answer to what was sent.
func TestExchange(t *testing.T) {
	if os.Getenv(insideExchange) == "" {
		runApart(t)
		return
	}
	w := newWorld(t)
	p := newPostfix(w, "192.0.2.3")
	diwan := newSite(w, "diwan", "192.0.2.1", "diwan.example", "hind.example", func(c *config.Config) { c.Delivery.STS = "enforce" })
	court := newSite(w, "court", "192.0.2.2", "court.example", "private.example", func(*config.Config) {})
	w.names.Add(w, "_25._tcp.mail.court.example. TLSA "+court.tlsa+"\n")

	unreachable(t, diwan)
	everywhere(t, diwan, court, p)
	forged(t, diwan, court, p)
	bounced(t, diwan, court, p)
	dropped(t, diwan)
	for _, s := range []*site{diwan, court} {
		s.stop()
		s.sound()
		s.must("rebuild", "--check")
	}
	recorded(t, diwan, court)
}

// runApart runs the test in namespaces of its own: everything that it starts
// ends with them, whatever happens.
func runApart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a network for this test")
	}
	for _, tool := range []string{"unshare", "ip", "mount", "openssl", "postfix", "opendkim"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing", tool)
		}
	}
	if out, err := exec.Command("unshare", "-n", "-m", "-p", "-f", "--mount-proc", "ip", "link", "add", "name", "switch0", "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("this machine does not let us make a network: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), exchangeTime)
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc",
		os.Args[0], "-test.run=^TestExchange$", "-test.v", "-test.timeout="+(exchangeTime-5*time.Second).String())
	c.Env = append(os.Environ(), insideExchange+"=1")
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}

// party is somebody who writes and gets mail.
type party struct {
	address string
	server  string // Mail within one server is no matter here.
	send    func(to string, msg []byte) error
	inbox   func() [][]byte
}

func parties(diwan, court *site, p *postfix) []party {
	list := []party{{"pavo@post.example", "post",
		func(to string, msg []byte) error { p.send("pavo@post.example", to, msg); return nil }, p.received}}
	for _, s := range []*site{diwan, court} {
		for _, address := range []string{s.office, s.personal} {
			list = append(list, party{address, s.machine,
				func(to string, msg []byte) error { return s.submit(address, to, msg) }, func() [][]byte { return s.inbox(address) }})
		}
	}
	return list
}

// exchanged is a letter of this test; its identifier is told by its subject.
func exchanged(from, to, subject string) []byte {
	return fmt.Appendf(nil, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: %s\r\nDate: %s\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
		"السلام عليكم،\r\n\r\n.a line with a dot  \r\nبين الديوان والمحكمة\r\n", from, to, subject, identifier(from, subject), time.Now().Format(time.RFC1123Z))
}

func identifier(from, subject string) string {
	_, domain, _ := strings.Cut(from, "@")
	return "<" + strings.ReplaceAll(subject, " ", ".") + "@" + domain + ">"
}

// everywhere sends from everybody to everybody on another server.
func everywhere(t *testing.T, diwan, court *site, p *postfix) {
	all := parties(diwan, court, p)
	for i, from := range all {
		for j, to := range all {
			if from.server == to.server {
				continue
			}
			if err := from.send(to.address, exchanged(from.address, to.address, fmt.Sprintf("letter %d to %d", i, j))); err != nil {
				t.Fatalf("%s to %s: %v", from.address, to.address, err)
			}
		}
	}
	for j, to := range all {
		want := 0
		for _, from := range all {
			if from.server != to.server {
				want++
			}
		}
		var mails [][]byte
		await(t, "mail comes to "+to.address, func() bool { mails = lettersOf(to.inbox()); return len(mails) >= want })
		if len(mails) != want {
			t.Errorf("%s got %d letters, not %d", to.address, len(mails), want)
		}
		for i, from := range all {
			if from.server != to.server {
				subject := fmt.Sprintf("letter %d to %d", i, j)
				genuine(t, from, to, pick(mails, "Message-ID", identifier(from.address, subject)))
			}
		}
	}
	if !p.logged("Verified TLS connection", "mail.court.example[") {
		t.Error("Postfix does not believe the office's certificate by DANE")
	}
	if !p.logged("Trusted TLS connection", "mail.diwan.example[") && !p.logged("Verified TLS connection", "mail.diwan.example[") {
		t.Error("Postfix does not trust the office's certificate")
	}
}

// lettersOf leaves out what the servers themselves wrote.
func lettersOf(mails [][]byte) [][]byte {
	return slices.DeleteFunc(mails, func(m []byte) bool { return !strings.HasPrefix(parsed(m).Get("Subject"), "letter ") })
}

// genuine wants a letter to be there unchanged, to have come over TLS and to be
// known as its author's.
func genuine(t *testing.T, from, to party, msg []byte) {
	t.Helper()
	if msg == nil {
		t.Errorf("%s to %s is not there", from.address, to.address)
		return
	}
	_, sent, _ := bytes.Cut(exchanged(from.address, to.address, ""), []byte("\r\n\r\n"))
	_, body, _ := bytes.Cut(bytes.ReplaceAll(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")), []byte("\r\n\r\n"))
	if !bytes.Equal(sent, body) {
		t.Errorf("%s to %s: the text was changed:\n%s", from.address, to.address, msg)
	}
	h := parsed(msg)
	_, domain, _ := strings.Cut(from.address, "@")
	results, received := strings.Join(h["Authentication-Results"], "\n"), h.Get("Received")
	if !strings.Contains(results, "dkim=pass") || !strings.Contains(results, "header.d="+domain) {
		t.Errorf("%s to %s: its signature does not hold: %s", from.address, to.address, results)
	}
	if to.server != "post" && (!strings.Contains(results, "dmarc=pass") || !strings.Contains(results, "spf=pass")) {
		t.Errorf("%s to %s: not known as its author's: %s", from.address, to.address, results)
	}
	if !strings.Contains(received, "SMTPS ") {
		t.Errorf("%s to %s did not come over TLS: %s", from.address, to.address, received)
	}
}

// forged sends what is not from its author, as a stranger and as a person of
// the office.
func forged(t *testing.T, diwan, court *site, p *postfix) {
	for from, at := range map[string]*site{"pavo@post.example": diwan, diwan.office: court, diwan.personal: court, court.office: diwan, court.personal: diwan} {
		if reply := intrude(t, at, exchanged(from, at.office, "forged")); !strings.HasPrefix(reply, "550 5.7.26 ") {
			t.Errorf("forged mail from %s: %s", from, reply)
		}
	}
	twice := append([]byte("From: <someone@stranger.example>\r\n"), exchanged("pavo@post.example", diwan.office, "two authors")...)
	if reply := intrude(t, diwan, twice); !strings.HasPrefix(reply, "550 5.6.0 ") {
		t.Errorf("mail with two From fields: %s", reply)
	}
	if err := diwan.submit(diwan.office, court.office, exchanged(court.office, court.office, "forged")); err == nil || !strings.HasPrefix(err.Error(), "550 ") {
		t.Errorf("a person writes as somebody else: %v", err)
	}
	for _, a := range []string{diwan.office, court.office} {
		s := map[string]*site{diwan.office: diwan, court.office: court}[a]
		if pick(s.inbox(a), "Subject", "forged") != nil || pick(s.inbox(a), "Subject", "two authors") != nil {
			t.Errorf("%s got forged mail", a)
		}
	}
}

// intrude sends as a stranger and returns the reply to the message.
func intrude(t *testing.T, at *site, msg []byte) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(stranger)}, Timeout: patience}
	conn, err := d.Dial("tcp", at.address+":25")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	s := &sender{conn, bufio.NewReader(conn)}
	defer s.close()
	for _, line := range []string{"", "EHLO stranger.example\r\n", "MAIL FROM:<someone@stranger.example>\r\n", "RCPT TO:<" + at.office + ">\r\n", "DATA\r\n"} {
		reply, err := s.ask(line)
		if err != nil || reply[0] != '2' && reply[0] != '3' {
			t.Fatalf("%q: %s %v", line, reply, err)
		}
	}
	reply, err := s.ask(string(stuffed(msg)))
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// Domains where nobody takes mail, and what is wrong there.
const lost = `null.example. MX 0 .
dead.example. MX 10 dead.post.example.
dead.post.example. A ` + nameserver + `
impostor.example. MX 10 impostor.post.example.
impostor.post.example. A 192.0.2.3
_25._tcp.impostor.post.example. TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
`

// unreachable sends to a host that is dead and to one that is not the one that
// its domain has named. Both wait.
func unreachable(t *testing.T, s *site) {
	s.world.names.Add(t, lost)
	for _, to := range []string{"ghost@dead.example", "ghost@impostor.example"} {
		if err := s.submit(s.office, to, exchanged(s.office, to, "to "+to[6:])); err != nil {
			t.Fatal(err)
		}
	}
	var list []outbox.Item
	await(t, "both have been tried", func() bool {
		list = s.queue()
		return len(list) == 2 && list[0].Attempts > 0 && list[1].Attempts > 0 && list[0].State == "waiting" && list[1].State == "waiting"
	})
	for _, i := range list {
		if want := map[string]string{"dead.example": "4.4.1", "impostor.example": "4.7.5"}[i.Domain]; i.Status != want {
			t.Errorf("%s waits with %s %s, not %s", i.Domain, i.Status, i.Answer, want)
		}
		s.must("queue", "drop", fmt.Sprint(i.ID), "--reason", "nobody is there")
	}
	if left := s.queue(); len(left) != 0 {
		t.Errorf("%d letters wait after they were dropped", len(left))
	}
}

func (s *site) queue() (list []outbox.Item) {
	s.Helper()
	if err := json.Unmarshal([]byte(s.must("queue", "list", "--json")), &list); err != nil {
		s.Fatal(err)
	}
	return list
}

// dropped wants the sender to have been told of what an administrator gave up.
func dropped(t *testing.T, s *site) {
	for _, domain := range []string{"dead.example", "impostor.example"} {
		comesBack(t, func() [][]byte { return s.inbox(s.office) }, s.office, "to "+domain, "5.7.0")
	}
}

// bounced sends to where nobody takes mail for good.
func bounced(t *testing.T, diwan, court *site, p *postfix) {
	for _, c := range []struct{ from, to, status string }{
		{diwan.office, "nobody@post.example", "5.1.1"},
		{diwan.personal, "nobody@post.example", "5.1.1"},
		{diwan.office, "nobody@court.example", "5.1.1"},
		{diwan.office, "somebody@null.example", "5.1.10"},
		{diwan.personal, "somebody@nowhere.example", "5.1.2"},
	} {
		subject := "bounce of " + c.to[strings.Index(c.to, "@")+1:]
		if err := diwan.submit(c.from, c.to, exchanged(c.from, c.to, subject)); err != nil {
			t.Fatal(err)
		}
		comesBack(t, func() [][]byte { return diwan.inbox(c.from) }, c.from, subject, c.status)
	}
	p.send("pavo@post.example", "nobody@diwan.example", exchanged("pavo@post.example", "nobody@diwan.example", "bounce of Postfix"))
	await(t, "Postfix bounces", func() bool { return pick(p.received(), "Subject", "Undelivered Mail Returned to Sender") != nil })
}

// comesBack waits for the notice about a letter: a report (RFC 3464) that
// programs show as an answer to the letter.
func comesBack(t *testing.T, inbox func() [][]byte, from, subject, status string) {
	t.Helper()
	var notice []byte
	id := identifier(from, subject)
	await(t, "a notice about "+subject, func() bool { notice = pick(inbox(), "In-Reply-To", id); return notice != nil })
	h := parsed(notice)
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Errorf("%s: a notice that is a %s %v %v", subject, kind, params, err)
	}
	if refs := strings.Fields(h.Get("References")); len(refs) == 0 || refs[len(refs)-1] != id {
		t.Errorf("%s: the notice's References are %q", subject, refs)
	}
	if !bytes.Contains(notice, []byte("\r\nAction: failed\r\n")) || !bytes.Contains(notice, []byte("\r\nStatus: "+status+"\r\n")) {
		t.Errorf("%s: the notice does not say %s:\n%s", subject, status, notice)
	}
}

// recorded wants the registers to tell what became of every letter, and how its
// way was protected.
func recorded(t *testing.T, diwan, court *site) {
	for s, protected := range map[*site]map[string]string{
		diwan: {"mail.court.example": "dane", "mail.post.example": "dane"},
		court: {"mail.diwan.example": "mta-sts", "mail.post.example": "dane"},
	} {
		sent, list := s.outcomes()
		ends, opened := map[int64]int{}, 0
		for _, x := range list {
			if x.Result == outbox.ResultDeferred {
				continue
			}
			ends[x.Sent]++
			if want := protected[x.Sealed.Host]; x.Result == outbox.ResultDelivered && want != "" {
				opened++
				if x.Sealed.TLS == nil || x.Sealed.TLS.Policy != want || !x.Sealed.TLS.Verified {
					t.Errorf("%s: to %s with %+v, not %s", s.machine, x.Sealed.Host, x.Sealed.TLS, want)
				}
			}
			if x.Class == sijill.Personal && x.Sealed.Host != "" {
				t.Errorf("%s: the server can open what became of personal mail", s.machine)
			}
		}
		if sent == 0 || len(ends) < sent || opened < 3 {
			t.Errorf("%s: %d letters sent, %d have an end, %d opened", s.machine, sent, len(ends), opened)
		}
		for entry, n := range ends {
			if n != 1 {
				t.Errorf("%s: letter %d ended %d times", s.machine, entry, n)
			}
		}
		t.Logf("%s: %d letters sent, %d outcomes", s.machine, sent, len(list))
	}
}
