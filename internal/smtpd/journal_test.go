package smtpd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// report is a journal report written for this test.
const report = `From: "Exchange" <exchange@diwan.example>
To: journal@diwan.example
Subject: the treaty
Message-ID: <report-1@diwan.example>
X-MS-Journal-Report:
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=report="

--=report=
Content-Type: text/plain; charset="utf-8"

Sender: HIND@diwan.example
Subject: the treaty
Message-Id: <treaty-1@diwan.example>
To: envoy@abroad.example
Bcc: salim@diwan.example, Expanded: council@diwan.example
Bcc: nobody@diwan.example

--=report=
Content-Type: message/rfc822

From: Hind <hind@diwan.example>
To: envoy@abroad.example
Cc: postmaster@diwan.example
Subject: the treaty
Message-ID: <treaty-1@diwan.example>

The text.
--=report=--
`

const blindCopy = `From: Hind <hind@diwan.example>
To: envoy@abroad.example
Cc: SALES@diwan.example, Salim <salim@diwan.example>
Subject: a copy

The text.
`

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestJournal(t *testing.T) {
	for _, c := range []struct {
		name, message string
		accounts      []int64
		isReport      bool
	}{
		{"report", report, []int64{3, 1, 2}, true},
		{"blind copy", blindCopy, []int64{3, 1, 2}, false},
		{"nobody's", "Subject: x\n\nx\n", []int64{3}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, false, nil)
			p := s.greeted(t)
			p.begin("Journal@diwan.example")
			p.data(crlf(c.message)+".\r\n", "250 2.0.0 sealed as entry 0")
			m := s.sealed()[0]
			if string(m.Message) != crlf(c.message) {
				t.Error("the report is not sealed as it came")
			}
			if !slices.Equal(m.Accounts, c.accounts) {
				t.Errorf("accounts %v, want %v", m.Accounts, c.accounts)
			}
			if (m.Envelope.Journal != nil) != c.isReport {
				t.Fatalf("journal %+v", m.Envelope.Journal)
			}
			if c.isReport && !strings.HasPrefix(string(m.Envelope.Inner(m.Message)), "From: Hind <hind@diwan.example>\r\n") {
				t.Errorf("inner message %q", m.Envelope.Inner(m.Message))
			}
		})
	}
}

// A report to another address is an ordinary message.
func TestReportElsewhere(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	p.begin("salim@diwan.example")
	p.data(crlf(report)+".\r\n", "250 ")
	if m := s.sealed()[0]; m.Envelope.Journal != nil || !slices.Equal(m.Accounts, []int64{2}) {
		t.Errorf("journal %+v, accounts %v", m.Envelope.Journal, m.Accounts)
	}
}

func TestJournalPeers(t *testing.T) {
	for network, want := range map[string]string{"192.0.2.0/24": "550 5.7.1 ", "127.0.0.0/8": "250 "} {
		s := start(t, false, func(o *Options) { o.JournalPeers = []netip.Prefix{netip.MustParsePrefix(network)} })
		p := s.greeted(t)
		p.begin("salim@diwan.example")
		p.ask("RCPT TO:<journal@diwan.example>", want)
	}
}

// A journal address that the settings name and nobody has is put off: refused, its
// copies were lost at the other server. Other strangers are refused.
func TestJournalWithoutAccount(t *testing.T) {
	s := start(t, false, func(o *Options) { o.Journal = []string{"Archive@diwan.example", "archive@elsewhere.example"} })
	p := s.greeted(t)
	p.begin("salim@diwan.example")
	p.ask("RCPT TO:<archive@diwan.example>", "451 4.3.5 ")
	p.ask("RCPT TO:<archive@elsewhere.example>", "451 4.3.5 ")
	p.ask("RCPT TO:<other@diwan.example>", "550 5.1.1 ")
	p.ask("RCPT TO:<other@elsewhere.example>", "550 5.7.1 ")
}

// When the directory fails while a report is unpacked, the report comes again.
func TestJournalLookupFails(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	p.begin("journal@diwan.example")
	p.data(crlf(strings.Replace(blindCopy, "SALES@", "broken@", 1))+".\r\n", "451 4.3.0 ")
	if len(s.sealed()) != 0 {
		t.Error("it was sealed for some of its accounts")
	}
}

// More addresses than are looked up must not lose some of them in silence.
func TestJournalTooMany(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	var b strings.Builder
	for _, field := range []string{"To", "Cc"} {
		b.WriteString(field + ": x@b.example")
		for i := range maxJournalled/2 + 1 {
			fmt.Fprintf(&b, ",\r\n %s%d@b.example", field, i)
		}
		b.WriteString("\r\n")
	}
	p.begin("journal@diwan.example")
	p.data(b.String()+"\r\n.\r\n", "550 5.5.3 ")
}
