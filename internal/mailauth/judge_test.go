package mailauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/authres"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"

	"sijill/internal/resolve/resolvetest"
)

var arrival = time.Date(2026, 3, 14, 9, 30, 0, 0, time.UTC)

const letter = "From: Amina <amina@diwan.example>\r\n" +
	"To: =?utf-8?q?Zayd?= <zayd@bayt.example>\r\n" +
	"Subject: The  seal\r\n" +
	"Date: Sat, 14 Mar 2026 09:29:00 +0000\r\n" +
	"Message-ID: <1@diwan.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"\r\n" +
	"Each letter is copied   \r\n\tinto a register,\r\n\r\nand sealed.\r\n\r\n\r\n"

const baseZone = `
diwan.example.             TXT "v=spf1 ip4:192.0.2.7 include:relay.example -all"
relay.example.             TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.diwan.example.      TXT "v=DMARC1; p=reject; sp=quarantine; rua=mailto:d@diwan.example"
lists.example.             TXT "v=spf1 ip4:203.0.113.9 -all"
`

// office is a domain that signs, and the DNS that says so.
type office struct {
	*resolvetest.Server
	keys *Keys
}

func newOffice(t testing.TB, domain, zone string) *office {
	t.Helper()
	o := &office{resolvetest.New(t, zone), &Keys{Domain: domain}}
	if _, err := o.keys.Generate(arrival); err != nil {
		t.Fatal(err)
	}
	o.publish(t, o.keys)
	return o
}

func (o *office) publish(t testing.TB, keys *Keys) {
	t.Helper()
	list, err := keys.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		o.Add(t, r.Zone()+"\n")
	}
}

func (o *office) sign(t testing.TB, raw string) []byte {
	t.Helper()
	head, err := o.keys.Signer().Sign([]byte(raw), arrival)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, raw...)
}

func (o *office) judge(t testing.TB, raw []byte, p Peer) *Result {
	t.Helper()
	return Judge(t.Context(), Options{DNS: o.Client(t), Time: arrival, AuthservID: "mx.bayt.example"}, raw, p)
}

func peer(t testing.TB, ip, from string) Peer {
	return Peer{IP: mustAddr(t, ip), Helo: "mail.diwan.example", MailFrom: from}
}

func TestJudgeGenuine(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	raw := o.sign(t, letter)
	r := o.judge(t, raw, peer(t, "192.0.2.7", "amina@diwan.example"))
	if r.SPF.Result != Pass || r.DMARC.Result != Pass || !r.DMARC.SPF || !r.DMARC.DKIM || r.Froms != 1 || r.ARC.Result != None {
		t.Errorf("%+v", r)
	}
	if len(r.Signatures) != 2 || r.Signatures[0].Result != Pass || r.Signatures[1].Result != Pass || r.Signatures[0].Bits != 2048 || r.Signatures[0].Weak {
		t.Errorf("%+v", r.Signatures)
	}
	if d, why := r.Disposition(Overrides{}); d != Accept || why != ReasonPass {
		t.Error(d, why)
	}
	id, results, err := authres.Parse(strings.TrimPrefix(r.Header, "Authentication-Results:"))
	if err != nil || id != "mx.bayt.example" || len(results) != 5 {
		t.Errorf("%q: %v, %v, %v", r.Header, id, results, err)
	}
	for line := range strings.SplitSeq(r.Header, "\r\n") {
		if len(line) > 998 {
			t.Error("a line is too long")
		}
	}
}

