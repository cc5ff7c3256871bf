package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readText reads settings of an office with more lines at the top and after it.
func readText(t *testing.T, domain, more string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	text := "office = \"Diwan\"\ndomain = \"" + domain + "\"\norigin = \"diwan.example/register\"\n" + more
	if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(dir)
}

// A slip of the pen is found when the settings are read, and the error says which
// setting it is in and what to write.
func TestSlips(t *testing.T) {
	for more, want := range map[string][]string{
		"hostname = \"mail_diwan example\"":                           {"hostname", "diwan.example"},
		"hostname = \"https://mail.diwan.example\"":                   {"hostname", "diwan.example"},
		"hostname = \"mail..diwan.example\"":                          {"hostname", "diwan.example"},
		"anchors = [\"\"]":                                            {"anchors", "/mnt/anchor/checkpoint"},
		"[tls]\nnames = [\"mta-sts.diwan.example\", \"-x.example\"]":  {"names under [tls]", "-x.example"},
		"[smtp]\njournal = [\"nobody\"]":                              {"journal under [smtp]", "nobody", "journal@diwan.example"},
		"[smtp]\njournal = [\"journal@\"]":                            {"journal under [smtp]", "journal@diwan.example"},
		"[smtp]\njournal = [\"@diwan.example\"]":                      {"journal under [smtp]", "journal@diwan.example"},
		"[smtp]\njournal_peers = [\"192.0.2.300\"]":                   {"smtp.journal_peers", "192.0.2.300", "192.0.2.0/24"},
		"[smtp]\njournal_peers = [\"mail.example\"]":                  {"smtp.journal_peers", "mail.example", "192.0.2.0/24"},
		"[smtp]\njournal_peers = \"192.0.2.1\"":                       {"smtp.journal_peers", "192.0.2.0/24"},
		"[smtp]\nmax_size = -1":                                       {"max_size under [smtp]", "52428800"},
		"[http]\nurl = \"mail.diwan.example\"":                        {"url under [http]", "https://mail.diwan.example"},
		"[http]\nurl = \"https://\"":                                  {"url under [http]", "https://mail.diwan.example"},
		"[http]\nproxies = [\"10.0.0.0/33\"]":                         {"http.proxies", "10.0.0.0/33"},
		"[checks]\nexempt = [\"@x.example\"]":                         {"exempt under [checks]", "@x.example", "diwan.example"},
		"[delivery]\nport = -5":                                       {"port under [delivery]", "-5", "25"},
		"[delivery]\nport = 65536":                                    {"port under [delivery]", "65535"},
		"[delivery]\nuser = \"office\"":                               {"user under [delivery]", "smarthost = \"host:port\""},
		"[delivery]\npassword_file = \"/etc/sijill/relay\"":           {"password_file under [delivery]", "smarthost = \"host:port\""},
		"[delivery]\nsmarthost = \"relay.example\"":                   {"smarthost under [delivery]", "relay.example:587"},
		"[delivery]\nsmarthost = \"relay.example:587\"\nuser = \"a\"": {"user and password_file under [delivery]"},
		"[delivery]\nmta_sts = \"on\"":                                {"mta_sts under [delivery]", "testing"},
		"[keep]\nhot_days = -1":                                       {"hot_days under [keep]"},
	} {
		_, err := readText(t, "diwan.example", more)
		if err == nil {
			t.Errorf("%s: taken", more)
			continue
		}
		for _, w := range append(want, File) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v\ndoesn't say %s", more, err, w)
			}
		}
	}
	for _, domain := range []string{"http://diwan.example", "diwan example", "@diwan.example", "diwan..example", ".", strings.Repeat("a", 64) + ".example"} {
		if _, err := readText(t, domain, ""); err == nil || !strings.Contains(err.Error(), "domain: ") {
			t.Errorf("the domain %q: %v", domain, err)
		}
		if err := Default("Diwan", domain).Write(t.TempDir()); err == nil {
			t.Errorf("settings with the domain %q were written", domain)
		}
	}
	for _, domain := range []string{"diwan.example", "DIWAN.example", "ديوان.example", "xn--mgbac1fdh.example", "localhost", "a_b.example"} {
		if _, err := readText(t, domain, ""); err != nil {
			t.Error(err)
		}
	}
}

// A network may be an address alone; what is written is read again.
func TestNetworks(t *testing.T) {
	c, err := readText(t, "diwan.example", "[smtp]\njournal_peers = [\"192.0.2.1\", \"2001:db8::1\", \"198.51.100.7/24\"]")
	if err != nil {
		t.Fatal(err)
	}
	want := Networks{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("198.51.100.0/24")}
	if !slices.Equal(c.SMTP.JournalPeers, want) {
		t.Errorf("%v, want %v", c.SMTP.JournalPeers, want)
	}
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := Read(dir)
	if err != nil || !slices.Equal(again.SMTP.JournalPeers, want) {
		t.Errorf("written and read again: %v, %v", again.SMTP.JournalPeers, err)
	}
}
