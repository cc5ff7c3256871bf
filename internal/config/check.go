package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// check says what is wrong with the settings, by the name of the setting and with
// what to write. What only a slip can be is found here, since it would show later,
// and cost mail.
func (c Config) check() error {
	for _, check := range []func(Config) error{Config.checkNames, Config.checkTLS, Config.checkDoors, Config.checkChecks, Config.checkDelivery} {
		if err := check(c); err != nil {
			return err
		}
	}
	if c.Keep.HotDays < 0 {
		return errors.New("hot_days under [keep] can't be negative")
	}
	return nil
}

func (c Config) checkNames() error {
	for _, s := range []struct{ key, value string }{{"office", c.Office}, {"domain", c.Domain}, {"origin", c.Origin}} {
		if strings.TrimSpace(s.value) == "" {
			return fmt.Errorf("%q must be set", s.key)
		}
	}
	if err := checkDomain("domain", c.Domain); err != nil {
		return err
	}
	if c.Hostname != "" {
		if err := checkDomain("hostname", c.Hostname); err != nil {
			return err
		}
	}
	if slices.Contains(c.Anchors, "") {
		return errors.New("an empty name among anchors: write the path of a file, \"/mnt/anchor/checkpoint\"")
	}
	return nil
}

func (c Config) checkTLS() error {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("cert and key under [tls] go together")
	}
	if c.TLS.Cert != "" && c.TLS.ACME {
		return errors.New("under [tls] there are either cert and key, or acme")
	}
	return checkDomains("names under [tls]", c.TLS.Names)
}

// checkDoors looks at what stands behind the doors. Their addresses are tried when
// they are opened.
func (c Config) checkDoors() error {
	if c.SMTP.MaxSize < 0 {
		return fmt.Errorf("max_size under [smtp] is %d: write a number of bytes, 52428800 for instance", c.SMTP.MaxSize)
	}
	for _, a := range c.SMTP.Journal {
		at := strings.LastIndexByte(a, '@')
		if at < 1 || isDomain(a[at+1:]) != nil {
			return fmt.Errorf("journal under [smtp]: %q is no address: write one like \"journal@%s\"", a, c.Domain)
		}
	}
	if c.HTTP.URL == "" {
		return nil
	}
	u, err := url.Parse(c.HTTP.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.RawQuery+u.Fragment != "" || u.User != nil {
		return fmt.Errorf("url under [http] is %q: write how browsers reach the pages, \"https://%s\"", c.HTTP.URL, c.ServerName())
	}
	return nil
}

func (c Config) checkChecks() error {
	if err := checkDomains("trusted_sealers under [checks]", c.Checks.TrustedSealers); err != nil {
		return err
	}
	return checkDomains("exempt under [checks]", c.Checks.Exempt)
}

func (c Config) checkDelivery() error {
	d := c.Delivery
	if d.STS != "" && d.STS != "testing" && d.STS != "enforce" {
		return fmt.Errorf("mta_sts under [delivery] is testing or enforce, not %q", d.STS)
	}
	if _, err := d.Schedule(); err != nil {
		return fmt.Errorf("under [delivery] %w", err)
	}
	if d.Port < 0 || d.Port > 65535 {
		return fmt.Errorf("port under [delivery] is %d: write a number from 1 to 65535, or leave it out for 25", d.Port)
	}
	return d.checkSmarthost()
}

func (d Delivery) checkSmarthost() error {
	if d.Smarthost == "" {
		for _, s := range []struct {
			key string
			set bool
		}{{"user", d.User != ""}, {"password_file", d.PasswordFile != ""}, {"smarthost_tls", d.SmarthostTLS}} {
			if s.set {
				return fmt.Errorf("%s under [delivery] is of use with smarthost alone, which is not set: write smarthost = \"host:port\", or leave it out", s.key)
			}
		}
		return nil
	}
	host, port, err := net.SplitHostPort(d.Smarthost)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return fmt.Errorf("smarthost under [delivery] is %q: write \"host:port\", \"relay.example:587\" for instance", d.Smarthost)
	}
	if (d.User == "") != (d.PasswordFile == "") {
		return errors.New("user and password_file under [delivery] go together")
	}
	return nil
}

func checkDomains(key string, names []string) error {
	for _, n := range names {
		if err := checkDomain(key, n); err != nil {
			return err
		}
	}
	return nil
}

func checkDomain(key, name string) error {
	if err := isDomain(name); err != nil {
		return fmt.Errorf("%s: %q is no domain: %w. Write one like \"diwan.example\"", key, name, err)
	}
	return nil
}

// lookedUp maps names as those who look them up do (UTS 46).
var lookedUp = idna.New(idna.MapForLookup(), idna.BidiRule())

// isDomain says why a name can't be a domain's: one of letters of any script,
// digits and hyphens, in labels of 63 octets at most (RFC 1035, section 2.3.4).
func isDomain(name string) error {
	odd := func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	}
	if i := strings.IndexFunc(name, odd); i >= 0 {
		return fmt.Errorf("it has %q in it", []rune(name[i:])[0])
	}
	ascii, err := lookedUp.ToASCII(strings.ReplaceAll(name, "_", "x")) // Some networks have such hosts.
	if err != nil {
		return errors.New("DNS has no such names")
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label {
			return errors.New("what stands between its dots is empty, too long, or has a hyphen at its ends")
		}
	}
	if len(ascii) > 253 {
		return errors.New("it is too long")
	}
	return nil
}

// Networks are networks in the settings: "192.0.2.0/24", or an address alone, which
// stands for itself.
type Networks []netip.Prefix

// UnmarshalTOML implements toml.Unmarshaler. What is no network is an error that
// says what to write.
func (n *Networks) UnmarshalTOML(value any) error {
	list, ok := value.([]any)
	if !ok {
		return errors.New("it is a list: write [\"192.0.2.0/24\"]")
	}
	*n = nil
	for _, v := range list {
		text, _ := v.(string)
		p, err := netip.ParsePrefix(text)
		if a, bad := netip.ParseAddr(text); bad == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("%q is no network: write \"192.0.2.0/24\", or an address alone", fmt.Sprint(v))
		}
		*n = append(*n, p.Masked())
	}
	return nil
}
