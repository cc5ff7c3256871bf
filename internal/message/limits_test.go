package message

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// within fails the test if do takes longer: by far too long for code that is
// linear, on a slow machine too, far too short for code that is not.
func within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > limit {
		t.Errorf("took %v, more than %v", took, limit)
	}
}

func TestUnclosedMultiparts(t *testing.T) {
	var b strings.Builder
	for i := range 25 {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\nthe end")
	within(t, 5*time.Second, func() {
		m := Parse([]byte(b.String()))
		check(t, m)
		if got := m.Text(); got != "the end" {
			t.Errorf("text %q", got)
		}
	})
}

func TestDeepNesting(t *testing.T) {
	var multi, rfc822 strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&multi, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		rfc822.WriteString("Content-Type: message/rfc822\r\n\r\n")
	}
	for name, raw := range map[string]string{"multipart": multi.String(), "message": rfc822.String()} {
		t.Run(name, func(t *testing.T) {
			var m *Message
			within(t, 5*time.Second, func() { m = Parse([]byte(raw)) })
			check(t, m)
			if len(m.Warnings) == 0 {
				t.Error("no warning")
			}
			if !strings.Contains(m.Text(), "Content-Type") {
				t.Error("what is too deep is not text")
			}
		})
	}
}

func TestManyParts(t *testing.T) {
	raw := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 5000) + "--b\n\nlast\n--b--\n"
	m := Parse([]byte(raw))
	check(t, m)
	if n := len(m.Root.Children); n != MaxParts-1 {
		t.Errorf("%d parts", n)
	}
	if text := m.Text(); !strings.HasSuffix(text, "last\n--b--") {
		t.Errorf("what is past the limit is lost: ends in %q", text[max(0, len(text)-40):])
	}
}

func TestManyFields(t *testing.T) {
	raw := strings.Repeat("X: y\n", 3*MaxFields) + "\nbody\n"
	m := Parse([]byte(raw))
	check(t, m)
	if n := len(m.Header.Fields); n != MaxFields {
		t.Errorf("%d fields", n)
	}
	if !strings.HasSuffix(m.Text(), "X: y\n\nbody") {
		t.Error("what is past the limit is lost")
	}
}

// TestEncodedNesting: each layer of base64 is decoded once, and all layers
// together into no more than four times what the message is long.
func TestEncodedNesting(t *testing.T) {
	inner := "Subject: innermost\n\nfound"
	for range 3 {
		inner = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + toBase64(inner)
	}
	m := Parse([]byte(inner))
	check(t, m)
	if !strings.Contains(m.Text(), "innermost") || !strings.Contains(m.Text(), "found") {
		t.Errorf("text %q", m.Text())
	}
	big := strings.Repeat("Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n", 60) + strings.Repeat("x", 1<<20)
	within(t, 10*time.Second, func() { check(t, Parse([]byte(big))) })
}

// TestLinear feeds what makes careless parsers quadratic: openings without end.
func TestLinear(t *testing.T) {
	size := 2 << 20
	if testing.Short() {
		size >>= 3
	}
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, raw := range map[string]string{
		"encoded words open":  "Subject: " + fill("=?u?Q?a "),
		"encoded words glued": "Subject: " + fill("=?=?=?u?q?=?") + "?=",
		"one far end":         "Subject: " + fill("=?utf-8?q?a") + "?=",
		"spaces":              "Subject: " + fill(" ") + "x",
		"folds":               "Subject:" + fill("\r\n "),
		"angles":              "To: " + fill("<a,") + ">",
		"angles closed":       "To: " + fill("<a@b> "),
		"quotes":              "To: " + fill(`"\`),
		"comments":            "To: " + fill("("),
		"commas":              "To: " + fill("a,"),
		"colons":              "To: " + strings.Repeat("a", size/2) + "@" + strings.Repeat(":", size/2),
		"ids":                 "References: " + fill("<a@b>") + "\nIn-Reply-To: " + fill("<c@d>"),
		"parameters":          "Content-Type: text/plain; " + fill(`a="x;`),
		"quoted parameters":   "Content-Type: text/plain; " + fill(`a="x" y`),
		"continuations":       "Content-Type: text/plain; " + fill(`n*1=x;`),
		"dashes":              "Content-Type: multipart/mixed; boundary=b\n\n" + fill("--\n"),
		"almost boundaries":   "Content-Type: multipart/mixed; boundary=b\n\n" + fill("--bb\n"),
		"no boundaries":       fill("Content-Type: multipart/mixed\n\n"),
		"junk":                fill("junk\nA: b\n"),
		"HTML tags":           "Content-Type: text/html\n\n" + fill("<blockquote><pre><li>x"),
		"HTML open":           "Content-Type: text/html\n\n" + fill("<!-- <a "),
		"HTML styles":         "Content-Type: text/html\n\n" + fill("<style></styl"),
		"flowed":              "Content-Type: text/plain; format=flowed\n\n" + fill(">>>>>> a \n"),
		"re":                  "Subject: " + fill("re:[x]"),
		"forwarded":           "Subject: " + fill("(fwd)"),
		"dates":               fill("Received: x; (((\n"),
		"bad equals signs":    "Content-Transfer-Encoding: quoted-printable\n\n" + fill("= "),
		"padding":             "Content-Transfer-Encoding: base64\n\n" + fill("A==="),
	} {
		t.Run(name, func(t *testing.T) {
			within(t, 30*time.Second, func() {
				m := Parse([]byte(raw))
				check(t, m)
				SubjectBase(m.Subject())
			})
		})
	}
}
