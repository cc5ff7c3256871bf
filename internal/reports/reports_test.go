package reports

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"sijill/internal/message"
)

const aggregate = `<?xml version="1.0" encoding="ISO-8859-1"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
 <report_metadata><org_name>Bayt ` + "\xe9" + `</org_name><email>r@bayt.example</email><report_id>77</report_id>
  <date_range><begin>1773446400</begin><end> 1773532799 </end></date_range></report_metadata>
 <policy_published><domain>Diwan.Example</domain><adkim>s</adkim><aspf>r</aspf><p>reject</p><sp>none</sp></policy_published>
 <extension><record>not a row</record></extension>
 <record><row><source_ip>192.0.2.7</source_ip><count>40</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
  <identifiers><header_from>diwan.example</header_from><envelope_from>bounce.diwan.example</envelope_from></identifiers>
  <auth_results><dkim><domain>diwan.example</domain><selector>202603r</selector><result>pass</result></dkim><spf><domain>x.example</domain><result>softfail</result></spf></auth_results></record>
 <record><row><source_ip>2001:db8::5</source_ip><count>2</count><policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf>
  <reason><type>other</type><comment>they asked</comment></reason></policy_evaluated></row><identifiers><header_from>diwan.example</header_from></identifiers></record>
 <record><row><source_ip>nonsense</source_ip><count>-9</count></row></record>
</feedback>`

const tlsReport = `{"organization-name":"Bayt","date-range":{"start-datetime":"2026-03-14T00:00:00Z","end-datetime":"2026-03-14T23:59:59Z"},
 "contact-info":"t@bayt.example","report-id":"t-1","policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1"],"policy-domain":"Diwan.example","mx-host":"*.diwan.example"},
 "summary":{"total-successful-session-count":"12","total-failure-session-count":3},
 "failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.9","receiving-mx-hostname":"MX.diwan.example","failed-session-count":3,"failure-reason-code":"code\u0007"}]}]}`

