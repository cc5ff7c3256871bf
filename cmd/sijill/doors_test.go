package main

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sijill"
	"sijill/internal/config"
)

// serveAll is serveMail with the doors at which TLS is still to be begun.
func (h *home) serveAll() *running {
	h.Helper()
	return h.serve("--submission", "127.0.0.1:0", "--imap", "127.0.0.1:0", "--submissions", "127.0.0.1:0", "--imaps", "127.0.0.1:0")
}

// curl and swaks read, file and send mail, with the server's certificate checked,
// and no password goes out without TLS.
func TestCurlAndSwaks(t *testing.T) {
	t.Parallel()
	far := newFarEnd(t)
	zone := far.zone(t)
	h, p := populatedHome(t, func(c *config.Config) { c.DNS.Servers, c.Delivery.Port = []string{zone.Addr}, far.port })
	r := h.serveAll()
	d := newDesktop(t, r, p.hind, "curl", "swaks")
	curl := func(door string, args ...string) string {
		_, port, _ := net.SplitHostPort(r.door(door))
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "HOST", "mail.diwan.example:"+port)
		}
		return d.runs(append([]string{"curl", "-sS", "--cacert", filepath.Join(d.dir, "cert.pem"), "--resolve", "mail.diwan.example:" + port + ":127.0.0.1", "--user", p.hind.name + ":" + p.hind.app}, args...)...)
	}
	connect(t, r.smtp).deliver(t, letter("curl", 30), hind)
	c := r.imap(p.hind)
	await(t, "it is there", func() bool { return strings.Contains(fmt.Sprint(c.all(t, "INBOX")), "curl") })
	if got := curl("imaps", "imaps://HOST/INBOX;MAILINDEX=1"); !strings.HasSuffix(got, string(letter("curl", 30))) {
		t.Errorf("curl reads %q", got)
	}
	for folder, id := range map[string]string{"Office/Archive": "filed-office", "Personal/Archive": "filed-personal"} {
		msg := string(mailOf(id, hind, hind)) + ".\r\n..\r\nسلام\r\n"
		curl("imaps", "-T", d.put(id, msg), "imaps://HOST/"+folder)
		if got := curl("imap", "--ssl-reqd", "imap://HOST/"+folder+";MAILINDEX=1"); got != msg {
			t.Errorf("curl reads from %s: %q", folder, got)
		}
		if got := c.all(t, folder)[id]; len(got) != 1 || got[0].body != msg {
			t.Errorf("%s has %v", folder, got)
		}
	}
	send := func(id string) string { return d.put(id, string(mailOf(id, hind, "friend@abroad.example"))) }
	mail := []string{"--mail-from", hind, "--mail-rcpt", "friend@abroad.example", "--upload-file"}
	curl("submissions", append(mail, send("curl-465"), "smtps://HOST")...)
	curl("submission", append(mail, send("curl-587"), "--ssl-reqd", "smtp://HOST")...)
	for door, how := range map[string]string{"submissions": "--tls-on-connect", "submission": "--tls"} {
		for _, auth := range []string{"PLAIN", "LOGIN"} {
			out, err := d.swaks(door, send("swaks-"+door+"-"+auth), how, auth)
			if strings.Contains(out, "TLS not available") {
				t.Skip("swaks is installed without TLS")
			}
			if err != nil || !strings.Contains(out, "250 2.0.0 sealed as entry ") {
				t.Errorf("swaks at %s with %s: %v\n%s", door, auth, err, out)
			}
		}
	}
	d.refusedInTheClear(send("in-clear"))
	await(t, "all has arrived, once", func() bool { return far.received() == 6 })
	sent := c.all(t, "Office/Sent")
	for _, id := range []string{"curl-465", "curl-587", "swaks-submission-PLAIN", "swaks-submissions-LOGIN"} {
		if far.taken[id] != 1 || len(sent[id]) != 1 || !strings.HasSuffix(strings.TrimRight(sent[id][0].body, "\r\n")+"\r\n", string(mailOf(id, hind, "friend@abroad.example"))) { // Swaks adds an empty line.
			t.Errorf("%s arrived %d times; kept is %v", id, far.taken[id], sent[id])
		}
	}
	r.stop()
	h.sound()
}

func (d *desktop) swaks(door, message string, more ...string) (out string, err error) {
	host, port, _ := net.SplitHostPort(d.r.door(door))
	args := []string{"swaks", "--server", host, "--port", port, "--auth-user", d.who.name, "--auth-password", d.who.app,
		"--from", hind, "--to", "friend@abroad.example", "--data", "@" + message, "--auth", more[len(more)-1]}
	b, err := d.prepare(append(args, more[:len(more)-1]...)...).CombinedOutput()
	return string(b), err
}

