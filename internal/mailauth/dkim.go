package mailauth

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"
)

// Verdict is the outcome of one check, in the words of RFC 8601 section 2.7.
type Verdict string

// The verdicts. Which of them a check may give is said where it is described.
const (
	None      Verdict = "none"
	Pass      Verdict = "pass"
	Fail      Verdict = "fail"
	SoftFail  Verdict = "softfail"
	Neutral   Verdict = "neutral"
	Policy    Verdict = "policy"
	TempError Verdict = "temperror"
	PermError Verdict = "permerror"
)

// Signature is what became of one DKIM signature.
type Signature struct {
	Domain    string    `json:"domain,omitempty"`   // d=, lower case
	Selector  string    `json:"selector,omitempty"` // s=
	Identity  string    `json:"identity,omitempty"` // i=
	Algorithm string    `json:"algorithm,omitempty"`
	Bits      int       `json:"bits,omitempty"` // length of the key
	Signed    []string  `json:"signed,omitempty"`
	Time      time.Time `json:"time,omitzero"`    // t=
	Expires   time.Time `json:"expires,omitzero"` // x=
	// Result is pass; fail; policy, where the signature is right and doesn't
	// count all the same; temperror; permerror; or neutral, where it can't be read.
	Result Verdict `json:"result"`
	Reason string  `json:"reason,omitempty"` // why it doesn't pass, for people
	// Weak marks an RSA key of less than 2048 bits.
	Weak bool `json:"weak,omitempty"`
	// Testing says that the domain only tries DKIM out (t=y).
	Testing bool `json:"testing,omitempty"`

	signature
}

// signature is what a DKIM-Signature and an ARC-Message-Signature share.
type signature struct {
	index                    int // of the field
	headRelaxed, bodyRelaxed bool
	length                   int64 // l=, -1 where there is none
	bodyHash, bytes          []byte
	names                    []string
}

// skew is how far other people's clocks may be ahead.
const skew = 15 * time.Minute

// readSignature reads one DKIM-Signature; Result is empty where it may be verified.
func (m *mail) readSignature(index int, now time.Time) *Signature {
	s := &Signature{signature: signature{index: index}}
	tags, err := parseTags(m.value(index))
	if err != nil {
		return s.is(Neutral, reasonTags)
	}
	s.Domain, s.Selector = strings.ToLower(tags.compact("d")), tags.compact("s")
	s.Algorithm, s.Identity = tags.compact("a"), tags.compact("i")
	if v := tags.get("v"); v != "1" {
		return s.is(Neutral, reasonVersion)
	}
	if s.read(s, tags); s.Result != "" {
		return s
	}
	if s.Identity == "" {
		s.Identity = "@" + s.Domain
	} else if !below(s.Identity, s.Domain) {
		return s.is(PermError, reasonIdentity)
	}
	if !slices.Contains(s.names, "from") {
		return s.is(PermError, reasonFrom)
	}
	var ok bool
	if s.Expires, ok = tags.time("x"); !ok || !s.Expires.IsZero() && !s.Expires.After(s.Time) {
		return s.is(PermError, reasonTime)
	}
	switch q := tags.names("q"); {
	case q != nil && !slices.Contains(q, "dns/txt"):
		return s.is(PermError, reasonQuery)
	case !s.Expires.IsZero() && now.After(s.Expires):
		return s.is(Fail, reasonExpired)
	case s.Time.After(now.Add(skew)):
		return s.is(Fail, reasonFuture)
	case m.headerTooLong():
		return s.is(PermError, reasonHeader)
	}
	return s
}

// read takes the tags that ARC has as well.
func (g *signature) read(s *Signature, tags tagList) {
	for _, name := range []string{"a", "b", "bh", "d", "h", "s"} {
		if tags.compact(name) == "" && (name != "h" || !tags.has("h")) {
			s.is(PermError, reasonMissing)
			return
		}
	}
	var ok1, ok2, ok3, ok4 bool
	g.bytes, ok1 = tags.base64("b")
	g.bodyHash, ok2 = tags.base64("bh")
	s.Time, ok3 = tags.time("t")
	g.length, ok4 = tags.number("l")
	g.names = tags.names("h")
	s.Signed = g.names
	switch {
	case !ok1 || !ok2 || len(g.names) > maxSigned || !isName(s.Domain) || !isName(s.Selector):
		s.is(Neutral, reasonTags)
	case !ok3:
		s.is(PermError, reasonTime)
	case !ok4:
		s.is(PermError, reasonLength)
	case s.Algorithm == "rsa-sha1":
		s.is(Fail, reasonSHA1) // RFC 8301 section 3.1
	case s.Algorithm != "rsa-sha256" && s.Algorithm != "ed25519-sha256":
		s.is(PermError, reasonAlgorithm)
	case !g.canon(tags):
		s.is(PermError, reasonCanon)
	}
}

