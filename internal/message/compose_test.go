package message

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func mustCompose(t *testing.T, d *Draft) *Message {
	t.Helper()
	raw, err := Compose(d)
	if err != nil {
		t.Fatal(err)
	}
	checkWire(t, raw)
	m := Parse(raw)
	if len(m.Warnings) > 0 {
		t.Errorf("reading it warns: %q", m.Warnings)
	}
	return m
}

// checkWire checks what SMTP asks of a message.
func checkWire(t *testing.T, raw []byte) {
	t.Helper()
	for line := range bytes.Lines(raw) {
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok || len(text) > 998 || bytes.ContainsAny(text, "\r\n\x00") {
			t.Fatalf("line %.80q of %d octets", line, len(line))
		}
	}
}

var baghdad = time.FixedZone("", 3*3600)

func full() *Draft {
	return &Draft{
		From:      Address{"هند بنت عتبة", "hind@diwan.example"},
		Sender:    Address{"", "scribe@diwan.example"},
		ReplyTo:   []Address{{"The \"Office\", of Letters", "office@diwan.example"}},
		To:        []Address{{"Müller, Jörg", "j@abroad.example"}, {"", "plain@abroad.example"}, {"J. R. \\ Smith", "jr@abroad.example"}},
		Cc:        []Address{{strings.Repeat("اسم طويل ", 30), "long@abroad.example"}},
		Bcc:       []Address{{"", `"a b"@abroad.example`}},
		Subject:   "بخصوص المعاهدة: ملاحظات على الصيغة الأخيرة من الاتفاق بين الطرفين، ومواعيد التوقيع",
		Date:      time.Date(2026, 11, 22, 4, 5, 6, 0, baghdad),
		MessageID: "one@diwan.example", Hostname: "mail.diwan.example",
		InReplyTo:  []string{"zero@abroad.example"},
		References: []string{"a@abroad.example", "b@abroad.example", "zero@abroad.example"},
		Fields:     []HeaderField{{"Auto-Submitted", "auto-replied"}, {"X-Note", "نص"}},
		Text:       "السلام عليكم\n\nنرفق لكم الوثيقة.\n",
		HTML:       "<p>السلام عليكم</p><img src=\"cid:seal@diwan.example\">",
		Files: []File{
			{Name: "ختم.png", Type: "image/png", ContentID: "seal@diwan.example", Inline: true, Data: []byte("\x89PNG\r\n\x1a\n\x00")},
			{Name: "المعاهدة بصيغتها الأخيرة قبل التوقيع النهائي من الطرفين.pdf", Type: "application/pdf", Data: bytes.Repeat([]byte{0, 255, 10}, 1000)},
			{Name: "notes \"final\".txt", Type: "text/plain", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("a\nb")), nil }},
		},
	}
}

// All that a draft holds is read back.
func TestComposeRoundTrip(t *testing.T) {
	d := full()
	m := mustCompose(t, d)
	for _, c := range []struct {
		name      string
		got, want []Address
	}{
		{"From", m.From(), []Address{d.From}}, {"Sender", m.Sender(), []Address{d.Sender}}, {"Reply-To", m.ReplyTo(), d.ReplyTo},
		{"To", m.To(), d.To}, {"Cc", m.Cc(), []Address{{strings.TrimSpace(d.Cc[0].Name), d.Cc[0].Addr}}}, {"Bcc", m.Bcc(), d.Bcc},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s is %q, want %q", c.name, c.got, c.want)
		}
	}
	if m.Subject() != d.Subject || m.MessageID() != d.MessageID || !slices.Equal(m.References(), d.References) || !slices.Equal(m.InReplyTo(), d.InReplyTo) {
		t.Errorf("subject %q, id %q, references %q", m.Subject(), m.MessageID(), m.References())
	}
	if date, ok := m.Date(); !ok || !date.Equal(d.Date) || date.Format("-0700") != "+0300" {
		t.Errorf("date %v", date)
	}
	if m.Header.Get("Auto-Submitted") != "auto-replied" || m.Header.Get("X-Note") != "نص" {
		t.Error("other fields are lost")
	}
	if got, want := m.Text(), strings.TrimSpace(d.Text); got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if html, _ := m.HTML(); !strings.Contains(html, "cid:seal@diwan.example") {
		t.Errorf("HTML %q", html)
	}
	files := m.Attachments()
	if len(files) != 3 {
		t.Fatalf("%d attachments", len(files))
	}
	for i, want := range []string{string(d.Files[0].Data), string(d.Files[1].Data), "a\nb"} {
		a, f := files[i], d.Files[i]
		if a.Name != f.Name || a.Type != f.Type || a.Inline != f.Inline || a.ContentID != f.ContentID || string(a.Part.Decoded()) != want {
			t.Errorf("attachment %d: %q %s inline %v id %q", i, a.Name, a.Type, a.Inline, a.ContentID)
		}
	}
	if !isASCII(m.Raw()) {
		t.Error("it is not ASCII")
	}
}

