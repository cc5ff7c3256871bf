package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// desktop is where somebody's mail programs keep their files, with the server's
// certificate.
type desktop struct {
	testing.TB
	*maildir
	r    *running
	who  credentials
	port string
}

// newDesktop makes one, or skips the test where a program is missing.
func newDesktop(t *testing.T, r *running, who credentials, programs ...string) *desktop {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
	d := &desktop{TB: t, maildir: &maildir{t.TempDir()}, r: r, who: who}
	address := r.door("imaps")
	conn, err := tls.Dial("tcp", address, anybody)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, d.port, _ = net.SplitHostPort(address)
	d.put("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})))
	return d
}

// put writes a file and gives its path.
func (d *desktop) put(name, text string) string {
	d.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
	return path
}

// prepare prepares a program of the system, which ends in a minute.
func (d *desktop) prepare(args ...string) *exec.Cmd {
	c := exec.Command("timeout", append([]string{"60"}, args...)...)
	c.Dir, c.Env = d.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "LC_ALL=C.UTF-8", "TERM=dumb"}
	return c
}

// runs runs a program that must succeed, and gives what it prints.
func (d *desktop) runs(args ...string) string {
	d.Helper()
	out, err := d.prepare(args...).CombinedOutput()
	if err != nil {
		d.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// imaplibScript does what it is told, one line of JSON each.
const imaplibScript = `
import imaplib, json, ssl, sys
port, user, password, cert = int(sys.argv[1]), *sys.argv[2:5]
context = ssl.create_default_context(cafile=cert); context.check_hostname = False
c = imaplib.IMAP4_SSL('127.0.0.1', port, ssl_context=context)
def ok(r):
    if r[0] != 'OK': raise Exception(repr(r))
    return r[1]
ok(c.login(user, password))
for line in sys.stdin:
    o = json.loads(line)
    try:
        if o['do'] == 'add':
            ok(c.append(o['folder'], None, None, o['msg'].encode()))
        else:
            ok(c.select(o['folder']))
            uids = ok(c.uid('SEARCH', 'HEADER', 'Message-ID', '"<%s@"' % o['id']))[0].split()
            if len(uids) != 1: raise Exception('found %r' % uids)
            uid = uids[0].decode()
            if o['do'] == 'flag':
                ok(c.uid('STORE', uid, o['sign'] + 'FLAGS', o['flag']))
            if o['do'] == 'move':
                ok(c.uid('MOVE', uid, o['to']))
            if o['do'] in ('copy', 'carry'):
                ok(c.uid('COPY', uid, o['to']))
            if o['do'] in ('carry', 'expunge'):
                ok(c.uid('STORE', uid, '+FLAGS.SILENT', r'(\Deleted)'))
                ok(c.uid('EXPUNGE', uid))
        print('ok', flush=True)
    except Exception as e:
        print(repr(e), flush=True)
c.logout()
`

// imaplib is a program in Python with the library that comes with it.
type imaplib struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func (d *desktop) imaplib() *imaplib {
	d.Helper()
	c := d.prepare("python3", "-c", imaplibScript, d.port, d.who.name, d.who.app, filepath.Join(d.dir, "cert.pem"))
	in, err := c.StdinPipe()
	if err != nil {
		d.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		d.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		_ = in.Close() // It ends then.
		if err := c.Wait(); err != nil {
			d.Errorf("imaplib: %v", err)
		}
	})
	return &imaplib{in, bufio.NewReader(out)}
}

func (p *imaplib) do(order map[string]string) error {
	b, err := json.Marshal(order)
	if err != nil {
		return err
	}
	if _, err = p.in.Write(append(b, '\n')); err != nil {
		return err
	}
	said, err := p.out.ReadString('\n')
	if err == nil && said != "ok\n" {
		err = fmt.Errorf("imaplib, %s %s: %s", order["do"], order["id"], said)
	}
	return err
}

func (p *imaplib) add(folder string, msg []byte) error {
	return p.do(map[string]string{"do": "add", "folder": folder, "msg": string(msg)})
}

func (p *imaplib) flag(folder, id, sign, flag string) error {
	return p.do(map[string]string{"do": "flag", "folder": folder, "id": id, "sign": sign, "flag": "(" + maildirFlags[flag] + ")"})
}

// move moves by MOVE, or as programs do that don't know it.
func (p *imaplib) move(folder, id, to string) error {
	return p.do(map[string]string{"do": []string{"move", "carry"}[rand.IntN(2)], "folder": folder, "id": id, "to": to})
}

func (p *imaplib) copy(folder, id, to string) error {
	return p.do(map[string]string{"do": "copy", "folder": folder, "id": id, "to": to})
}

func (p *imaplib) expunge(folder, id string) error {
	return p.do(map[string]string{"do": "expunge", "folder": folder, "id": id})
}

// offlineimap keeps the tree of files like the mail of the server. While another
// program is at work it complains of messages that have gone since it has listed
// them, and takes them for what they are the next time.
func (d *desktop) offlineimap(alone bool) {
	d.Helper()
	conf := d.put("offline", fmt.Sprintf("[general]\naccounts = a\nmetadata = %[1]s/meta\nui = quiet\n[Account a]\nlocalrepository = l\nremoterepository = r\n"+
		"[Repository l]\ntype = Maildir\nlocalfolders = %[1]s/mail\nsep = /\n[Repository r]\ntype = IMAP\nremotehost = localhost\nremoteport = %[2]s\n"+
		"remoteuser = %[3]s\nremotepass = %[4]s\nssl = yes\nsslcacertfile = %[1]s/cert.pem\n", d.dir, d.port, d.who.name, d.who.app))
	out, err := d.prepare("offlineimap", "-o", "-c", conf).CombinedOutput()
	if err != nil && (alone || !bytes.Contains(out, []byte("does not have a message with UID"))) {
		d.Fatalf("offlineimap: %v\n%s", err, out)
	}
}

// alongside has one program do 120 things, and more until the other has done its own,
// wants all of it to be as they left it, and the register to be sound.
func (d *desktop) alongside(a *model, program online, b *model, rounds func()) {
	d.Helper()
	ended := make(chan error, 1)
	var enough atomic.Bool
	go func() {
		var err error
		for err == nil && (a.ops < 120 || !enough.Load()) {
			err = a.byIMAP(program)
		}
		ended <- err
	}()
	rounds()
	a.round.Store(0)
	enough.Store(true)
	if err := <-ended; err != nil {
		d.Fatal(err)
	}
	there, c := map[string]map[string][]stored{}, d.r.imap(d.who)
	for _, folder := range hindsFolders {
		there[folder] = c.all(d, folder)
	}
	a.holds(d, "server", there)
	b.holds(d, "server", there)
	d.Logf("%d and %d operations; %d messages are left", a.ops, b.ops, len(a.folder)+len(b.folder))
}

// A program in Python and offlineimap, at once, do more than 200 things: none loses,
// doubles or changes a message. While offlineimap is at work the other leaves new
// messages alone: told the flags of one that it hasn't listed, which a server may do
// at any time (RFC 9051, 7.5.2), offlineimap 8.0 gives up in the midst of its
// deletions, and has forgotten them the next time.
func TestImaplibAndOfflineimap(t *testing.T) {
	t.Parallel()
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	d := newDesktop(t, r, p.hind, "python3", "offlineimap")
	d.offlineimap(true)
	a, b := newModel("library"), newModel("offline")
	a.round.Add(1)
	d.alongside(a, d.imaplib(), b, func() {
		for b.ops < 100 {
			for range 34 {
				b.byFiles(t, d.maildir)
			}
			a.round.Add(1)
			d.offlineimap(false)
		}
	})
	d.offlineimap(true)
	here := map[string]map[string][]stored{}
	for _, folder := range hindsFolders {
		here[folder] = d.all(t, folder)
	}
	a.holds(t, "files", here)
	b.holds(t, "files", here)
	r.stop()
	h.sound()
	h.must("rebuild", "--check")
}

// neomutt does what is written to it when it is run. It looks for a message each
// time by its id, and does nothing when it isn't there.
type neomutt struct {
	*desktop
	model *model
	keys  strings.Builder
	at    string // The folder that is open.
	n     int
}

func (d *desktop) neomutt(m *model) *neomutt {
	d.put("rc", fmt.Sprintf(`set folder="imaps://%s@localhost:%s/"
set spoolfile="+INBOX" imap_pass=%q certificate_file=%q ssl_verify_host=no ssl_usesystemcerts=no
set mbox_type=Maildir confirmcreate=no confirmappend=no delete=yes quit=yes sleep_time=0 copy=no record="" trash="" move=no mark_old=no
set auto_tag=no wait_key=no header_cache="" message_cachedir="" imap_check_subscribed=no
`, d.who.name, d.port, d.who.app, filepath.Join(d.dir, "cert.pem")))
	return &neomutt{desktop: d, model: m}
}

// with presses keys on a message.
func (p *neomutt) with(folder, id, keys string) error {
	if p.at != folder {
		p.keys.WriteString("<change-folder>+" + folder + "<enter>")
		p.at = folder
	}
	p.keys.WriteString("<untag-pattern>~A<enter><tag-pattern>~i " + id + "@<enter><tag-prefix-cond>" + keys + "<end-cond><sync-mailbox>")
	return nil
}

// flag changes a flag. To neomutt, who has answered a letter has read it.
func (p *neomutt) flag(folder, id, sign, flag string) error {
	if sign+flag == "+R" && !slices.Contains(p.model.flags[id], "S") {
		p.model.toggle(id, "S")
	}
	keys := map[string]string{"+F": "<set-flag>!", "-F": "<clear-flag>!", "+R": "<set-flag>r", "-R": "<clear-flag>r", "+S": "<clear-flag>N", "-S": "<set-flag>N"}
	return p.with(folder, id, keys[sign+flag])
}

func (p *neomutt) move(folder, id, to string) error {
	return p.with(folder, id, "<save-message>+"+to+"<enter>")
}

func (p *neomutt) copy(folder, id, to string) error {
	return p.with(folder, id, "<copy-message>+"+to+"<enter>")
}

func (p *neomutt) expunge(folder, id string) error { return p.with(folder, id, "<delete-message>") }

// add copies a message from a folder of files.
func (p *neomutt) add(folder string, msg []byte) error {
	p.n++
	box := fmt.Sprintf("new-%d", p.n)
	err := errors.Join(os.MkdirAll(filepath.Join(p.dir, box, "cur"), 0o700), os.Mkdir(filepath.Join(p.dir, box, "new"), 0o700), os.Mkdir(filepath.Join(p.dir, box, "tmp"), 0o700))
	p.put(box+"/new/1.x", strings.ReplaceAll(string(msg), "\r\n", "\n"))
	p.at = ""
	p.keys.WriteString("<change-folder>" + filepath.Join(p.dir, box) + "<enter><tag-pattern>~A<enter><tag-prefix-cond><copy-message>+" + folder + "<enter><end-cond>")
	return err
}

// works has it do what was written.
func (p *neomutt) works() {
	p.Helper()
	p.put("keys", `push "`+p.keys.String()+"<exit>\"\n")
	p.desktop.runs("script", "-qec", "neomutt -n -F "+p.dir+"/rc -e 'source "+p.dir+"/keys'", "/dev/null")
	p.keys.Reset()
	p.at = ""
}

// A program in Python and neomutt, at once, likewise. While neomutt is at work the
// other takes nothing away: told in the midst of saving a message that another has
// gone, neomutt 20220429 says that flags may be wrong, and leaves what it has copied.
func TestImaplibAndNeomutt(t *testing.T) {
	t.Parallel()
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	d := newDesktop(t, r, p.hind, "python3", "neomutt", "script")
	a, b := newModel("library"), newModel("mutt")
	mutt := d.neomutt(b)
	d.alongside(a, d.imaplib(), b, func() {
		for b.ops < 100 {
			for range 25 {
				if err := b.byIMAP(mutt); err != nil {
					t.Fatal(err)
				}
			}
			a.gentle.Store(true)
			mutt.works()
			a.gentle.Store(false)
			time.Sleep(200 * time.Millisecond)
		}
	})
	r.stop()
	h.sound()
	h.must("rebuild", "--check")
}
