// Package config holds the settings of an office: the file sijill.toml in its data
// directory, as its manager wrote it, with the defaults of what is left out. It
// opens no other file and asks nobody; what a setting names (keys, certificates,
// servers) is first looked at by who needs it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"
)

// File is the name of the settings file in a data directory.
const File = "sijill.toml"

// Config is sijill.toml. Every setting but Office, Domain and Origin may be
// left out. An unknown setting is an error, so that a slip of the pen is not
// taken for the default.
type Config struct {
	// Office is the name of the office, as people read it.
	Office string `toml:"office"`
	// Domain is the office's mail domain.
	Domain string `toml:"domain"`
	// Origin names the register in its checkpoints: like a URL without its
	// scheme. It is used when the office is made; the register remembers it, and
	// what "sijill retire" makes of it.
	Origin string `toml:"origin"`
	// Hostname is what SMTP and LMTP call themselves; the domain's "mail."
	// host unless set.
	Hostname string `toml:"hostname,omitempty"`
	// Anchors are files outside the data directory, best on another disk or a
	// mounted share, that keep the newest checkpoint. A register that finds
	// one ahead of itself (an old backup was restored) refuses to append.
	Anchors []string `toml:"anchors,omitempty"`
	// KeyFile is the server's key; "server.key" in the data directory unless
	// set. --key-file and the systemd credential "server.key" come first.
	KeyFile string `toml:"key_file,omitempty"`

	TLS        TLS        `toml:"tls"`
	SMTP       SMTP       `toml:"smtp"`
	Submission Submission `toml:"submission"`
	IMAP       IMAP       `toml:"imap"`
	LMTP       LMTP       `toml:"lmtp"`
	HTTP       HTTP       `toml:"http"`
	Metrics    Metrics    `toml:"metrics"`
	DNS        DNS        `toml:"dns"`
	Checks     Checks     `toml:"checks"`
	Delivery   Delivery   `toml:"delivery"`
	Wall       Wall       `toml:"wall"`
	Keep       Keep       `toml:"keep"`
}

// TLS says where certificates come from. Without files and ACME the
// server signs one itself, which only those believe who know it.
type TLS struct {
	// Cert and Key are PEM files; they are read again when they change.
	Cert string `toml:"cert,omitempty"`
	Key  string `toml:"key,omitempty"`
	// ACME asks a certificate authority (RFC 8555) and agrees to its terms.
	ACME bool `toml:"acme,omitempty"`
	// Email is told by the authority when something is wrong.
	Email string `toml:"email,omitempty"`
	// Directory is the authority's URL; Let's Encrypt's unless set.
	Directory string `toml:"directory,omitempty"`
	// Roots is a PEM file of those to trust for the authority's own server, for
	// an authority of one's own.
	Roots string `toml:"roots,omitempty"`
	// Names are further names of the server, besides Hostname.
	Names []string `toml:"names,omitempty"`
}

// SMTP is the door for other mail servers.
type SMTP struct {
	// Listen is "address:port"; empty closes the door.
	Listen string `toml:"listen"`
	// MaxSize is the largest message in bytes, for IMAP and submission too; 50
	// MiB unless set.
	MaxSize int64 `toml:"max_size,omitzero"`
	// Journal holds the addresses that take journal reports and always_bcc
	// copies of other mail servers. Each must be an account; copies for one that
	// isn't are put off until it is.
	Journal []string `toml:"journal,omitempty"`
	// JournalPeers are the networks ("192.0.2.0/24") and addresses that may send to
	// them; none means any, and should not stay so.
	JournalPeers Networks `toml:"journal_peers,omitempty"`
}

// Submission is the door for the mail programs of the office's people.
type Submission struct {
	// Listen is for STARTTLS, port 587; TLSListen for TLS from the first octet,
	// port 465. Empty closes the door.
	Listen    string `toml:"listen"`
	TLSListen string `toml:"tls_listen"`
}

// IMAP is the door through which mail programs read.
type IMAP struct {
	// Listen is for STARTTLS, port 143; TLSListen for TLS from the first octet,
	// port 993. Empty closes the door.
	Listen    string `toml:"listen"`
	TLSListen string `toml:"tls_listen"`
}

