package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/outbox"
	"sijill/internal/setup"
)

const somePassword = "a long password of the exchange"

// site is an office on a machine of its own, with one person who has an office
// and a personal address.
type site struct {
	*running
	world                    *world
	machine, domain, address string
	office, personal         string // The person's addresses.
	app                      string // Their app password.
	tlsa                     string
}

// newSite makes the office, with its records in DNS as "sijill dns" has them,
// and starts it.
func newSite(w *world, machine, address, domain, private string, change func(*config.Config)) *site {
	w.Helper()
	w.machine(machine, address)
	s := &site{running: &running{home: &home{w, filepath.Join(w.dir, machine)}}, world: w, machine: machine, domain: domain, address: address,
		office: "hind@" + domain, personal: "hind@" + private}
	s.as("init", "--office", machine, "--domain", domain, "--account", s.office)
	s.configure(private, change)
	s.must("user", "address", "add-domain", private)
	s.must("user", "address", "add", "--class", "personal", s.office, s.personal)
	s.app = strings.TrimSpace(s.as("user", "app-password", "hind", "--scope", "both"))
	s.publish()
	s.start()
	return s
}

// as runs the program with the person's password.
func (s *site) as(args ...string) string {
	s.Helper()
	c := s.command(args...)
	c.Env = append(c.Env, "SIJILL_PASSWORD="+somePassword)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		s.Fatalf("sijill %s: %v\n%s", strings.Join(args, " "), err, &said)
	}
	return string(out)
}

func (s *site) host() string { return "mail." + s.domain }

// configure opens the doors where the world has them.
func (s *site) configure(private string, change func(*config.Config)) {
	s.Helper()
	c, err := config.Read(s.dir)
	if err != nil {
		s.Fatal(err)
	}
	at := func(port string) string { return net.JoinHostPort(s.address, port) }
	c.SMTP.Listen, c.Submission.TLSListen, c.IMAP.TLSListen, c.HTTP.TLSListen = at("25"), at("465"), at("993"), at("443")
	c.Submission.Listen, c.IMAP.Listen, c.LMTP.Listen, c.HTTP.Listen, c.Metrics.Listen = "", "", "", "", ""
	c.DNS = config.DNS{Servers: []string{nameserver + ":53"}, Validating: true}
	c.TLS.Cert, c.TLS.Key, s.tlsa = s.world.certify(s.host(), "mta-sts."+s.domain, "mta-sts."+private)
	c.Delivery.Roots = s.world.rootsFile
	change(&c)
	if err := os.Remove(s.path(config.File)); err != nil {
		s.Fatal(err)
	}
	if err := c.Write(s.dir); err != nil {
		s.Fatal(err)
	}
}

// publish puts into DNS what the program wants there, and lets it check.
func (s *site) publish() {
	s.Helper()
	var list []setup.Checked
	if err := json.Unmarshal([]byte(s.must("dns", "--json", "--no-check", "--address", s.address)), &list); err != nil {
		s.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range list {
		line := fmt.Sprintf("%s. %s %s\n", r.Name, r.Type, zoneValue(r.Record))
		if !known[line] {
			s.world.names.Add(s, line)
		}
		known[line] = true
	}
	if out := s.must("dns", "--address", s.address); strings.Contains(out, "✗") {
		s.Errorf("what is in DNS is not right:\n%s", out)
	}
}

func (s *site) start() {
	s.Helper()
	s.log, s.ended = &buffer{grown: make(chan struct{}, 1)}, make(chan struct{})
	s.cmd = s.world.on(s.machine, s.command("serve"))
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	s.Cleanup(func() {
		if said := s.log.String(); s.Failed() {
			s.Logf("%s said, at last:\n%s", s.machine, said[max(0, len(said)-3000):])
		}
	})
	await(s, s.machine+" opens its doors", func() bool {
		select {
		case <-s.ended:
			s.Fatalf("the server ended: %v\n%s", s.err, s.log)
		default:
		}
		return s.door("https") != ""
	})
}

// submit sends as the person, from a mail program.
func (s *site) submit(from, to string, msg []byte) error {
	conn, err := tls.Dial("tcp", s.address+":465", s.world.trust(s.host()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	c, err := smtp.NewClient(conn, s.host())
	if err != nil {
		return err
	}
	if err := c.Auth(smtp.PlainAuth("", "hind", s.app, s.host())); err != nil {
		return err
	}
	return hand(c, from, to, msg)
}

// hand gives a message to a server.
func hand(c *smtp.Client, from, to string, msg []byte) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(msg); err != nil {
		return err
	}
	return w.Close()
}

// inbox gives the mail in an identity's inbox, read by IMAP.
func (s *site) inbox(address string) (mails [][]byte) {
	s.Helper()
	c, err := imapclient.DialTLS(s.address+":993", &imapclient.Options{TLSConfig: s.world.trust(s.host())})
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(address, s.app).Wait(); err != nil {
		s.Fatal(err)
	}
	box, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		s.Fatal(err)
	}
	if box.NumMessages == 0 {
		return nil
	}
	body := &imap.FetchItemBodySection{}
	var all imap.SeqSet
	all.AddRange(1, 0)
	list, err := c.Fetch(all, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{body}}).Collect()
	if err != nil {
		s.Fatal(err)
	}
	for _, m := range list {
		mails = append(mails, m.FindBodySection(body))
	}
	return mails
}

// outcomes reads from the register what became of the letters that were sent,
// with what was sealed of it where the server may open that.
func (s *site) outcomes() (sent int, list []outcome) {
	s.Helper()
	o := s.open()
	size, _ := o.Register.Head()
	for n := range size {
		it, err := o.Register.Item(s.Context(), n)
		if err != nil {
			s.Fatal(err)
		}
		if it.Entry.Kind == sijill.Sent {
			sent++
		}
		if it.Entry.Kind != sijill.Outcome {
			continue
		}
		var x outcome
		if err := it.Entry.DecodeFields(&x.OutcomeFields); err != nil {
			s.Fatal(err)
		}
		if c, err := it.Content(); err == nil {
			if err := json.Unmarshal(c.Detail, &x.Sealed); err != nil {
				s.Fatalf("%v in %q", err, c.Detail)
			}
		}
		list = append(list, x)
	}
	return sent, list
}

type outcome struct {
	outbox.OutcomeFields
	Sealed outbox.Outcome
}

// parsed reads a message's header.
func parsed(msg []byte) mail.Header {
	m, err := mail.ReadMessage(bytes.NewReader(msg))
	if err != nil {
		return mail.Header{}
	}
	return m.Header
}

// pick gives the first message that has the value in a field of its header, nil
// for none.
func pick(mails [][]byte, field, value string) []byte {
	for _, m := range mails {
		if parsed(m).Get(field) == value {
			return m
		}
	}
	return nil
}

// inStrings writes a TXT in strings of at most 255 octets.
func inStrings(text string) string { return zoneValue(setup.Record{Type: "TXT", Value: text}) }