// TestJudgeForged lets somebody else write in the domain's name.
func TestJudgeForged(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	good := string(o.sign(t, letter))
	for _, test := range []struct {
		name, raw, ip, from string
		want                Disposition
		why                 Reason
	}{
		{"no signature, other server", letter, "203.0.113.5", "amina@diwan.example", Reject, ReasonReject},
		{"passes for another domain", letter, "203.0.113.9", "x@lists.example", Reject, ReasonReject},
		{"text changed", strings.Replace(good, "sealed", "lost", 1), "203.0.113.5", "x@lists.example", Reject, ReasonReject},
		{"subject changed", strings.Replace(good, "The  seal", "The sum", 1), "203.0.113.5", "x@lists.example", Reject, ReasonReject},
		{"second subject", "Subject: Other\r\n" + good, "203.0.113.5", "x@lists.example", Reject, ReasonReject},
		{"spaces changed", strings.Replace(good, "The  seal", "The seal", 1), "203.0.113.5", "x@lists.example", Accept, ReasonPass},
		{"second from on top", "From: x@lists.example\r\n" + good, "192.0.2.7", "amina@diwan.example", Reject, ReasonFroms},
		{"second from, space before its colon", "From : x@lists.example\r\n" + good, "192.0.2.7", "amina@diwan.example", Reject, ReasonFroms},
		{"subdomain", strings.ReplaceAll(letter, "diwan.example", "east.diwan.example"), "203.0.113.5", "x@lists.example", Quarantine, ReasonQuarantine},
		{"two authors, one forged", strings.Replace(letter, "Amina <", "x@lists.example, Amina <", 1), "203.0.113.9", "x@lists.example", Reject, ReasonReject},
		{"no author", strings.Replace(letter, "From:", "X-From:", 1), "192.0.2.7", "amina@diwan.example", Quarantine, ReasonNoAuthor},
		{"author without domain", strings.Replace(letter, "<amina@diwan.example>", "<amina>", 1), "192.0.2.7", "amina@diwan.example", Quarantine, ReasonNoAuthor},
		{"domain without policy", strings.ReplaceAll(letter, "diwan.example", "plain.example"), "203.0.113.5", "x@plain.example", Accept, ReasonNoPolicy},
	} {
		r := o.judge(t, []byte(test.raw), peer(t, test.ip, test.from))
		if d, why := r.Disposition(Overrides{}); d != test.want || why != test.why {
			t.Errorf("%s: %s, %s; want %s, %s (%+v)", test.name, d, why, test.want, test.why, r)
		}
	}
}

// TestReplay judges again years later, without DNS and after the keys have gone.
func TestReplay(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	o.Fail("broken.example", dns.RcodeServerFailure)
	raw := o.sign(t, letter)
	for _, p := range []Peer{peer(t, "192.0.2.7", "amina@diwan.example"), peer(t, "198.51.100.2", "x@relay.example"),
		peer(t, "203.0.113.1", "x@broken.example"), peer(t, "203.0.113.1", "x@nowhere.example"), peer(t, "2001:db8::7", "")} {
		r := o.judge(t, raw, p)
		kept, err := r.Evidence.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEvidence(kept)
		if err != nil {
			t.Fatal(err)
		}
		again := Judge(t.Context(), Options{DNS: Replay(e), Time: r.Time, AuthservID: "mx.bayt.example"}, raw, p)
		if !reflect.DeepEqual(text(t, r), text(t, again)) {
			t.Errorf("%s\nagain\n%s", text(t, r), text(t, again))
		}
		if r.DMARC.Result != Pass {
			t.Errorf("%+v", r)
		}
		if second, err := again.Evidence.Bytes(); err != nil || !bytes.Equal(second, kept) {
			t.Errorf("the evidence changed: %s\n%s", kept, second)
		}
		// Without its evidence nothing passes any more.
		if none := Judge(t.Context(), Options{DNS: Replay(Evidence{}), Time: r.Time}, raw, p); none.DMARC.Result != TempError || none.Signatures[0].Result != TempError {
			t.Errorf("judged without evidence: %+v", none)
		}
	}
}

func text(t *testing.T, r *Result) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEvidenceIsShared gives messages judged by the same answers the same bytes.
func TestEvidenceIsShared(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	c := o.Client(t)
	var ids [2][32]byte
	for i := range ids {
		raw := o.sign(t, strings.Replace(letter, "1@diwan", fmt.Sprint(i)+"@diwan", 1))
		r := Judge(t.Context(), Options{DNS: c, Time: arrival}, raw, peer(t, "192.0.2.7", "amina@diwan.example"))
		id, err := r.Evidence.ID()
		if err != nil || len(r.Evidence.Answers) != 4 {
			t.Fatal(err, r.Evidence)
		}
		ids[i] = id
	}
	if ids[0] != ids[1] {
		t.Error("the evidence differs")
	}
}

