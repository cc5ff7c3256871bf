package setup

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func options() Options {
	return Options{
		Office: "ديوان & Co", STS: STSEnforce,
		Host:    Host{Name: "mail.diwan.example", IMAPS: 993, Submissions: 465, Submission: 587, Web: "https://mail.diwan.example"},
		Domains: func(context.Context) ([]string, error) { return []string{"diwan.example", "home.example"}, nil },
	}
}

func get(t *testing.T, h http.Handler, method, target, body string) (int, string, http.Header) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b), w.Result().Header
}

func TestAutoconfig(t *testing.T) {
	h := New(options())
	code, body, _ := get(t, h, "GET", "http://autoconfig.diwan.example/mail/config-v1.1.xml?emailaddress=laila@diwan.example", "")
	if code != 200 {
		t.Fatalf("status %d", code)
	}
	var c clientConfig
	if err := xml.Unmarshal([]byte(body), &c); err != nil {
		t.Fatal(err)
	}
	in, out := c.Provider.Incoming, c.Provider.Outgoing
	if len(in) != 1 || in[0] != (mailServer{"imap", "mail.diwan.example", 993, "SSL", "password-cleartext", "%EMAILADDRESS%"}) {
		t.Errorf("incoming %+v", in)
	}
	if len(out) != 2 || out[0].Port != 465 || out[1].SocketType != "STARTTLS" {
		t.Errorf("outgoing %+v", out)
	}
	if c.Provider.Name != "ديوان & Co" {
		t.Errorf("name %q", c.Provider.Name)
	}
}

// What is answered must not tell whether an address exists.
func TestAnswersDependOnDomainOnly(t *testing.T) {
	h := New(options())
	_, one, _ := get(t, h, "GET", "/mail/config-v1.1.xml?emailaddress=nobody@home.example", "")
	_, two, _ := get(t, h, "GET", "/mail/config-v1.1.xml?emailaddress=laila@home.example", "")
	if one != two || !strings.Contains(one, "home.example") {
		t.Error("two addresses of a domain get different answers")
	}
	if code, _, _ := get(t, h, "GET", "/mail/config-v1.1.xml?emailaddress=a@elsewhere.example", ""); code != 404 {
		t.Errorf("a foreign domain: status %d", code)
	}
	if _, body, _ := get(t, h, "GET", "http://autoconfig.home.example/mail/config-v1.1.xml", ""); !strings.Contains(body, `id="home.example"`) {
		t.Errorf("without an address the Host counts: %s", body)
	}
}

func TestAutodiscover(t *testing.T) {
	h := New(options())
	ask := `<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>laila@diwan.example</EMailAddress></Request></Autodiscover>`
	code, body, _ := get(t, h, "POST", "/autodiscover/autodiscover.xml", ask)
	if code != 200 || !strings.Contains(body, "<LoginName>laila@diwan.example</LoginName>") || !strings.Contains(body, "<Port>993</Port>") {
		t.Errorf("status %d: %s", code, body)
	}
	for _, bad := range []string{"", "<a>", "<EMailAddress></EMailAddress>", "<EMailAddress>" + strings.Repeat("a", maxAsked) + "</EMailAddress>"} {
		if code, _, _ := get(t, h, "POST", "/autodiscover/autodiscover.xml", bad); code != 400 {
			t.Errorf("%.20q: status %d", bad, code)
		}
	}
	if _, body, _ := get(t, h, "GET", "/autodiscover/autodiscover.json?Email=a@diwan.example&Protocol=autodiscoverv1", ""); !strings.Contains(body, "https://mail.diwan.example/autodiscover/autodiscover.xml") {
		t.Errorf("version 2: %s", body)
	}
}

func TestProfile(t *testing.T) {
	h := New(options())
	code, body, header := get(t, h, "GET", "/apple.mobileconfig?address=laila%2Bx%26y@diwan.example", "")
	if code != 200 || header.Get("Content-Type") != "application/x-apple-aspen-config; charset=utf-8" {
		t.Fatalf("status %d, %v", code, header)
	}
	d := xml.NewDecoder(strings.NewReader(body))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the profile is not well formed: %v", err)
		}
	}
	for _, want := range []string{"laila+x&amp;y@diwan.example", "ديوان &amp; Co", "<integer>993</integer>", "<integer>465</integer>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the profile lacks %s", want)
		}
	}
	_, again, _ := get(t, h, "GET", "/apple.mobileconfig?address=laila%2Bx%26y@diwan.example", "")
	if again != body {
		t.Error("the profile of an address differs between two requests")
	}
}