// Other programs read the same: Go's own and Python's libraries.
func TestComposeReadElsewhere(t *testing.T) {
	d := full()
	raw, err := Compose(d)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	words := &mime.WordDecoder{}
	if s, err := words.DecodeHeader(m.Header.Get("Subject")); err != nil || s != d.Subject {
		t.Errorf("net/mail reads the subject %q, %v", s, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 3 || to[0].Name != d.To[0].Name || to[2].Name != d.To[2].Name {
		t.Errorf("net/mail reads To %v, %v", to, err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	cmd := exec.Command(python, "-c", `
import sys, email, email.policy
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
out = [m["Subject"], m["From"].addresses[0].display_name, m["To"].addresses[0].display_name, m["To"].addresses[2].display_name]
out += [p.get_filename() for p in m.walk() if p.get_filename()]
out += [m.get_body(("plain",)).get_content().strip().replace("\r\n", "|")]
sys.stdout.buffer.write("\n".join(out).encode())`)
	cmd.Stdin = bytes.NewReader(raw)
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		d.Subject, d.From.Name, d.To[0].Name, d.To[2].Name, d.Files[0].Name, d.Files[1].Name, d.Files[2].Name,
		strings.ReplaceAll(strings.TrimSpace(d.Text), "\n", "|"),
	}, "\n")
	if string(got) != want {
		t.Errorf("Python reads\n%s\nwant\n%s", got, want)
	}
}

func TestComposeEncodings(t *testing.T) {
	for name, c := range map[string]struct{ text, encoding string }{
		"ascii":         {"plain words\n", "7bit"},
		"arabic":        {strings.Repeat("كلمات عربية ", 20), "base64"},
		"mostly ascii":  {"a line with one é in it, and then much more of plain English text\n", "quoted-printable"},
		"long line":     {strings.Repeat("word ", 300), "quoted-printable"},
		"mbox's line":   {"x\nFrom here on\n", "quoted-printable"},
		"dot":           {".\n.\n", "quoted-printable"},
		"trailing":      {"space \ntab\t\n", "quoted-printable"},
		"controls":      {"a\x00b\x7f", "quoted-printable"},
		"empty":         {"", "7bit"},
		"returns alone": {"a\rb\r\nc", "7bit"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mustCompose(t, &Draft{From: Address{"", "a@b.example"}, Text: c.text})
			if m.Root.Encoding != c.encoding {
				t.Errorf("encoding %q, want %q", m.Root.Encoding, c.encoding)
			}
			if got := m.Root.Decoded(); !bytes.Equal(got, validText(c.text)) {
				t.Errorf("decoded %q, want %q", got, validText(c.text))
			}
			if c.encoding == "quoted-printable" {
				if got, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(m.Root.Body()))); err != nil || !bytes.Equal(got, validText(c.text)) {
					t.Errorf("the standard library decodes %q, %v", got, err)
				}
			}
		})
	}
}