// LMTP is the door for a local mail transfer agent.
type LMTP struct {
	// Listen is "address:port" or "unix:/path"; empty closes the door.
	Listen string `toml:"listen"`
}

// HTTP is the web.
type HTTP struct {
	// Listen is "address:port" without TLS: for a proxy in front, for ACME's
	// challenges, and to send browsers on where TLSListen is open too. Empty
	// closes the door.
	Listen string `toml:"listen"`
	// TLSListen is "address:port" with TLS.
	TLSListen string `toml:"tls_listen,omitempty"`
	// URL is how browsers reach the pages, "https://mail.example.org", where
	// that isn't Hostname by https. Passkeys belong to its name.
	URL string `toml:"url,omitempty"`
	// Proxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are
	// believed.
	Proxies Networks `toml:"proxies,omitempty"`
}

// DNS says whom to ask.
type DNS struct {
	// Servers are "address:port"; those of /etc/resolv.conf unless set.
	Servers []string `toml:"servers,omitempty"`
	// Validating says that Servers validate DNSSEC and that nobody sits between:
	// their word is then believed for DANE. Those on loopback are believed
	// anyway.
	Validating bool `toml:"validating,omitempty"`
}

// Checks says how arriving mail is judged.
type Checks struct {
	// Off leaves arriving mail unjudged: for an office behind a server that
	// does it.
	Off bool `toml:"off,omitempty"`
	// Rspamd is the URL of an rspamd, "http://127.0.0.1:11333"; without it each
	// account learns from what its owner moves to Junk and back.
	Rspamd string `toml:"rspamd,omitempty"`
	// Greylist puts strangers off once.
	Greylist bool `toml:"greylist,omitempty"`
	// TrustedSealers are domains whose ARC seals are believed.
	TrustedSealers []string `toml:"trusted_sealers,omitempty"`
	// Exempt are domains whose DMARC policy is not enforced.
	Exempt []string `toml:"exempt,omitempty"`
	// ExemptPeers are networks whose mail is not judged: the office's own
	// machines.
	ExemptPeers Networks `toml:"exempt_peers,omitempty"`
}

// Delivery says how mail leaves.
type Delivery struct {
	// Smarthost is "host:port" of a server that takes all mail; empty delivers
	// to where it belongs.
	Smarthost string `toml:"smarthost,omitempty"`
	// SmarthostTLS is from the first octet instead of STARTTLS.
	SmarthostTLS bool `toml:"smarthost_tls,omitempty"`
	// User and PasswordFile sign in there.
	User         string `toml:"user,omitempty"`
	PasswordFile string `toml:"password_file,omitempty"`
	// Port is where other servers are; 25 unless set.
	Port int `toml:"port,omitzero"`
	// Roots is a PEM file of certificate authorities to believe besides the
	// system's.
	Roots string `toml:"roots,omitempty"`
	// STS is the MTA-STS policy that is published: "testing" or "enforce".
	STS string `toml:"mta_sts,omitempty"`

	// FirstRetry is the pause after the first failure, from a minute to a day; 5
	// minutes unless set. It doubles with every further one.
	FirstRetry Duration `toml:"first_retry,omitzero"`
	// LongestPause is what pauses grow to, FirstRetry at least and a day at most;
	// 4 hours unless set.
	LongestPause Duration `toml:"longest_pause,omitzero"`
	// Lifetime is for how long a letter is tried before it comes back, from an
	// hour to 30 days; 5 days unless set (RFC 5321, section 4.5.4.1, wants 4 to 5).
	Lifetime Duration `toml:"lifetime,omitzero"`
	// DelayNotice is after how long the sender is told that a letter is late, from
	// 5 minutes to Lifetime, which means never; 4 hours unless set.
	DelayNotice Duration `toml:"delay_notice,omitzero"`
}

// The bounds of the schedule.
const (
	leastRetry, mostPause       = Duration(time.Minute), Duration(24 * time.Hour)
	leastLifetime, mostLifetime = Duration(time.Hour), Duration(30 * 24 * time.Hour)
	leastDelay                  = Duration(5 * time.Minute)
)

// Schedule is how attempts are repeated.
type Schedule struct {
	FirstRetry, LongestPause, Lifetime, DelayNotice time.Duration
}