func TestSTSPolicy(t *testing.T) {
	_, body, _ := get(t, New(options()), "GET", "/.well-known/mta-sts.txt", "")
	if body != "version: STSv1\r\nmode: enforce\r\nmx: mail.diwan.example\r\nmax_age: 604800\r\n" {
		t.Errorf("policy %q", body)
	}
	o := options()
	o.STS = STSNone
	if code, _, _ := get(t, New(o), "GET", "/.well-known/mta-sts.txt", ""); code != 404 {
		t.Errorf("no policy: status %d", code)
	}
}

func records() []Record {
	host := HostRecords("mail.diwan.example", []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("2001:db8::7")})
	return append(host, Records(RecordOptions{
		Domain: "diwan.example", Host: options().Host, STS: STSEnforce, STSID: "20261122", Reports: "postmaster@diwan.example",
		DKIM: []DKIMKey{{"2026a", "v=DKIM1; k=rsa; p=AAAA"}},
	})...)
}

func TestRecords(t *testing.T) {
	have := map[string]string{}
	for _, r := range records() {
		have[r.Name+" "+r.Type] = r.Value
	}
	for key, want := range map[string]string{
		"mail.diwan.example A": "192.0.2.7", "7.2.0.192.in-addr.arpa PTR": "mail.diwan.example.",
		"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR": "mail.diwan.example.",
		"diwan.example MX":                     "10 mail.diwan.example.",
		"diwan.example TXT":                    "v=spf1 mx -all",
		"2026a._domainkey.diwan.example TXT":   "v=DKIM1; k=rsa; p=AAAA",
		"_imaps._tcp.diwan.example SRV":        "0 1 993 mail.diwan.example.",
		"_imap._tcp.diwan.example SRV":         "0 0 0 .",
		"mta-sts.diwan.example CNAME":          "mail.diwan.example.",
		"_smtp._tls.diwan.example TXT":         "v=TLSRPTv1; rua=mailto:postmaster@diwan.example",
		"_autodiscover._tcp.diwan.example SRV": "0 1 443 mail.diwan.example.",
		"autoconfig.diwan.example CNAME":       "mail.diwan.example.",
		"_dmarc.diwan.example TXT":             "v=DMARC1; p=reject; rua=mailto:postmaster@diwan.example",
		"_mta-sts.diwan.example TXT":           "v=STSv1; id=20261122",
	} {
		if have[key] != want {
			t.Errorf("%s is %q, want %q", key, have[key], want)
		}
	}
}