func TestComposeUTF8Addresses(t *testing.T) {
	d := &Draft{From: Address{"", "سالم@ديوان.example"}, To: []Address{{"", "a@ديوان.example"}}, Text: "x"}
	if !d.NeedsUTF8() {
		t.Error("a local part in Arabic needs SMTPUTF8")
	}
	m := mustCompose(t, d)
	if m.From()[0].Addr != "سالم@ديوان.example" || m.To()[0].Addr != "a@xn--mgbp4egj.example" {
		t.Errorf("from %q to %q", m.From(), m.To())
	}
	if d.From.Addr = "a@ديوان.example"; d.NeedsUTF8() {
		t.Error("a domain in Arabic needs no SMTPUTF8")
	}
	if m := mustCompose(t, d); !isASCII(m.Raw()) {
		t.Error("it is not ASCII")
	}
}

func TestComposeRefuses(t *testing.T) {
	for _, addr := range []string{"", "nobody", "a@b\r\nBcc: c@d", "a@b, c@d", "a@b>", "<a@b", "a b@c", "@b", "a@", "G: a@b;", "a@b\x00"} {
		if _, err := Compose(&Draft{From: Address{"", addr}}); !errors.Is(err, ErrAddress) {
			t.Errorf("address %q: %v", addr, err)
		}
	}
	for _, name := range []string{"", "Bcc", "content-type", "X Y", "X:", "X\r\nY", "é"} {
		d := &Draft{From: Address{"", "a@b.example"}, Fields: []HeaderField{{name, "x"}}}
		if _, err := Compose(d); !errors.Is(err, ErrField) {
			t.Errorf("field %q: %v", name, err)
		}
	}
	d := &Draft{From: Address{"", "a@b.example"}, Files: []File{{Open: func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }}}}
	if _, err := Compose(d); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("unreadable file: %v", err)
	}
}

// Nothing in a draft makes a header line of its own.
func TestComposeInjection(t *testing.T) {
	evil := "x\r\nBcc: thief@b.example\r\n\r\nbody"
	m := mustCompose(t, &Draft{
		From: Address{evil, "a@b.example"}, Subject: evil, MessageID: evil, InReplyTo: []string{evil}, References: []string{evil},
		Fields: []HeaderField{{"X-Evil", evil}}, Text: "t", Files: []File{{Name: evil, Type: evil, ContentID: evil, Data: []byte("x")}},
	})
	if len(m.Bcc()) != 0 || m.Text() != "t" || len(m.Attachments()) != 1 {
		t.Errorf("bcc %v, text %q", m.Bcc(), m.Text())
	}
}

func TestComposeMessagesWithin(t *testing.T) {
	inner := []byte("From: a@b.example\r\nSubject: inner\r\n\r\nplain\r\n")
	for name, raw := range map[string][]byte{
		"good": inner, "8bit": append(slices.Clone(inner), "\xd3\xcc\xe1\r\n"...), "bare LF": bytes.ReplaceAll(inner, []byte("\r"), nil), "no end": inner[:len(inner)-2],
	} {
		t.Run(name, func(t *testing.T) {
			d := &Draft{From: Address{"", "c@d.example"}, Subject: "Fwd: inner", Text: "see below",
				Files: []File{{Name: "inner.eml", Type: "message/rfc822", Data: raw}}}
			m := mustCompose0(t, d)
			if m.Subject() != "Fwd: inner" || len(m.Attachments()) != 1 || m.Attachments()[0].Part.Nested == nil {
				t.Fatalf("subject %q, %d attachments", m.Subject(), len(m.Attachments()))
			}
			if got := m.Attachments()[0].Part.Nested.Bytes(); !bytes.Equal(got, raw) {
				t.Errorf("inner message %q, want %q", got, raw)
			}
		})
	}
}

