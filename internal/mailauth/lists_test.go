package mailauth

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"

	"sijill/internal/message"
)

// fixed answers TXT questions from a table, and that there is nothing else.
type fixed map[string]string

func (f fixed) Exchange(_ context.Context, name string, qtype uint16) ([]byte, bool, time.Time, error) {
	text, ok := f[strings.ToLower(strings.TrimSuffix(name, "."))]
	if !ok || qtype != dns.TypeTXT {
		return nil, false, time.Time{}, fs.ErrNotExist
	}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.Response = true
	m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: qtype, Class: dns.ClassINET, Ttl: 300}, Txt: txtStrings([]string{text})}}
	wire, err := m.Pack()
	return wire, false, time.Time{}, err
}

// publishedKeys are the historical keys of the test data.
func publishedKeys(t testing.TB) fixed {
	t.Helper()
	keys := fixed{}
	for line := range strings.Lines(string(member(t, "dkim-keys/keys.tsv"))) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), "\t")
		keys[name] = text
	}
	return keys
}

// TestListsVerify verifies real mail with keys that were published, and
// compares with another implementation, message by message.
func TestListsVerify(t *testing.T) {
	keys := publishedKeys(t)
	var signed, passed, expired, added, broken int
	messages(t, corpus(t, "lists-dkim.mbox.zst"), func(raw []byte) {
		if !hasKnownSelector(raw, keys) {
			return
		}
		m := parse(raw)
		now := time.Now()
		if d, ok := message.Parse(raw).Received(); ok {
			now = d
		}
		var theirs []*dkim.Verification
		for i, at := range m.fields["dkim-signature"] {
			s := m.readSignature(at, now)
			if keys[s.Selector+"._domainkey."+s.Domain] == "" {
				continue
			}
			if theirs == nil {
				theirs, _ = dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
					if keys[name] == "" {
						return nil, errors.New("none")
					}
					return []string{keys[name]}, nil
				}})
			}
			if s.Result == "" {
				m.verify(t.Context(), keys, s)
			}
			signed++
			other := i < len(theirs) && theirs[i].Err == nil
			if !s.Expires.IsZero() && s.Expires.Before(time.Now()) {
				other = s.Result == Pass // the other judges by today's date
				expired++
			}
			switch ours := s.Result; {
			case ours == Pass && other:
				passed++
			case ours == Policy && other:
				added++
			case ours == Fail && !other && (s.Reason == reasonBody || s.Reason == reasonSignature):
				broken++
			default:
				t.Errorf("signature %d of message %s: %s (%s); the other says %v", i, m.header.Get("Message-ID"), ours, s.Reason, other)
			}
		}
	})
	t.Logf("%d signatures with a known key: %d pass (%d of all have expired since), %d were changed on the way, %d with a field added", signed, passed, expired, broken, added)
	if passed < 1000 || broken > 30 {
		t.Errorf("%d passed, %d were changed", passed, broken)
	}
}

// hasKnownSelector looks for a selector quickly.
func hasKnownSelector(raw []byte, keys fixed) bool {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for name := range keys {
		selector, _, _ := strings.Cut(name, ".")
		if bytes.Contains(head, []byte("s="+selector)) {
			return true
		}
	}
	return false
}
