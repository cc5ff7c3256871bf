package mailauth

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestPolicyRecords(t *testing.T) {
	for txt, want := range map[string]string{
		"v=DMARC1; p=reject":                        "reject reject reject false true",
		"v=DMARC1;p=none;sp=reject;np=quarantine":   "none reject quarantine false true",
		"v=DMARC1; p=quarantine; pct=0; foo=bar":    "quarantine quarantine quarantine true true",
		"v=DMARC1; p=quarantine; pct=20":            "quarantine quarantine quarantine false true",
		"v=DMARC1; p=reject; t=y;":                  "reject reject reject true true",
		"v=DMARC1; p=bogus; rua=mailto:a@b.example": "none none none false true",
		"v=DMARC1; p=bogus":                         "none none none false false",
		"v=DMARC2; p=reject":                        "   false false",
		"p=reject; v=DMARC1":                        "   false false",
		"v = DMARC1 ; P = Reject ; aspf = s":        "reject reject reject false true",
	} {
		r, ok := parsePolicy(txt)
		got := fmt.Sprint(r.p, " ", r.policy(true, true), " ", r.policy(true, false), " ", r.testing, " ", ok)
		if got != want {
			t.Errorf("%q: %q, want %q", txt, got, want)
		}
	}
}

func TestAlignment(t *testing.T) {
	for _, test := range []struct {
		passed, author  string
		relaxed, strict bool
	}{
		{"diwan.example", "diwan.example", true, true},
		{"east.diwan.example", "diwan.example", true, false},
		{"east.diwan.example", "west.diwan.example", true, false},
		{"a.co.uk", "b.co.uk", false, false},
		{"co.uk", "b.co.uk", false, false},
		{"xdiwan.example", "diwan.example", false, false},
		{"DIWAN.example.", "diwan.example", true, true},
		{"مثال.example", "xn--mgbh0fb.example", true, true},
		{"", "diwan.example", false, false},
	} {
		if aligned(test.passed, test.author, false) != test.relaxed || aligned(test.passed, test.author, true) != test.strict {
			t.Errorf("%+v", test)
		}
	}
}

func TestKeys(t *testing.T) {
	ks := &Keys{Domain: "diwan.example"}
	if _, err := ks.Generate(arrival); err != nil || len(ks.Signer().keys) != 2 {
		t.Fatal(err, ks)
	}
	old := ks.Signer()
	if _, err := ks.Generate(arrival); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(ks.Signer().keys, old.keys) || len(ks.All) != 4 || ks.All[2].Selector == ks.All[0].Selector {
		t.Error("a coming key signs")
	}
	if !ks.Activate(arrival.Add(time.Hour)) || ks.Signer().keys[0] != ks.All[2] || ks.Activate(arrival) {
		t.Error("the keys didn't change")
	}
	if list, err := ks.Records(); err != nil || len(list) != 4 {
		t.Error("retiring keys are published too:", err)
	}
	if len(ks.Expire(arrival)) != 0 || len(ks.Expire(arrival.Add(2*time.Hour))) != 2 || len(ks.All) != 2 {
		t.Errorf("%+v", ks.All)
	}
	for _, k := range ks.All {
		b, err := k.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(k.Selector, b)
		if err != nil || again.Kind != k.Kind {
			t.Fatal(err)
		}
		r1, err1 := k.Record("diwan.example")
		r2, err2 := again.Record("diwan.example")
		if r1 != r2 || err1 != nil || err2 != nil {
			t.Error("another key came back")
		}
		if got, reason := parseKey(r1.Text); reason != "" || got.kind != string(k.Kind) {
			t.Error(reason)
		}
	}
	if _, err := ParseKey("x", []byte("junk")); err == nil {
		t.Error("junk was a key")
	}
}

// TestNames tells names that exist from those that don't, where the domain
// makes a difference (np=), and finds the policy of the domain above.
func TestNames(t *testing.T) {
	o := newOffice(t, "diwan.example", `
_dmarc.np.example.   TXT "v=DMARC1; p=none; sp=quarantine; np=reject"
real.np.example.     A 192.0.2.80
_dmarc.two.example.  TXT "v=DMARC1; p=reject"
_dmarc.two.example.  TXT "v=DMARC1; p=none"
_dmarc.try.example.  TXT "v=DMARC1; p=reject; t=y"
_dmarc.own.np.example. TXT "v=DMARC1; p=reject; adkim=s; aspf=s"
relay.example.       TXT "v=spf1 ip4:203.0.113.5 -all"
own.np.example.      TXT "v=spf1 ip4:203.0.113.5 -all"
below.own.np.example. TXT "v=spf1 ip4:203.0.113.5 -all"
`)
	for _, test := range []struct {
		author, sender string
		want           Disposition
		why            Reason
	}{
		{"np.example", "relay.example", Accept, ReasonNoPolicy},
		{"real.np.example", "relay.example", Quarantine, ReasonQuarantine},
		{"made-up.np.example", "relay.example", Reject, ReasonReject},
		{"own.np.example", "own.np.example", Accept, ReasonPass},
		{"own.np.example", "below.own.np.example", Reject, ReasonReject},
		{"two.example", "relay.example", Accept, ReasonNoPolicy},
		{"try.example", "relay.example", Quarantine, ReasonTesting},
	} {
		raw := "From: a@" + test.author + "\r\n\r\nx\r\n"
		r := o.judge(t, []byte(raw), peer(t, "203.0.113.5", "x@"+test.sender))
		if d, why := r.Disposition(Overrides{}); d != test.want || why != test.why || r.SPF.Result != Pass {
			t.Errorf("%s by %s: %s, %s; %+v", test.author, test.sender, d, why, r.DMARC)
		}
	}
}