// mustCompose0 allows warnings: an encoded message within gives one.
func mustCompose0(t *testing.T, d *Draft) *Message {
	t.Helper()
	raw, err := Compose(d)
	if err != nil {
		t.Fatal(err)
	}
	checkWire(t, raw)
	return Parse(raw)
}

func TestComposeReport(t *testing.T) {
	d := &Draft{
		From: Address{"Mail Delivery", "postmaster@diwan.example"}, To: []Address{{"", "hind@diwan.example"}},
		Subject: "لم تصل رسالتك", Text: "لم تصل رسالتك إلى envoy@abroad.example.", InReplyTo: []string{"one@diwan.example"},
		Report: &Report{
			Kind: "delivery-status",
			Groups: [][]HeaderField{
				{{"Reporting-MTA", "dns; mail.diwan.example"}},
				{{"Final-Recipient", "rfc822; envoy@abroad.example"}, {"Action", "failed"}, {"Status", "5.1.1"}},
			},
			Message: []byte("From: hind@diwan.example\r\nSubject: x\r\n\r\nsecret\r\n"), HeaderOnly: true,
		},
	}
	m := mustCompose(t, d)
	if m.Root.MediaType() != "multipart/report" || m.Root.Params.Get("report-type") != "delivery-status" || len(m.Root.Children) != 3 {
		t.Fatalf("%s %v, %d parts", m.Root.MediaType(), m.Root.Params, len(m.Root.Children))
	}
	status, head := m.Root.Children[1], m.Root.Children[2]
	if status.MediaType() != "message/delivery-status" ||
		string(status.Body()) != "Reporting-MTA: dns; mail.diwan.example\r\n\r\nFinal-Recipient: rfc822; envoy@abroad.example\r\nAction: failed\r\nStatus: 5.1.1\r\n" {
		t.Errorf("status %s %q", status.MediaType(), status.Body())
	}
	if head.MediaType() != "text/rfc822-headers" || strings.Contains(string(head.Body()), "secret") {
		t.Errorf("header %s %q", head.MediaType(), head.Body())
	}
	d.Report.HeaderOnly = false
	if m = mustCompose(t, d); m.Root.Children[2].Nested == nil || m.Root.Children[2].Nested.Subject() != "x" {
		t.Error("the message is not returned")
	}
	d.Report.Groups[1][0].Value = "utf-8; سالم@abroad.example"
	m = mustCompose(t, d)
	if status := m.Root.Children[1]; status.MediaType() != "message/global-delivery-status" || !strings.Contains(string(status.Decoded()), "سالم@") {
		t.Errorf("status %s", status.MediaType())
	}
}

