package mailauth

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostile judges what was made to take long. Nothing may take more than a
// few times as long as reading it.
func TestHostile(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	signed := string(o.sign(t, letter))
	one, _, _ := strings.Cut(signed, "\r\nDKIM-Signature") // the first signature
	one += "\r\n"
	names := strings.Repeat("subject:", maxSigned-1) + "from"
	var chain strings.Builder
	for i := 1; i <= maxInstances; i++ {
		fmt.Fprintf(&chain, "ARC-Seal: i=%d; a=rsa-sha256; cv=pass; d=diwan.example; s=x; b=AAAA\r\n", i)
		fmt.Fprintf(&chain, "ARC-Message-Signature: i=%d; a=rsa-sha256; d=diwan.example; s=x; h=%s; bh=AAAA; b=AAAA\r\n", i, names)
		fmt.Fprintf(&chain, "ARC-Authentication-Results: i=%d; %s\r\n", i, strings.Repeat("x", 15_000))
	}
	for name, raw := range map[string]string{
		"10,000 signatures":   strings.Repeat(one, 9000) + letter,
		"long h=":             "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=diwan.example; s=202603r; bh=AAAA; b=AAAA; h=" + strings.Repeat("from:", 200_000) + "\r\n" + letter,
		"many fields of h=":   strings.Repeat("Subject: x\r\n", 9000) + strings.Replace(one, "h=from", "h="+names, 1) + letter,
		"50 sets":             chain.String() + letter,
		"51 sets":             chain.String() + "ARC-Seal: i=51\r\n" + letter,
		"long header":         "X: " + strings.Repeat("y", 20<<20) + "\r\n" + signed,
		"many forged results": strings.Repeat("Authentication-Results: mx.bayt.example; dmarc=pass\r\n", 9000) + letter,
		"long body of spaces": signed + strings.Repeat(" \t", 10<<20),
		"long body of lines":  signed + strings.Repeat("\r\n", 10<<20) + "x",
		"LF only":             strings.ReplaceAll(signed, "\r\n", "\n") + strings.Repeat("a\n", 5<<20),
		"many authors":        strings.Replace(letter, "From: Amina <", "From: "+strings.Repeat("a@x.example, ", 50_000)+"<", 1),
		"brackets":            "Authentication-Results: " + strings.Repeat("(", 1<<20) + "\r\n" + letter,
		"nothing":             "",
	} {
		start := time.Now()
		r := o.judge(t, []byte(raw), peer(t, "203.0.113.5", "x@lists.example"))
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
		if len(r.Signatures) > maxSignatures || len(r.Evidence.Answers) > 60 {
			t.Errorf("%s: %d signatures, %d questions", name, len(r.Signatures), len(r.Evidence.Answers))
		}
		if strings.Contains(name, "sets") && r.ARC.Result != Fail {
			t.Errorf("%s: %+v", name, r.ARC)
		}
		Clean([]byte(raw), "mx.bayt.example")
	}
}

// TestSPFQuestionsAreBounded lets a domain's policy lead to ever more questions.
func TestSPFQuestionsAreBounded(t *testing.T) {
	var zone strings.Builder
	for i := range 30 {
		fmt.Fprintf(&zone, "s%d.example. TXT \"v=spf1 include:s%d.example mx:s%d.example -all\"\n", i, i+1, i)
		for j := range 10 {
			fmt.Fprintf(&zone, "s%d.example. MX 1 h%d-%d.example.\n", i, i, j)
		}
	}
	zone.WriteString("loop.example. TXT \"v=spf1 redirect=loop.example\"\n")
	zone.WriteString("void.example. TXT \"v=spf1 a:n1.example a:n2.example a:n3.example +all\"\n")
	o := newOffice(t, "diwan.example", zone.String())
	for domain, want := range map[string]Verdict{"s0.example": PermError, "loop.example": PermError, "void.example": PermError} {
		rec := NewRecorder(o.Client(t))
		got := checkSPF(t.Context(), rec, peer(t, "203.0.113.5", "x@"+domain))
		if n := len(rec.Evidence().Answers); got.Result != want || n > 111 {
			t.Errorf("%s: %s after %d questions", domain, got.Result, n)
		}
	}
}

// TestBytesStay makes sure that no check writes into the message.
func TestBytesStay(t *testing.T) {
	o := newOffice(t, "diwan.example", baseZone)
	raw := o.sign(t, letter)
	before := bytes.Clone(raw)
	o.judge(t, raw, peer(t, "192.0.2.7", "amina@diwan.example"))
	Clean(raw, "x")
	o.sign(t, string(raw))
	if !bytes.Equal(raw, before) {
		t.Error("the bytes changed")
	}
}
