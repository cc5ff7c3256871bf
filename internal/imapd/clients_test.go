package imapd

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
)

// program runs a mail program of the system, or skips.
func program(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8", "TERM=dumb")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// raws are the messages of a folder, sorted.
func (o *office) raws(class sijill.Class, name string) (all []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.folders {
		if f.Class == class && f.Name == name {
			for _, uid := range slices.Sorted(maps.Keys(f.places)) {
				all = append(all, string(o.messages[f.places[uid].Entry].raw))
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestCurl(t *testing.T) {
	h := serve(t)
	h.fill(2)
	dir := t.TempDir()
	base := []string{"-sS", "-k", "--user", "layla:" + officePassword}
	if got := program(t, dir, "curl", append(base, "imaps://"+h.secured+"/INBOX;MAILINDEX=2")...); got != letter(2) {
		t.Errorf("got %q", got)
	}
	file := filepath.Join(dir, "m.eml")
	if err := os.WriteFile(file, []byte(letter(9)), 0o600); err != nil {
		t.Fatal(err)
	}
	program(t, dir, "curl", append(base, "-T", file, "imaps://"+h.secured+"/Sent")...)
	if got := h.office.raws(sijill.Office, "Sent"); !slices.Equal(got, []string{letter(9)}) {
		t.Errorf("got %q", got)
	}
	if got := program(t, dir, "curl", append(base, "--ssl-reqd", "imap://"+h.plain+"/", "-X", "LIST \"\" *")...); !strings.Contains(got, `"/" INBOX`) {
		t.Errorf("got %q", got)
	}
}

const imaplibScript = `
import imaplib, ssl, sys, time
host, port, password = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
c = imaplib.IMAP4_SSL(host, port, ssl_context=context)
c.login('layla', password)
def ok(r):
    assert r[0] == 'OK', r
    return r[1]
def utf7(name):
    return name.encode('utf-7').replace(b'+', b'&').replace(b'/', b',').decode()
name = '"' + utf7('البريد') + '"'
ok(c.create(name)); ok(c.subscribe(name))
assert any(utf7('البريد').encode() in l for l in ok(c.list()))
raw = 'Subject: سلام\r\n\r\nنص\r\n'.encode()
ok(c.append(name, r'(\Flagged)', imaplib.Time2Internaldate(1577923200), raw))
ok(c.select(name))
assert ok(c.fetch('1', '(FLAGS INTERNALDATE BODY.PEEK[])'))[0][1] == raw
assert ok(c.search('UTF-8', 'TEXT', '"سلام"'.encode())) == [b'1']
c.literal = 'سلام'.encode()
assert ok(c.uid('SEARCH', 'CHARSET', 'UTF-8', 'SUBJECT')) == [b'1']
ok(c.copy('1', 'INBOX')); ok(c.store('1', '+FLAGS', r'(\Deleted)')); assert ok(c.expunge()) == [b'1']
ok(c.select('INBOX', readonly=True))
r = c.fetch('1:*', '(RFC822)'); assert len([p for p in r[1] if isinstance(p, tuple)]) == 1, r
ok(c.close()); ok(c.delete(name)); c.logout()
`

func TestImaplib(t *testing.T) {
	h := serve(t)
	host, port, _ := net.SplitHostPort(h.secured)
	program(t, t.TempDir(), "python3", "-c", imaplibScript, host, port, officePassword)
}

func TestMbsync(t *testing.T) {
	h := serve(t)
	for i := range 60 {
		h.office.put(sijill.Office, "Inbox", letter(i), 0)
		h.office.put(sijill.Personal, "Inbox", letter(1000+i), 0)
	}
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(h.secured)
	conf := fmt.Sprintf(`IMAPAccount s
Host localhost
Port %s
User layla
Pass %s
%s

IMAPStore far
Account s

MaildirStore near
Path %s/mail/
Inbox %s/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, port, bothPassword, tlsLine(t, dir), dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "rc"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	sync := func() { t.Helper(); program(t, dir, "mbsync", "-c", filepath.Join(dir, "rc"), "-a") }
	sync()
	files := func(folder string) []string {
		all, _ := filepath.Glob(filepath.Join(dir, "mail", folder, "*", "*U=*"))
		return all
	}
	if n, m := len(files("INBOX")), len(files("Personal/Inbox")); n != 60 || m != 60 {
		t.Fatalf("%d and %d messages were pulled", n, m)
	}
	// One is deleted here, one flagged, one is new; another is flagged there.
	in := files("INBOX")
	slices.Sort(in)
	for i, suffix := range []string{":2,T", ":2,FS"} {
		base, _, _ := strings.Cut(filepath.Base(in[i]), ":")
		if err := os.Rename(in[i], filepath.Join(dir, "mail/INBOX/cur", base+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mail/INBOX/cur/1.new:2,S"), []byte(strings.ReplaceAll(letter(77), "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := h.selected(t, bothPassword, "INBOX")
	c.ok(`UID STORE 50 +FLAGS (\Answered)`)
	sync()
	sync()
	if n := len(files("INBOX")); n != 60 {
		t.Errorf("%d messages are here", n)
	}
	if got := h.office.raws(sijill.Office, "Inbox"); len(got) != 60 || !strings.Contains(strings.Join(got, ""), "Text of letter 77.") {
		t.Errorf("%d messages are there", len(got))
	}
	if u := c.ok("UID SEARCH FLAGGED SEEN"); len(strings.Fields(u[0])) != 3 {
		t.Errorf("flagged there: %q", u)
	}
	if got, _ := filepath.Glob(filepath.Join(dir, "mail/INBOX/cur/*:2,R*")); len(got) != 1 {
		t.Errorf("answered here: %q", got)
	}
	// Told so (docs/clients.md), it keeps what goes there, and still removes there
	// what is removed here.
	if err := os.WriteFile(filepath.Join(dir, "rc"), []byte(conf+"Sync PullNew PullFlags PushNew PushFlags PushDelete\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.ok(`UID STORE 11:20 +FLAGS.SILENT (\Deleted)`)
	c.ok("EXPUNGE")
	in = files("INBOX")
	slices.Sort(in)
	if err := os.Remove(in[len(in)-1]); err != nil {
		t.Fatal(err)
	}
	sync()
	sync()
	if here, there := len(files("INBOX")), len(h.office.raws(sijill.Office, "Inbox")); here != 59 || there != 49 {
		t.Errorf("%d messages are here, %d there", here, there)
	}
}

// tlsLine is how this version of mbsync is told to use TLS with our certificate.
func tlsLine(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "cert.pem")
	if err := os.WriteFile(file, certificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "SSLType IMAPS\nCertificateFile " + file
}

func TestOfflineimap(t *testing.T) {
	h := serve(t)
	for i := range 40 {
		h.office.put(sijill.Office, "Inbox", letter(i), 0)
	}
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(h.secured)
	tlsLine(t, dir)
	conf := fmt.Sprintf(`[general]
accounts = a
metadata = %s/meta
ui = quiet
[Account a]
localrepository = l
remoterepository = r
[Repository l]
type = Maildir
localfolders = %s/mail
[Repository r]
type = IMAP
remotehost = localhost
remoteport = %s
remoteuser = layla
remotepass = %s
ssl = yes
sslcacertfile = %s/cert.pem
`, dir, dir, port, officePassword, dir)
	if err := os.WriteFile(filepath.Join(dir, "rc"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	out := program(t, dir, "offlineimap", "-o", "-c", filepath.Join(dir, "rc"))
	got, _ := filepath.Glob(filepath.Join(dir, "mail/INBOX/*/*"))
	if len(got) != 40 {
		t.Errorf("%d messages were pulled\n%s", len(got), out)
	}
}

func TestNeomutt(t *testing.T) {
	h := serve(t)
	h.fill(20)
	dir := t.TempDir()
	tlsLine(t, dir)
	conf := fmt.Sprintf(`set folder="imaps://layla@%s/"
set spoolfile="+INBOX" imap_pass=%q certificate_file=%q ssl_verify_host=no ssl_usesystemcerts=no
set mbox_type=Maildir confirmcreate=no confirmappend=no delete=yes quit=yes sleep_time=0 copy=no record="" move=no header_cache="" message_cachedir=""
`, h.secured, officePassword, filepath.Join(dir, "cert.pem"))
	if err := os.WriteFile(filepath.Join(dir, "rc"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := "push <tag-pattern>~A<enter><tag-prefix><copy-message>" + dir + "/copied<enter><exit>"
	script := fmt.Sprintf("neomutt -n -F %s/rc -e %q", dir, keys)
	program(t, dir, "timeout", "20", "script", "-qec", script, "/dev/null")
	got, _ := filepath.Glob(filepath.Join(dir, "copied/*/*"))
	for _, f := range got {
		if b, err := os.ReadFile(f); err != nil || !bytes.Contains(b, []byte("Text of letter")) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if len(got) != 20 {
		t.Errorf("%d messages were copied", len(got))
	}
}