// Schedule says when attempts are repeated, with defaults that fit what is set. It
// is an error when a setting is out of its bounds.
func (c Delivery) Schedule() (Schedule, error) {
	if c.FirstRetry == 0 {
		c.FirstRetry = Duration(5 * time.Minute)
	}
	if c.LongestPause == 0 {
		c.LongestPause = max(Duration(4*time.Hour), c.FirstRetry)
	}
	if c.Lifetime == 0 {
		c.Lifetime = Duration(5 * 24 * time.Hour)
	}
	if c.DelayNotice == 0 {
		c.DelayNotice = min(Duration(4*time.Hour), c.Lifetime)
	}
	for _, err := range []error{
		c.FirstRetry.within("first_retry", leastRetry, mostPause),
		c.LongestPause.within("longest_pause", max(leastRetry, c.FirstRetry), mostPause),
		c.Lifetime.within("lifetime", leastLifetime, mostLifetime),
		c.DelayNotice.within("delay_notice", leastDelay, c.Lifetime),
	} {
		if err != nil {
			return Schedule{}, err
		}
	}
	return Schedule{FirstRetry: time.Duration(c.FirstRetry), LongestPause: time.Duration(c.LongestPause),
		Lifetime: time.Duration(c.Lifetime), DelayNotice: time.Duration(c.DelayNotice)}, nil
}

// Wall says what is the office's business.
type Wall struct {
	// Contacts are domains and addresses with which the office does its
	// business.
	Contacts []string `toml:"contacts,omitempty"`
	// Forward lets people forward office mail to outside.
	Forward bool `toml:"forward,omitempty"`
}

// Keep says how long mail stays open to the server.
type Keep struct {
	// HotDays is after how many days a month is closed; 180 unless set.
	HotDays int `toml:"hot_days,omitzero"`
}

// defaultHotDays is after how many days a month is closed, unless it is set.
const defaultHotDays = 180

// HotDays is after how many days a month is closed.
func (c Config) HotDays() int {
	if c.Keep.HotDays == 0 {
		return defaultHotDays
	}
	return c.Keep.HotDays
}

// Metrics is for Prometheus.
type Metrics struct {
	// Listen is "address:port", best on loopback; empty closes it.
	Listen string `toml:"listen"`
}

// Default is what "sijill init" writes for an office of that name and domain: every
// door on loopback, on a port that takes no privileges.
func Default(office, domain string) Config {
	return Config{
		Office: office, Domain: domain, Origin: domain + "/register", Hostname: "mail." + domain,
		SMTP: SMTP{Listen: "127.0.0.1:2525"}, LMTP: LMTP{Listen: "127.0.0.1:2424"},
		Submission: Submission{Listen: "127.0.0.1:2587", TLSListen: "127.0.0.1:2465"},
		IMAP:       IMAP{Listen: "127.0.0.1:2143", TLSListen: "127.0.0.1:2993"},
		HTTP:       HTTP{Listen: "127.0.0.1:8080"}, Metrics: Metrics{Listen: "127.0.0.1:9090"},
	}
}

const head = `# The settings of this office. docs/settings.md says what each one means.
# A change takes effect when the server is started again.

`

// Write writes the settings to a new file in dir, durably; there must be none yet.
// Settings that Read would refuse are an error.
func (c Config) Write(dir string) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	var b bytes.Buffer
	b.WriteString(head)
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return fmt.Errorf("encoding the settings: %w", err)
	}
	return WriteNew(filepath.Join(dir, File), b.Bytes())
}

// Read reads the settings of dir and checks them. A directory without any is told
// apart, with advice; a setting that there isn't is an error.
func Read(dir string) (c Config, err error) {
	path := filepath.Join(dir, File)
	meta, err := toml.DecodeFile(path, &c)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s is not an office: it has no %s. Make one with \"sijill init --dir %s --office NAME --domain DOMAIN --account ADDRESS\", or name another with --dir or SIJILL_DIR", dir, File, dir)
	}
	if err != nil {
		return c, fmt.Errorf("reading %s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, fmt.Errorf("reading %s: there is no setting called %q", path, unknown[0].String())
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

// WriteNew writes a file that must not exist yet, durably, for its owner only: the
// settings, and what else is written once into a data directory.
func WriteNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
