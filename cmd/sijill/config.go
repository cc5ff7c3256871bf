package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
)

// configName is the settings file in the data directory.
const configName = "sijill.toml"

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

	SMTP    SMTPConfig    `toml:"smtp"`
	LMTP    LMTPConfig    `toml:"lmtp"`
	HTTP    HTTPConfig    `toml:"http"`
	Metrics MetricsConfig `toml:"metrics"`
}

// SMTPConfig is the door for other mail servers.
type SMTPConfig struct {
	// Listen is "address:port"; empty closes the door.
	Listen string `toml:"listen"`
	// TLSCert and TLSKey are PEM files; with them STARTTLS is offered.
	TLSCert string `toml:"tls_cert,omitempty"`
	TLSKey  string `toml:"tls_key,omitempty"`
	// MaxSize is the largest message in bytes; 50 MiB unless set.
	MaxSize int64 `toml:"max_size,omitzero"`
	// Journal holds the addresses that take journal reports and always_bcc
	// copies of other mail servers. Each must be an account.
	Journal []string `toml:"journal,omitempty"`
	// JournalPeers are the networks ("192.0.2.0/24") that may send to them;
	// none means any, and should not stay so.
	JournalPeers []netip.Prefix `toml:"journal_peers,omitempty"`
}

// LMTPConfig is the door for a local mail transfer agent.
type LMTPConfig struct {
	// Listen is "address:port" or "unix:/path"; empty closes the door.
	Listen string `toml:"listen"`
}

// HTTPConfig is the web.
type HTTPConfig struct {
	// Listen is "address:port"; empty closes the door.
	Listen string `toml:"listen"`
	// TLSCert and TLSKey are PEM files; without them put a proxy in front.
	TLSCert string `toml:"tls_cert,omitempty"`
	TLSKey  string `toml:"tls_key,omitempty"`
	// Proxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are
	// believed.
	Proxies []netip.Prefix `toml:"proxies,omitempty"`
}

// MetricsConfig is for Prometheus.
type MetricsConfig struct {
	// Listen is "address:port", best on loopback; empty closes it.
	Listen string `toml:"listen"`
}

// defaultConfig is what "sijill init" writes.
func defaultConfig(office, domain string) Config {
	return Config{
		Office: office, Domain: domain, Origin: domain + "/register", Hostname: "mail." + domain,
		SMTP: SMTPConfig{Listen: "127.0.0.1:2525"}, LMTP: LMTPConfig{Listen: "127.0.0.1:2424"},
		HTTP: HTTPConfig{Listen: "127.0.0.1:8080"}, Metrics: MetricsConfig{Listen: "127.0.0.1:9090"},
	}
}

const configHead = `# The settings of this office. docs/settings.md says what each one means.
# A change takes effect when the server is started again.

`

// write writes the settings to a new file in dir.
func (c Config) write(dir string) error {
	var b bytes.Buffer
	b.WriteString(configHead)
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return fmt.Errorf("encoding the settings: %w", err)
	}
	return writeNew(filepath.Join(dir, configName), b.Bytes())
}

// readConfig reads the settings of dir. A directory without any is told apart,
// with advice.
func readConfig(dir string) (c Config, err error) {
	path := filepath.Join(dir, configName)
	meta, err := toml.DecodeFile(path, &c)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s is not an office: it has no %s. Make one with \"sijill init --dir %s --office NAME --domain DOMAIN --account ADDRESS\", or name another with --dir or SIJILL_DIR", dir, configName, dir)
	}
	if err != nil {
		return c, fmt.Errorf("reading %s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, fmt.Errorf("reading %s: there is no setting called %q", path, unknown[0].String())
	}
	return c, c.check(path)
}

func (c Config) check(path string) error {
	for name, v := range map[string]string{"office": c.Office, "domain": c.Domain, "origin": c.Origin} {
		if strings.TrimSpace(v) == "" {
			return fmt.Errorf("reading %s: %q must be set", path, name)
		}
	}
	if (c.SMTP.TLSCert == "") != (c.SMTP.TLSKey == "") || (c.HTTP.TLSCert == "") != (c.HTTP.TLSKey == "") {
		return fmt.Errorf("reading %s: tls_cert and tls_key go together", path)
	}
	return nil
}

// writeNew writes a file that must not exist yet, durably, for its owner only.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