// TestDNSFails keeps what can't be known from passing, and from being refused.
func TestDNSFails(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	raw := o.sign(t, letter)
	for _, k := range o.keys.All {
		o.Fail(k.Selector+"._domainkey.diwan.example", dns.RcodeServerFailure)
	}
	r := o.judge(t, raw, peer(t, "203.0.113.9", "x@lists.example"))
	if d, why := r.Disposition(Overrides{}); r.DMARC.Result != TempError || d != Quarantine || why != ReasonUndecided {
		t.Errorf("keys: %s, %s, %+v", d, why, r.DMARC)
	}
	o.Fail("_dmarc.diwan.example", dns.RcodeServerFailure)
	r = o.judge(t, raw, peer(t, "203.0.113.9", "x@lists.example"))
	if d, why := r.Disposition(Overrides{}); r.DMARC.Result != TempError || d != Accept || why != ReasonUndecided {
		t.Errorf("policy: %s, %s, %+v", d, why, r.DMARC)
	}
}

// TestForwarded sends through a list that changes the message and seals it.
func TestForwarded(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	list := &Keys{Domain: "lists.example"}
	if _, err := list.Generate(arrival); err != nil {
		t.Fatal(err)
	}
	o.publish(t, list)
	raw := o.sign(t, letter)
	first := Judge(t.Context(), Options{DNS: o.Client(t), Time: arrival, AuthservID: "lists.example"}, raw, peer(t, "192.0.2.7", "amina@diwan.example"))
	changed := strings.Replace(string(raw), "The  seal", "[list] The seal", 1) + "-- \r\nthe list\r\n"
	for _, key := range list.All {
		seal := Sealer{Domain: "lists.example", Key: key}
		_, results, _ := strings.Cut(first.Header, ":")
		set, err := seal.Seal([]byte(changed), first.ARC, results, arrival)
		if err != nil {
			t.Fatal(err)
		}
		sealed := append(set, changed...)
		r := o.judge(t, sealed, peer(t, "203.0.113.9", "bounce@lists.example"))
		if r.ARC.Result != Pass || r.ARC.Sealers[0] != "lists.example" || r.DMARC.Result != Fail {
			t.Fatalf("%+v, %+v", r.ARC, r.DMARC)
		}
		for _, test := range []struct {
			o    Overrides
			want Disposition
			why  Reason
		}{
			{Overrides{}, Reject, ReasonReject},
			{Overrides{TrustedSealers: []string{"other.example"}}, Reject, ReasonReject},
			{Overrides{TrustedSealers: []string{"Lists.Example"}}, Accept, ReasonARC},
			{Overrides{Accept: []string{"diwan.example"}}, Accept, ReasonAllowed},
			{Overrides{NeverReject: true}, Quarantine, ReasonMilder},
		} {
			if d, why := r.Disposition(test.o); d != test.want || why != test.why {
				t.Errorf("%+v: %s, %s", test.o, d, why)
			}
		}
		// Another author under the same seal is nobody's word.
		other := strings.Replace(string(sealed), "Amina <amina@", "Omar <omar@", 1)
		r = o.judge(t, []byte(other), peer(t, "203.0.113.9", "bounce@lists.example"))
		if d, _ := r.Disposition(Overrides{TrustedSealers: []string{"lists.example"}}); r.ARC.Result != Fail || d != Reject {
			t.Errorf("%+v: %s", r.ARC, d)
		}
		// A second seal on top.
		set, err = seal.Seal(sealed, Chain{Result: Pass}, results, arrival)
		if err != nil {
			t.Fatal(err)
		}
		if r := o.judge(t, append(set, sealed...), peer(t, "203.0.113.9", "")); r.ARC.Result != Pass || len(r.ARC.Sealers) != 2 {
			t.Errorf("%+v", r.ARC)
		}
	}
}