// canon reads c= (RFC 6376 section 3.5).
func (g *signature) canon(tags tagList) bool {
	c, ok := tags.lookup("c")
	if !ok {
		return true
	}
	head, body, _ := strings.Cut(dropSpaces(c), "/")
	g.headRelaxed, g.bodyRelaxed = head == "relaxed", body == "relaxed"
	return (g.headRelaxed || head == "simple") && (g.bodyRelaxed || body == "simple" || body == "")
}

func (s *Signature) is(v Verdict, reason string) *Signature {
	s.Result, s.Reason = v, reason
	return s
}

// isName tells whether s may be a name in DNS; it needs no dot.
func isName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`"\@;:/,()<>[]`, c) >= 0 {
				return false
			}
		}
	}
	return len(s) <= 253
}

// below tells whether the identity is at the domain or below it.
func below(identity, domain string) bool {
	_, at, ok := cutLast(identity, '@')
	at = strings.ToLower(at)
	return ok && (at == domain || strings.HasSuffix(at, "."+domain))
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// verify finishes a signature that could be read.
func (m *mail) verify(ctx context.Context, from DNS, s *Signature) {
	key, v, reason := fetchKey(ctx, from, s)
	if v != "" {
		s.is(v, reason)
		return
	}
	s.Testing = key.testing
	if _, at, _ := cutLast(s.Identity, '@'); key.strict && !strings.EqualFold(at, s.Domain) {
		s.is(PermError, reasonIdentity)
		return
	}
	m.check(&key, s, "dkim-signature")
}

// fetchKey looks up the signature's key. v is empty where it can be used.
func fetchKey(ctx context.Context, from DNS, s *Signature) (k publicKey, v Verdict, reason string) {
	list, st := texts(ctx, from, s.Selector+"._domainkey."+s.Domain)
	switch st {
	case unknown:
		return k, TempError, reasonKeyTemp
	case absent, nobody:
		return k, PermError, reasonNoKey
	}
	// Several records are undefined (RFC 6376 section 3.6.2.2): the first that
	// can be used is taken.
	for i, record := range list {
		if got, why := parseKey(record); i == 0 || why == "" {
			if k, reason = got, why; why == "" {
				break
			}
		}
	}
	s.Bits, s.Weak = k.bits, k.kind == "rsa" && k.bits > 0 && k.bits < goodRSA
	switch {
	case reason == reasonShort:
		return k, Fail, reason
	case reason != "":
		return k, PermError, reason
	case !k.fits(s.Algorithm):
		return k, PermError, reasonKeyMismatch
	}
	return k, "", ""
}

// check verifies the body's hash and the signature, and says what was left
// open by a signature that is right.
func (m *mail) check(key *publicKey, s *Signature, own string) {
	h := m.bodyHash(s.bodyRelaxed, s.length)
	if s.length > h.total {
		s.is(PermError, reasonLength) // RFC 6376 section 3.5
		return
	}
	if !bytes.Equal(h.sum[:], s.bodyHash) {
		s.is(Fail, reasonBody)
		return
	}
	data := withoutEnd(canonField(m.signedFields(&s.signature, own), withoutSignature(nil, m.field(s.index)), s.headRelaxed))
	switch {
	case !key.verify(data, s.bytes):
		s.is(Fail, reasonSignature)
	case s.length >= 0 && s.length < h.total:
		s.is(Policy, reasonPartial)
	case own != arcMessage && m.added(&s.signature):
		s.is(Policy, reasonAdded)
	default:
		s.is(Pass, "")
	}
}

func withoutEnd(b []byte) []byte { return bytes.TrimSuffix(b, crlf) }

// signedFields returns the fields of h=, canonical: of one name the lowest
// first, those that aren't there being passed over (RFC 6376 section 5.4.2).
// The signature's own field never counts.
func (m *mail) signedFields(g *signature, own string) []byte {
	var data []byte
	taken := make(map[string]int, len(g.names))
	for _, name := range g.names {
		at := m.fields[name]
		n := len(at) - 1 - taken[name]
		if name == own && n >= 0 && at[n] == g.index {
			n--
			taken[name]++
		}
		if n < 0 {
			continue
		}
		taken[name]++
		data = canonField(data, m.field(at[n]), g.headRelaxed)
	}
	return data
}

// single are fields that stand once in a message (RFC 5322 section 3.6, RFC
// 2045), so that readers show the first they find, which isn't the lowest.
var single = []string{"from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id",
	"content-type", "content-transfer-encoding"}

// added tells whether a field was doubled by one that the signature doesn't
// cover.
func (m *mail) added(g *signature) bool {
	for _, name := range single {
		if there := len(m.fields[name]); there > 1 {
			signed := 0
			for _, n := range g.names {
				if n == name {
					signed++
				}
			}
			if signed > 0 && signed < there {
				return true
			}
		}
	}
	return false
}