func TestCheck(t *testing.T) {
	zone := map[string][]string{
		"diwan.example TXT":                  {"google-site-verification=x", "v=spf1 ip4:192.0.2.7 ~all"},
		"diwan.example MX":                   {"5 mail.diwan.example."},
		"2026a._domainkey.diwan.example TXT": {"v=DKIM1; k=rsa; p=BBBB"},
		"_dmarc.diwan.example TXT":           {"other"},
	}
	ask := func(_ context.Context, name, kind string) ([]string, error) {
		if name == "mail.diwan.example" {
			return nil, errors.New("no answer")
		}
		if v, ok := zone[name+" "+kind]; ok {
			return v, nil
		}
		return nil, fs.ErrNotExist
	}
	list, err := Check(t.Context(), records(), ask)
	if err != nil {
		t.Fatal(err)
	}
	got := map[Purpose]State{}
	for _, c := range list {
		if _, ok := got[c.Purpose]; !ok {
			got[c.Purpose] = c.State
		}
	}
	want := map[Purpose]State{PurposeSPF: StateRight, PurposeMX: StateRight, PurposeDKIM: StateDifferent, PurposeDMARC: StateMissing, PurposeAddress: StateUnknown}
	for p, s := range want {
		if got[p] != s {
			t.Errorf("%s is %s, want %s", p, got[p], s)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if list, err := Check(ctx, records(), ask); !errors.Is(err, context.Canceled) || len(list) != len(records()) || list[0].State != StateUnknown {
		t.Errorf("a cancelled check: %+v, %v", list, err)
	}
}

// What serves the purpose is right, however it is written; what doesn't isn't.
func TestStates(t *testing.T) {
	record := map[Purpose]Record{}
	for _, r := range append(records(), HelloRecord("mail.diwan.example")) {
		record[r.Purpose] = r // The last of a purpose.
	}
	sts := Record{PurposeSTS, "_mta-sts.diwan.example", "TXT", "v=STSv1; id=20261122"}
	imaps := Record{PurposeServices, "_imaps._tcp.diwan.example", "SRV", "0 1 993 mail.diwan.example."}
	addresses := map[string][]string{"mail.diwan.example A": {"192.0.2.7"}, "same.example A": {"192.0.2.7"}, "other.example A": {"192.0.2.8"}}
	alias := func(name string) Record { return Record{PurposeSTS, name, "CNAME", "mail.diwan.example."} }
	for _, test := range []struct {
		Record
		found []string
		want  State
	}{
		{record[PurposeSPF], []string{"v=spf1 a:mail.diwan.example -all"}, StateRight},
		{record[PurposeSPF], []string{"v=spf1 redirect=_spf.other.example"}, StateRight},
		{record[PurposeSPF], []string{"V=SPF1 +MX ~all"}, StateRight},
		{record[PurposeSPF], []string{"v=spf1 -all"}, StateDifferent},
		{record[PurposeSPF], []string{"v=spf1 -mx all:no"}, StateDifferent},
		{record[PurposeSPF], []string{"v=spf1 mx -all", "v=spf1 a -all"}, StateDifferent},
		{record[PurposeSPF], []string{"v=spf10 mx"}, StateMissing},
		{record[PurposeDMARC], []string{"v=DMARC1;p=none"}, StateRight},
		{record[PurposeDMARC], []string{"v=DMARC1; sp=none"}, StateDifferent},
		{record[PurposeTLSReport], []string{"v=TLSRPTv1;rua=https://a.example"}, StateRight},
		{record[PurposeDKIM], []string{"p=AA AA"}, StateRight},
		{record[PurposeDKIM], []string{"v=DKIM1; h=sha256; k=RSA; p=AAAA"}, StateRight},
		{record[PurposeDKIM], []string{"v=DKIM1; k=ed25519; p=AAAA"}, StateDifferent},
		{record[PurposeDKIM], []string{"v=DKIM1; k=rsa; p="}, StateDifferent},
		{sts, []string{"v=STSv1;id=20261122;"}, StateRight},
		{sts, []string{"v=STSv1; id=20261121"}, StateDifferent},
		{imaps, []string{"10 5 993 MAIL.diwan.example."}, StateRight},
		{imaps, []string{"0 1 994 mail.diwan.example."}, StateDifferent},
		{record[PurposeMX], []string{"5 other.example.", "20 mail.diwan.example."}, StateRight},
		{alias("same.example"), nil, StateRight},
		{alias("other.example"), nil, StateDifferent},
		{alias("none.example"), nil, StateMissing},
		{alias("cname.example"), []string{"Mail.diwan.example."}, StateRight},
	} {
		list, err := Check(t.Context(), []Record{test.Record}, func(_ context.Context, name, kind string) ([]string, error) {
			if kind == test.Type && test.found != nil {
				return test.found, nil
			}
			if v, ok := addresses[name+" "+kind]; ok {
				return v, nil
			}
			return nil, fs.ErrNotExist
		})
		if err != nil || list[0].State != test.want {
			t.Errorf("%s %s %q: %s %v, want %s", test.Name, test.Type, test.found, list[0].State, err, test.want)
		}
	}
}

func FuzzAsked(f *testing.F) {
	f.Add("<EMailAddress>a@b</EMailAddress>")
	f.Add("<a><EMailAddress><b/></EMailAddress></a>")
	f.Fuzz(func(t *testing.T, s string) {
		if address, err := asked(strings.NewReader(s)); err == nil && (address == "" || len(address) > maxAddress) {
			t.Errorf("took %q", address)
		}
	})
}
