package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// errNoDovecot says that there is nothing to compare with.
var errNoDovecot = errors.New("left out beside Dovecot: it needs root, and Debian's dovecot-core, dovecot-imapd and dovecot-lmtpd")

// dovecot is a server of Debian's, in a directory of its own: every name signs
// in with any password, and mail is in Maildir.
type dovecot struct {
	b          *bench
	Dir        string
	LMTP, IMAP int // Ports; IMAP's is for TLS.
	pid        int
}

// It is as durable as Sijill: mail_fsync optimized syncs a message before its
// 250. Processes are kept ready, so that their start isn't measured.
var dovecotConf = template.Must(template.New("").Parse(`protocols = lmtp imap
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
instance_name = sijillbench
log_path = {{.Dir}}/log
listen = 127.0.0.1
ssl = yes
ssl_cert = <{{.Dir}}/cert.pem
ssl_key = <{{.Dir}}/key.pem
disable_plaintext_auth = no
first_valid_uid = 8
mail_uid = 8
mail_gid = 8
mail_location = maildir:{{.Dir}}/mail/%n
mail_fsync = optimized
auth_mechanisms = plain
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=8 gid=8 home={{.Dir}}/mail/%n allow_all_users=yes
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = {{.LMTP}}
  }
  process_min_avail = 10
  client_limit = 1
  process_limit = 200
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = {{.IMAP}}
    ssl = yes
  }
}
service anvil {
  client_limit = 1000
}
`))

// startDovecot starts one, or returns errNoDovecot.
func (b *bench) startDovecot() (*dovecot, error) {
	if _, err := exec.LookPath("dovecot"); err != nil || os.Getuid() != 0 {
		return nil, errNoDovecot
	}
	d := &dovecot{b: b, Dir: b.path("dovecot")}
	var err error
	if d.LMTP, err = freePort(); err != nil {
		return nil, err
	}
	if d.IMAP, err = freePort(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"", "/run", "/state", "/mail"} {
		if err := os.Mkdir(d.Dir+dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(os.Chown(d.Dir+"/mail", 8, 8), selfSigned(d.Dir+"/cert.pem", d.Dir+"/key.pem")); err != nil {
		return nil, err
	}
	return d, d.start()
}

func (d *dovecot) start() error {
	f, err := os.Create(d.Dir + "/dovecot.conf")
	if err != nil {
		return err
	}
	if err := errors.Join(dovecotConf.Execute(f, d), f.Close()); err != nil {
		return err
	}
	// Its output goes nowhere: the daemon would hold a pipe open.
	if err := exec.CommandContext(d.b.ctx, "dovecot", "-c", d.Dir+"/dovecot.conf").Run(); err != nil {
		return fmt.Errorf("starting dovecot: %w", err)
	}
	d.b.atEnd(d.stop)
	for range 100 {
		if b, err := os.ReadFile(d.Dir + "/run/master.pid"); err == nil {
			if d.pid, err = strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				time.Sleep(time.Second) // Until its processes are ready.
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("dovecot does not start")
}

// stop ends the process that start has started, and waits for its end.
func (d *dovecot) stop() {
	if d.pid == 0 {
		return
	}
	_ = syscall.Kill(d.pid, syscall.SIGTERM)
	for range 100 {
		if syscall.Kill(d.pid, 0) != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.pid = 0
}

func (d *dovecot) lmtp() string  { return fmt.Sprintf("127.0.0.1:%d", d.LMTP) }
func (d *dovecot) imaps() string { return fmt.Sprintf("127.0.0.1:%d", d.IMAP) }

// empty removes all mail.
func (d *dovecot) empty() error {
	if err := os.RemoveAll(d.Dir + "/mail"); err != nil {
		return err
	}
	return errors.Join(os.Mkdir(d.Dir+"/mail", 0o755), os.Chown(d.Dir+"/mail", 8, 8))
}

// put writes messages into the inbox of a user, named as Dovecot names them,
// with their sizes, so that it needn't find these out.
func (d *dovecot) put(user string, messages [][]byte) error {
	home := d.Dir + "/mail/" + user
	for _, dir := range []string{home, home + "/cur", home + "/new", home + "/tmp"} {
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 8, 8)); err != nil {
			return err
		}
	}
	for i, m := range messages {
		virtual := len(m) + strings.Count(string(m), "\n") - strings.Count(string(m), "\r\n")
		name := fmt.Sprintf("%s/cur/17%08d.M%dP1.bench,S=%d,W=%d:2,S", home, i, i, len(m), virtual)
		if err := errors.Join(os.WriteFile(name, m, 0o600), os.Chown(name, 8, 8)); err != nil {
			return err
		}
	}
	return nil
}

// freePort is one that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// selfSigned writes a certificate and its key.
func selfSigned(cert, key string) error {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench.test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}