// TestSignedByUsVerifiesElsewhere has another implementation check our signatures.
func TestSignedByUsVerifiesElsewhere(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	c := o.Client(t)
	raw := o.sign(t, letter)
	list, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		a, err := c.TXT(t.Context(), name)
		return a.Records, err
	}})
	if err != nil || len(list) != 2 || list[0].Err != nil || list[1].Err != nil {
		t.Errorf("%v: %+v", err, list)
	}
	for line := range bytes.SplitSeq(raw[:len(raw)-len(letter)], crlf) {
		if len(line) > 500 {
			t.Errorf("a line of %d", len(line))
		}
	}
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Cc", "MIME-Version", "Content-Type"} {
		bad := append([]byte(name+": x@diwan.example\r\n"), raw...)
		for _, s := range o.judge(t, bad, peer(t, "203.0.113.1", "")).Signatures {
			if s.Result == Pass {
				t.Errorf("%s can be added", name)
			}
		}
	}
	if _, err := o.keys.Signer().Sign([]byte("From: a@b\r\n"+letter), arrival); !errors.Is(err, ErrCannotSign) {
		t.Errorf("signed two From: %v", err)
	}
}

// TestSignatureRules changes one thing about a signature that is right.
func TestSignatureRules(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	weak := &Keys{Domain: "diwan.example", All: []*Key{rsaKey(t, 1024, "weak"), rsaKey(t, 1024, "nothere")}}
	o.publish(t, &Keys{Domain: weak.Domain, All: weak.All[:1]})
	o.Add(t, `revoked._domainkey.diwan.example. TXT "v=DKIM1; p="`+"\n"+
		`tiny._domainkey.diwan.example. TXT "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKtn2hjs8WTD0fAdgzJI0Y2Z0gG5i3o9J9gcqkEeI1bXxEpWzQsRR+3GeYAjB2QSTw1n4VI8jyJ3c8lRr4GvqrECAwEAAQ=="`+"\n")
	now := arrival
	sign := func(k *Key, change func(string) string, body string) *Signature {
		head := "DKIM-Signature: v=1; a=" + string(k.Kind) + "-sha256; c=relaxed/relaxed; d=diwan.example; s=" + k.Selector +
			"; h=from:to:subject:date; bh=" + bodyHash64(body) + "; b="
		head = change(head)
		m := parse([]byte(letter))
		tags, err := parseTags(strings.TrimPrefix(head, "DKIM-Signature:"))
		if err != nil {
			t.Fatal(err)
		}
		fields := m.signedFields(&signature{index: -1, headRelaxed: true, names: tags.names("h")}, "")
		field, err := k.finish(fields, head, "")
		if err != nil {
			t.Fatal(err)
		}
		top, _, _ := strings.Cut(letter, "\r\n\r\n")
		r := Judge(t.Context(), Options{DNS: o.Client(t), Time: now}, []byte(string(field)+top+"\r\n\r\n"+body), peer(t, "203.0.113.1", ""))
		return r.Signatures[0]
	}
	same := func(s string) string { return s }
	add := func(tag string) func(string) string {
		return func(s string) string { return strings.Replace(s, "bh=", tag+"; bh=", 1) }
	}
	swap := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	key := o.keys.All[0]
	body := "one\r\ntwo\r\n"
	for _, test := range []struct {
		name   string
		key    *Key
		change func(string) string
		want   Verdict
		reason string
	}{
		{"as it is", key, same, Pass, ""},
		{"Ed25519", o.keys.All[1], same, Pass, ""},
		{"1024 bits", weak.All[0], same, Pass, ""},
		{"no key", weak.All[1], same, PermError, reasonNoKey},
		{"revoked", key, swap("s="+key.Selector, "s=revoked"), PermError, reasonRevoked},
		{"512 bits", key, swap("s="+key.Selector, "s=tiny"), Fail, reasonShort},
		{"key of another kind", key, swap("s="+key.Selector, "s="+o.keys.All[1].Selector), PermError, reasonKeyMismatch},
		{"expired", key, add(fmt.Sprint("x=", now.Unix()-1)), Fail, reasonExpired},
		{"expires later", key, add(fmt.Sprint("x=", now.Unix()+1)), Pass, ""},
		{"expires before signed", key, add(fmt.Sprint("t=", now.Unix(), "; x=", now.Unix()-5)), PermError, reasonTime},
		{"clock a little ahead", key, add(fmt.Sprint("t=", now.Unix()+300)), Pass, ""},
		{"from the future", key, add(fmt.Sprint("t=", now.Unix()+3600)), Fail, reasonFuture},
		{"l= of all", key, add("l=10"), Pass, ""},
		{"l= beyond", key, add("l=11"), PermError, reasonLength},
		{"l= of none", key, func(s string) string {
			return strings.Replace(add("l=0")(s), bodyHash64(body), bodyHash64(""), 1)
		}, Policy, reasonPartial},
		{"identity below", key, add("i=x@east.diwan.example"), Pass, ""},
		{"identity elsewhere", key, add("i=x@eastdiwan.example"), PermError, reasonIdentity},
		{"From not signed", key, swap("h=from:", "h="), PermError, reasonFrom},
		{"SHA-1", key, swap("sha256", "sha1"), Fail, reasonSHA1},
		{"unknown algorithm", key, swap("rsa-sha256", "rot13"), PermError, reasonAlgorithm},
		{"unknown canonicalisation", key, swap("relaxed/relaxed", "baked"), PermError, reasonCanon},
		{"version", key, swap("v=1", "v=2"), Neutral, reasonVersion},
		{"unknown tag", key, add("zz=1"), Pass, ""},
		{"query", key, add("q=carrier/pigeon"), PermError, reasonQuery},
	} {
		s := sign(test.key, test.change, body)
		if s.Result != test.want || s.Reason != test.reason {
			t.Errorf("%s: %s (%s), want %s (%s)", test.name, s.Result, s.Reason, test.want, test.reason)
		}
		if s.Weak != (s.Result == Pass && test.key == weak.All[0] || test.reason == reasonShort) {
			t.Errorf("%s: weak is %v", test.name, s.Weak)
		}
	}
}

