package mailauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Signer puts DKIM signatures of one domain on messages. It is safe for
// concurrent use.
type Signer struct {
	domain string
	keys   []*Key
}

// oversigned are the fields that are signed once more than they are there, so
// that none can be added (RFC 6376 section 8.15).
var oversigned = []string{"from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to",
	"references", "mime-version", "content-type", "content-transfer-encoding"}

// alsoSigned are signed as often as they are there: mailing lists may add
// theirs.
var alsoSigned = []string{"sender", "list-id", "list-unsubscribe", "list-unsubscribe-post"}

// ErrCannotSign says that a message has no From field or several, or that
// there is no key.
var ErrCannotSign = errors.New("mailauth: the message can't be signed")

// Sign returns one DKIM-Signature field for each key, ended by CRLF, to be put
// before the message. The message has CRLF line ends.
func (s *Signer) Sign(raw []byte, now time.Time) ([]byte, error) {
	m := parse(raw)
	if len(m.fields["from"]) != 1 || len(s.keys) == 0 || m.headerTooLong() {
		return nil, ErrCannotSign
	}
	names := m.namesToSign()
	hash := m.bodyHash(true, -1)
	fields := m.signedFields(&signature{index: -1, headRelaxed: true, names: names}, "")
	var out []byte
	for _, k := range s.keys {
		head := "DKIM-Signature: v=1; a=" + string(k.Kind) + "-sha256; c=relaxed/relaxed; d=" + s.domain +
			"; s=" + k.Selector + ";\r\n\tt=" + strconv.FormatInt(now.Unix(), 10) +
			";\r\n\th=" + fold(strings.Join(names, ":"), ":") +
			";\r\n\tbh=" + base64.StdEncoding.EncodeToString(hash.sum[:]) + ";\r\n\tb="
		field, err := k.finish(fields, head, "")
		if err != nil {
			return nil, err
		}
		out = append(out, field...)
	}
	return out, nil
}

// finish signs the data and a field whose b= is empty at the end of head, and
// returns the field, its signature on one line: a seal covers how it is folded.
func (k *Key) finish(data []byte, head, tail string) ([]byte, error) {
	h := sha256.New()
	h.Write(data)
	h.Write(withoutEnd(relaxedField(nil, []byte(head+tail))))
	b, err := k.sign(h.Sum(nil))
	if err != nil {
		return nil, err
	}
	return []byte(head + base64.StdEncoding.EncodeToString(b) + tail + "\r\n"), nil
}

func (m *mail) namesToSign() (names []string) {
	for _, name := range oversigned {
		for range len(m.fields[name]) + 1 {
			names = append(names, name)
		}
	}
	for _, name := range alsoSigned {
		for range m.fields[name] {
			names = append(names, name)
		}
	}
	return names
}

// fold breaks a long value into lines of at most 72 characters, after a
// separator.
func fold(s, after string) string {
	var b strings.Builder
	for len(s) > 72 {
		cut := strings.LastIndex(s[:72], after) + 1
		if cut == 0 {
			break
		}
		b.WriteString(s[:cut])
		b.WriteString("\r\n\t")
		s = s[cut:]
	}
	b.WriteString(s)
	return b.String()
}

// Sealer adds ARC sets, as a forwarder does (RFC 8617 section 5.1). The server
// judges the chains of others and adds none of its own: measurements and tests
// make them with it. It is safe for concurrent use.
type Sealer struct {
	Domain string
	Key    *Key
	// Headers is h= of the message signature, in lower case; empty takes what
	// Signer signs, and the DKIM-Signature fields.
	Headers []string
}

// ErrCannotSeal says that the message's chain has failed and was sealed as
// such, has too many sets, or that its sets are broken (RFC 8617 section
// 5.1.2): it goes out without a seal.
var ErrCannotSeal = errors.New("mailauth: the chain can't be continued")

// Seal returns the three fields of a new set, each ended by CRLF, to be put
// before the message. Chain and results are what we found on arrival, before
// anything was changed: Result.ARC, and the value of Result.Header after the
// field's name.
func (s *Sealer) Seal(raw []byte, chain Chain, results string, now time.Time) ([]byte, error) {
	m := parse(raw)
	sets, reason := m.sets()
	if reason != "" || len(sets) >= maxInstances || chain.Result == TempError ||
		len(sets) > 0 && sets[len(sets)-1].sealTags.get("cv") == "fail" {
		return nil, ErrCannotSeal
	}
	i := strconv.Itoa(len(sets) + 1)
	t := strconv.FormatInt(now.Unix(), 10)
	found := "ARC-Authentication-Results: i=" + i + "; " + refold(results) + "\r\n"
	signed, err := s.message(m, i, t)
	if err != nil {
		return nil, err
	}
	cv := string(chain.Result)
	if cv == string(Fail) {
		sets = nil // RFC 8617 section 5.1.2: a failed chain's seal covers its own set only
	}
	data := relaxedField(relaxedField(m.sealed(sets), []byte(found)), signed)
	head := "ARC-Seal: a=" + string(s.Key.Kind) + "-sha256;\r\n\tb="
	tail := ";\r\n\tcv=" + cv + "; d=" + toASCII(s.Domain) + "; i=" + i + "; s=" + s.Key.Selector + "; t=" + t
	seal, err := s.Key.finish(data, head, tail)
	if err != nil {
		return nil, err
	}
	return append(append(seal, signed...), found...), nil
}

// refold makes sure that a value's lines are one field's.
func refold(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\r' || r == '\n' })
	for i, l := range lines {
		lines[i] = strings.Trim(l, spaces)
	}
	return strings.Trim(strings.Join(lines, "\r\n\t"), spaces)
}

// message makes the ARC-Message-Signature.
func (s *Sealer) message(m *mail, i, t string) ([]byte, error) {
	names := s.Headers
	if len(names) == 0 {
		names = m.namesToSign()
		for range m.fields["dkim-signature"] {
			names = append(names, "dkim-signature")
		}
	}
	hash := m.bodyHash(true, -1)
	head := "ARC-Message-Signature: a=" + string(s.Key.Kind) + "-sha256;\r\n\tb="
	tail := ";\r\n\tbh=" + base64.StdEncoding.EncodeToString(hash.sum[:]) +
		"; c=relaxed/relaxed; d=" + toASCII(s.Domain) + ";\r\n\th=" + strings.Join(names, ":") +
		";\r\n\ti=" + i + "; s=" + s.Key.Selector + "; t=" + t
	return s.Key.finish(m.signedFields(&signature{index: -1, headRelaxed: true, names: names}, ""), head, tail)
}