// refusedInTheClear wants no password to be asked for, or looked at, and no mail
// to be taken from programs, before there is TLS.
func (d *desktop) refusedInTheClear(message string) {
	d.Helper()
	out, err := d.swaks("submission", message, "PLAIN")
	if err == nil || strings.Contains(out, "sealed") || strings.Contains(out, plainAuth(d.who.name, d.who.app)) {
		d.Errorf("swaks without TLS: %v\n%s", err, out)
	}
	s := connect(d, d.r.door("submission"))
	for _, line := range []string{"AUTH PLAIN " + plainAuth(d.who.name, d.who.app), "MAIL FROM:<" + hind + ">"} {
		if reply, err := s.ask(line + "\r\n"); err != nil || reply[0] != '5' {
			d.Errorf("%.10s without TLS: %s %v", line, reply, err)
		}
	}
	conn, err := dialFrom("127.0.0.1", d.r.door("imap"), false)
	if err != nil {
		d.Fatal(err)
	}
	c := newMailProgram(conn)
	d.Cleanup(c.close)
	greeting, err := c.line()
	if _, tagged, err2 := c.do("LOGIN %s %s", d.who.name, d.who.app); err != nil || err2 != nil || !strings.HasPrefix(tagged, "NO [PRIVACYREQUIRED]") || !strings.Contains(greeting, "LOGINDISABLED") {
		d.Errorf("IMAP without TLS: %q, %s %v %v", greeting, tagged, err, err2)
	}
	_, port, _ := net.SplitHostPort(d.r.door("submission"))
	if b, err := exec.Command("timeout", "20", "curl", "-sS", "--user", d.who.name+":"+d.who.app, "--mail-from", hind, "--mail-rcpt", "friend@abroad.example",
		"--upload-file", message, "smtp://127.0.0.1:"+port).CombinedOutput(); err == nil {
		d.Errorf("curl without TLS: %s", b)
	}
}

// A password for one identity opens that one at every door, by whichever name:
// the other's address is refused, as name, as sender and in From.
func TestPasswordsOfOneIdentity(t *testing.T) {
	t.Parallel()
	h, p := populatedHome(t, nil)
	apps := map[sijill.Class]string{}
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		var made credentials
		if err := p.at(h.dir).run(p.hind.password, &made, "user", "app-password", "hind", "--scope", string(class)); err != nil {
			t.Fatal(err)
		}
		apps[class] = made.app
	}
	r := h.serveMail()
	own := map[sijill.Class]string{sijill.Office: hind, sijill.Personal: hindHome}
	for class, other := range map[sijill.Class]sijill.Class{sijill.Office: sijill.Personal, sijill.Personal: sijill.Office} {
		for _, name := range []string{"hind", own[class]} {
			who := credentials{name: name, app: apps[class]}
			c := r.imap(who)
			lines, _ := c.must(t, `LIST "" *`)
			prefix := map[sijill.Class]string{sijill.Office: "Office/", sijill.Personal: "Personal/"}[other]
			if len(lines) < 4 || strings.Contains(strings.Join(lines, ""), prefix) {
				t.Errorf("%s with a password for %s mail sees %q", name, class, lines)
			}
			h.sendsAs(t, r, who, own[class], own[other])
		}
		who := credentials{name: own[other], app: apps[class]}
		if c, err := signIMAP(r.door("imaps"), who); err == nil || !strings.Contains(err.Error(), "NO [AUTHENTICATIONFAILED]") {
			t.Errorf("IMAP lets the %s address in with a password for %s mail: %v", other, class, err)
		} else {
			c.close()
		}
		if _, err := submit(r.door("submissions"), who); err == nil || !strings.Contains(err.Error(), "AUTH: 535") {
			t.Errorf("submission lets the %s address in with a password for %s mail: %v", other, class, err)
		}
	}
}

// sendsAs wants a letter from one address to be taken, and every way to send one
// from another to be refused, without an entry.
func (h *home) sendsAs(t *testing.T, r *running, who credentials, own, other string) {
	t.Helper()
	s, err := submit(r.door("submissions"), who)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	before := h.size()
	for what, l := range map[string]struct{ sender, from string }{"MAIL FROM": {other, own}, "From": {own, other}, "both": {other, other}} {
		if reply, err := s.post(l.sender, mailOf("as", l.from, sami), sami); err != nil || !strings.HasPrefix(reply, "55") {
			t.Errorf("%s may send as %s in %s: %s %v", who.name, other, what, reply, err)
		}
	}
	if n := h.size(); n != before {
		t.Errorf("%d entries were made of letters that were refused", n-before)
	}
	if reply, err := s.post(own, mailOf("as-"+who.name, own, "somebody@abroad.example"), "somebody@abroad.example"); err != nil || !strings.HasPrefix(reply, "250 ") {
		t.Errorf("%s may not send as %s: %s %v", who.name, own, reply, err)
	}
}

// What a program files in a folder is of that folder's class, whatever it says of
// itself: a letter of one's personal address in an office folder, but for Sent and
// Drafts, is the office's from then on, and one of the office's address in a personal folder is closed to
// the office.
func TestFiledIsOfTheFoldersClass(t *testing.T) {
	t.Parallel()
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	c := r.imap(p.hind)
	for folder, from := range map[string]string{"INBOX": hindHome, "Office/Archive": hindHome, "Personal/Inbox": hind, "Personal/Sent": hind} {
		msg := mailOf("filed-"+strings.ReplaceAll(folder, "/", "-"), from, from)
		personal := strings.HasPrefix(folder, "Personal")
		if uid, err := c.put(folder, `\Seen`, msg); err != nil || uid == 0 {
			t.Fatal(uid, err)
		}
		entry := h.size() - 1
		raw, _, status := h.sijill("show", "--raw", fmt.Sprint(entry))
		if opens := status == 0 && raw == string(msg); opens == personal {
			t.Errorf("filed in %s: status %d, the server opens it: %t", folder, status, opens)
		}
		class := map[bool]string{true: "personal"}[personal]
		if e := h.entries()[entry].Entry; e.Fields.Class != class || !slices.Contains([]sijill.Kind{sijill.Captured, sijill.Filed}, e.Kind) {
			t.Errorf("filed in %s: the entry is %s of class %q", folder, e.Kind, e.Fields.Class)
		}
	}
}