func TestClean(t *testing.T) {
	id := "mx.bayt.example"
	for value, forged := range map[string]bool{
		" mx.bayt.example; dmarc=pass":                true,
		" MX.Bayt.Example 1; dmarc=pass":              true,
		" mx.bayt.example.; dmarc=pass":               true,
		"\r\n\t(a ; comment) \"mx.bayt\\.example\";x": true,
		" mx.bayt.example(comment); dmarc=pass":       true,
		" <mx.bayt.example>; dmarc=pass":              true,
		" other.example; dmarc=pass":                  false,
		" other.example; x=\"mx.bayt.example\"":       false,
		" mx.bayt.example.org; dmarc=pass":            false,
		"":                                            false,
	} {
		raw := "X: 1\r\nauthentication-results :" + value + "\r\n" + letter
		got := Clean([]byte(raw), id)
		want := raw
		if forged {
			want = "X: 1\r\n" + letter
		}
		if string(got) != want {
			t.Errorf("%q: %q", value, got[:60])
		}
		if r := Judge(t.Context(), Options{DNS: fixed{}, AuthservID: id}, []byte(raw), Peer{}); (r.Forged == 1) != forged {
			t.Errorf("%q: %d forged", value, r.Forged)
		}
	}
}

func TestHeaderHoldsNoForeignSyntax(t *testing.T) {
	r := &Result{SPF: SPF{Result: Fail, Domain: "x"}, DMARC: DMARC{Result: None, Domain: "a.example; dmarc=pass"}, ARC: Chain{Result: None}}
	h := r.format("mx.example", Peer{MailFrom: "a\r\nX: y@b.example"})
	if strings.Contains(h, "X: y") || !strings.Contains(h, `header.from="a.example; dmarc=pass"`) {
		t.Error(h)
	}
}