func packed(t testing.TB, kind, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.Closer
	if kind == "zip" {
		z := zip.NewWriter(&b)
		f, err := z.Create("report.xml")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, content)
		w = z
	} else {
		g := gzip.NewWriter(&b)
		io.WriteString(g, content)
		w = g
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mail(kind string, b []byte) *message.Message {
	return message.Parse([]byte("From: r@bayt.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\n\r\nA report.\r\n--b\r\nContent-Type: " + kind + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(b) + "\r\n--b--\r\n"))
}

func TestAggregate(t *testing.T) {
	for kind, b := range map[string][]byte{
		"application/zip": packed(t, "zip", aggregate), "application/octet-stream": packed(t, "gzip", aggregate), "text/xml": []byte(aggregate),
	} {
		f, err := Read(mail(kind, b))
		if err != nil || len(f.DMARC) != 1 {
			t.Fatalf("%s: %v", kind, err)
		}
		a := f.DMARC[0]
		if a.Org != "Bayt é" || a.ID != "77" || a.Domain != "diwan.example" || a.Policy != "reject" || !a.StrictDKIM || a.StrictSPF ||
			!a.Begin.Equal(time.Unix(1773446400, 0)) || !a.End.Equal(time.Unix(1773532799, 0)) || len(a.Rows) != 3 {
			t.Errorf("%s: %+v", kind, a)
		}
		if passed, failed := a.Totals(); passed != 40 || failed != 2 {
			t.Errorf("%d passed, %d failed", passed, failed)
		}
		if r := a.Rows[0]; r.Source.String() != "192.0.2.7" || r.Signatures[0].Selector != "202603r" || r.Senders[0].Result != "softfail" || !r.DKIM || r.SPF {
			t.Errorf("%+v", r)
		}
		if r := a.Rows[1]; r.Reasons[0] != "other: they asked" || r.Disposition != "reject" {
			t.Errorf("%+v", r)
		}
	}
}

func TestTLS(t *testing.T) {
	f, err := Read(mail("application/tlsrpt+gzip", packed(t, "gzip", tlsReport)))
	if err != nil || len(f.TLS) != 1 {
		t.Fatal(err)
	}
	r := f.TLS[0]
	if r.Org != "Bayt" || r.Begin.Hour() != 0 || len(r.Policies) != 1 {
		t.Errorf("%+v", r)
	}
	if p := r.Policies[0]; p.Type != "sts" || p.Domain != "diwan.example" || p.Succeeded != 12 || p.Failed != 3 ||
		p.Failures[0].Host != "mx.diwan.example" || p.Failures[0].Detail != "code" {
		t.Errorf("%+v", p)
	}
}

// TestRefused refuses what is too large, however small it arrives.
func TestRefused(t *testing.T) {
	row := `<record><row><source_ip>192.0.2.7</source_ip><count>1</count></row></record>`
	for name, test := range map[string]struct {
		b    []byte
		want error
	}{
		"gzip bomb":     {packed(t, "gzip", aggregate+strings.Repeat(" ", MaxSize)), ErrTooLarge},
		"zip bomb":      {packed(t, "zip", aggregate+strings.Repeat(" ", MaxSize)), ErrTooLarge},
		"too many rows": {packed(t, "gzip", "<feedback>"+strings.Repeat(row, MaxRows+1)+"</feedback>"), ErrTooLarge},
		"cut gzip":      {packed(t, "gzip", aggregate)[:300], ErrBroken},
		"cut zip":       {packed(t, "zip", aggregate)[:300], ErrBroken},
		"cut xml":       {[]byte(aggregate[:700]), ErrBroken},
		"other xml":     {[]byte("<a><feedback/></a>"), ErrBroken},
		"broken json":   {[]byte(`{"organization-name": 7}`), ErrBroken},
		"deep xml":      {[]byte("<feedback>" + strings.Repeat("<record>", 100_000)), ErrBroken},
		"entities":      {[]byte(`<!DOCTYPE f [<!ENTITY a "b">]><feedback><report_metadata><org_name>&a;</org_name></report_metadata></feedback>`), ErrBroken},
		"a letter":      {[]byte("Dear all,"), ErrNone},
		"an image":      {[]byte("\x89PNG"), ErrNone},
	} {
		start := time.Now()
		f, err := Read(mail("application/octet-stream", test.b))
		if !errors.Is(err, test.want) || len(f.DMARC)+len(f.TLS) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
	if !errors.Is(ErrNone, fs.ErrNotExist) {
		t.Error("ErrNone is not fs.ErrNotExist")
	}
}

// TestSamples reads reports of real senders.
func TestSamples(t *testing.T) {
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	file, err := os.Open(filepath.Join(dir, "mail-auth.tar.zst"))
	if err != nil {
		t.Skip("no test data: set SIJILL_DATA to a folder with mail-auth.tar.zst")
	}
	defer file.Close()
	z, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	dmarc, tls := 0, 0
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(h.Name, "/dmarc-feedback/") && !strings.Contains(h.Name, "/tlsrpt/") ||
			strings.HasSuffix(h.Name, ".json") && !strings.Contains(h.Name, "/tlsrpt/") {
			continue
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		f := &Found{}
		if strings.HasSuffix(h.Name, ".eml") {
			f, err = Read(message.Parse(b))
		} else {
			left := int64(MaxSize)
			err = f.read(b, &left)
		}
		if err != nil || len(f.DMARC)+len(f.TLS) != 1 {
			t.Errorf("%s: %v, %+v", h.Name, err, f)
			continue
		}
		dmarc += len(f.DMARC)
		tls += len(f.TLS)
		for _, a := range f.DMARC {
			if a.Org == "" || a.Domain == "" || len(a.Rows) == 0 || a.Rows[0].Count == 0 {
				t.Errorf("%s: %+v", h.Name, a)
			}
		}
	}
	if dmarc != 10 || tls != 5 {
		t.Errorf("%d about DMARC, %d about TLS", dmarc, tls)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(aggregate))
	f.Add([]byte(tlsReport))
	f.Add(packed(f, "zip", aggregate))
	f.Add(packed(f, "gzip", tlsReport))
	f.Fuzz(func(t *testing.T, b []byte) {
		found := &Found{}
		left := int64(1 << 20)
		found.read(b, &left)
		out, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range string(out) {
			if r == utf8.RuneError || unicode.IsControl(r) {
				t.Errorf("%q in %q", r, out)
			}
		}
		if _, err := Read(message.Parse(b)); err == nil && len(b) == 0 {
			t.Error("a report in nothing")
		}
	})
}