// What flowed text says is the same when a reader joins it.
func TestComposeFlowed(t *testing.T) {
	text := strings.Repeat("كلمة تتلو كلمة ", 40) + "\n\n> quoted " + strings.Repeat("again and again ", 20) + "\n>> deeper\nFrom here\n > not a quote\nshort\n" +
		strings.Repeat("x", 300) + "\n-- \nhind\n"
	m := mustCompose(t, &Draft{From: Address{"", "a@b.example"}, Text: text, Flowed: true})
	var want []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "-- " {
			line = strings.TrimRight(line, " ")
		}
		want = append(want, strings.Replace(line, ">> ", ">> ", 1))
	}
	if got := strings.TrimRight(m.Text(), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("text\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestRemoveFields(t *testing.T) {
	raw := "From: a@b\r\nBCC: x@y,\r\n z@y\r\nSubject: s\r\nbcc : q@y\r\n\r\nBcc: in the body\r\n"
	if got, want := string(RemoveFields([]byte(raw), "Bcc")), "From: a@b\r\nSubject: s\r\n\r\nBcc: in the body\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, same := range []string{"", "From: a@b\r\n\r\nx", "\r\nBcc: x\r\n", "no header"} {
		if got := string(RemoveFields([]byte(same), "Bcc")); got != same {
			t.Errorf("%q became %q", same, got)
		}
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("name", "a@b.example", "subject", "text", "<p>", "file.txt", []byte("data"), false)
	f.Add("هند", "سالم@ديوان.example", "رد: سلام", "نص\r\n", "", "ملف.pdf", []byte{0}, true)
	f.Add("=?utf-8?q?x?=", `"a b"@c`, " =?utf-8?b?eA==?= ", "From x\n.\n> q", "<b>", "a/b\\c", []byte("From: x\r\n\r\ny"), true)
	f.Add("a\"b\\c", "a@b", strings.Repeat("é ", 500), strings.Repeat("x", 2000), "", strings.Repeat("ي", 200), []byte(nil), false)
	f.Fuzz(func(t *testing.T, name, addr, subject, text, html, file string, data []byte, flowed bool) {
		d := &Draft{
			From: Address{"", "a@b.example"}, To: []Address{{name, addr}, {name, "c@d.example"}}, Subject: subject, Text: text, HTML: html, Flowed: flowed,
			Date: time.Unix(int64(len(text))*1e7, 0), Fields: []HeaderField{{"X-Field", subject}},
			Files: []File{{Name: file, Type: "application/x-test", Data: data}, {Name: file, Type: "message/rfc822", Data: data}},
		}
		raw, err := Compose(d)
		if errors.Is(err, ErrAddress) {
			d.To = d.To[1:]
			raw, err = Compose(d)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkWire(t, raw)
		if !d.NeedsUTF8() && !isASCII(raw) {
			t.Error("not ASCII")
		}
		m := Parse(raw)
		check(t, m)
		if want := strings.Trim(headerText(subject), " \t"); m.Subject() != headerText(subject) && m.Subject() != want {
			t.Errorf("subject %q, want %q", m.Subject(), headerText(subject))
		}
		to := m.To()
		if len(to) != len(d.To) || to[len(to)-1].Addr != "c@d.example" {
			t.Fatalf("to %q", to)
		}
		if want := tidyName(headerText(name)); to[0].Name != tidyName(want) && to[0].Name != want {
			t.Errorf("name %q, want %q", to[0].Name, want)
		}
		checkComposedParts(t, d, m)
	})
}

func checkComposedParts(t *testing.T, d *Draft, m *Message) {
	t.Helper()
	root := m.Root.Children
	if len(root) != 3 {
		t.Fatalf("%d parts", len(root))
	}
	reading := root[0]
	if len(reading.Children) == 2 {
		if got, want := reading.Children[1].Decoded(), validText(d.HTML); !bytes.Equal(trimEnd(got), trimEnd(want)) {
			t.Errorf("HTML %q, want %q", got, want)
		}
		reading = reading.Children[0]
	}
	want := validText(d.Text)
	if d.HTML != "" && d.Text == "" {
		want = validText(d.HTML)
	}
	if got := reading.Decoded(); !d.Flowed && !bytes.Equal(trimEnd(got), trimEnd(want)) {
		t.Errorf("text %q, want %q", got, want)
	}
	if !bytes.Equal(root[1].Decoded(), d.Files[0].Data) {
		t.Errorf("file %q, want %q", root[1].Decoded(), d.Files[0].Data)
	}
	if got := root[2].Nested; len(d.Files[0].Data) > 0 && (got == nil || !bytes.Equal(got.Bytes(), d.Files[0].Data)) {
		t.Errorf("message within is not %q", d.Files[0].Data)
	}
	if name := fileName(d.Files[0].Name); root[1].Filename() != name && !strings.ContainsFunc(name, unicode.IsSpace) && utf8.ValidString(d.Files[0].Name) {
		t.Errorf("file name %q, want %q", root[1].Filename(), name)
	}
}

// trimEnd takes off the line end that belongs to a boundary.
func trimEnd(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\r\n")) }
