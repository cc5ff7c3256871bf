package main

import (
	"fmt"
	"io/fs"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// Postfix keeps mail as this user and group, who own nothing else.
const nobody = 65534

// postfix is a foreign server, with OpenDKIM to sign and to judge signatures.
type postfix struct {
	*world
	conf, mail, log string
}

const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mail.post.example
mydomain = post.example
myorigin = post.example
mydestination =
mynetworks = 127.0.0.0/8 %[2]s/32
inet_interfaces = all
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = post.example
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ pavo@post.example=pavo/ }
virtual_uid_maps = static:%[3]d
virtual_gid_maps = static:%[3]d
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = %[4]s
smtpd_tls_key_file = %[5]s
smtpd_tls_received_header = yes
smtputf8_enable = no
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_CAfile = %[6]s
smtp_tls_loglevel = 1
smtpd_milters = inet:%[7]s:8891
milter_default_action = tempfail
`

const masterCF = `smtp inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

const signerConf = `Syslog no
Mode sv
Domain post.example
Selector foreign
KeyFile %[1]s
Socket inet:8891@%[4]s
RequireSafeKeys no
InternalHosts %[2]s
Nameservers %[3]s
AuthservID mail.post.example
AlwaysAddARHeader yes
Canonicalization relaxed/simple
`

// newPostfix starts Postfix and OpenDKIM on a machine of their own. They end
// with the namespace of this process.
func newPostfix(w *world, address string) *postfix {
	w.Helper()
	w.machine("post", address)
	reversed, err := dns.ReverseAddr(address)
	if err != nil {
		w.Fatal(err)
	}
	p := &postfix{w, filepath.Join(w.dir, "postfix"), filepath.Join(w.dir, "postfix", "mail"), filepath.Join(w.dir, "postfix", "log")}
	for _, dir := range []string{p.conf, filepath.Join(p.conf, "queue"), filepath.Join(p.conf, "data"), p.mail} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			w.Fatal(err)
		}
	}
	w.run("chown", "postfix", filepath.Join(p.conf, "data"))
	w.run("chown", fmt.Sprintf("%d:%d", nobody, nobody), p.mail)
	cert, key, tlsa := w.certify("mail.post.example")
	w.write(filepath.Join(p.conf, "main.cf"), fmt.Sprintf(mainCF, p.conf, nameserver, nobody, cert, key, w.rootsFile, address))
	w.write(filepath.Join(p.conf, "master.cf"), masterCF)
	w.names.Add(w, fmt.Sprintf("post.example. MX 10 mail.post.example.\npost.example. TXT \"v=spf1 mx -all\"\n"+
		"_dmarc.post.example. TXT \"v=DMARC1; p=reject\"\nmail.post.example. A %s\n_25._tcp.mail.post.example. TLSA %s\n%s PTR mail.post.example.\n",
		address, tlsa, reversed))
	p.startSigner(address)
	if out, err := w.on("post", exec.Command("postfix", "-c", p.conf, "start")).CombinedOutput(); err != nil {
		w.Fatalf("starting postfix: %v\n%s", err, out)
	}
	w.Cleanup(func() {
		// Before its files go.
		if out, err := w.on("post", exec.Command("postfix", "-c", p.conf, "abort")).CombinedOutput(); err != nil {
			w.Errorf("stopping postfix: %v\n%s", err, out)
		}
		if log, err := os.ReadFile(p.log); err == nil && w.Failed() {
			w.Logf("postfix said, at last:\n%s", log[max(0, len(log)-3000):])
		}
	})
	await(w, "postfix is there", func() bool { return answers(address + ":25") })
	return p
}

// startSigner makes the key and starts OpenDKIM.
func (p *postfix) startSigner(address string) {
	p.Helper()
	key, conf, internal := filepath.Join(p.conf, "dkim.pem"), filepath.Join(p.conf, "opendkim.conf"), filepath.Join(p.conf, "internal")
	p.run("openssl", "genrsa", "-out", key, "2048")
	if err := os.Chmod(key, 0o600); err != nil {
		p.Fatal(err)
	}
	der, err := exec.Command("openssl", "rsa", "-in", key, "-pubout", "-outform", "PEM").Output()
	if err != nil {
		p.Fatal(err)
	}
	var public strings.Builder
	for line := range strings.Lines(string(der)) {
		if !strings.HasPrefix(line, "-----") {
			public.WriteString(strings.TrimSpace(line))
		}
	}
	p.names.Add(p, "foreign._domainkey.post.example. TXT "+inStrings("v=DKIM1; k=rsa; p="+public.String())+"\n")
	p.write(internal, nameserver+"\n")
	p.write(conf, fmt.Sprintf(signerConf, key, internal, nameserver, address))
	c := p.on("post", exec.Command("opendkim", "-f", "-x", conf))
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		p.Fatal(err)
	}
	go c.Wait()
	p.Cleanup(func() { _ = c.Process.Kill() }) // It may have ended.
	await(p, "OpenDKIM is there", func() bool { return answers(address + ":8891") })
}

// answers tells whether somebody takes connections there.
func answers(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// send submits mail as somebody of the network that Postfix sends for.
func (p *postfix) send(from, to string, msg []byte) {
	p.Helper()
	c, err := smtp.Dial("mail.post.example:25")
	if err != nil {
		p.Fatal(err)
	}
	defer c.Close()
	if err := hand(c, from, to, msg); err != nil {
		p.Fatal(err)
	}
}

// received gives the mail of pavo.
func (p *postfix) received() (mails [][]byte) {
	_ = filepath.WalkDir(filepath.Join(p.mail, "pavo", "new"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // There is none yet, or one is being moved.
		}
		if b, err := os.ReadFile(path); err == nil {
			mails = append(mails, b)
		}
		return nil
	})
	return mails
}

// logged tells whether the log has a line with all words.
func (p *postfix) logged(words ...string) bool {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(log)) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}
