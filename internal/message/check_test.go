package message

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// check fails the test where m breaks a promise of the package.
func check(t *testing.T, m *Message) {
	t.Helper()
	parts, fields := 0, 0
	checkMessage(t, m, 0, &parts, &fields)
	if m.Root.HeaderStart != 0 || m.Root.End != len(m.Raw()) {
		t.Errorf("root covers %d..%d of %d bytes", m.Root.HeaderStart, m.Root.End, len(m.Raw()))
	}
	if parts > MaxParts+MaxDepth || fields > MaxFields {
		t.Errorf("%d parts, %d fields", parts, fields)
	}
	valid := func(what, s string) {
		if !utf8.ValidString(s) {
			t.Errorf("%s is not UTF-8", what)
		}
	}
	valid("subject", m.Subject())
	valid("message id", m.MessageID())
	for _, list := range [][]Address{m.From(), m.Sender(), m.ReplyTo(), m.To(), m.Cc(), m.Bcc()} {
		for _, a := range list {
			valid("address", a.Name+a.Addr)
		}
	}
	for _, id := range m.References() {
		valid("reference", id)
	}
	m.Date()
	m.Received()
	text := m.Text()
	valid("text", text)
	if len(text) > MaxText {
		t.Errorf("text has %d bytes", len(text))
	}
	if bytes.ContainsAny([]byte(text), "\x00\r\x1b") {
		t.Error("text has control characters")
	}
	html, _ := m.HTML()
	valid("HTML", html)
	snippet := m.Snippet(100)
	valid("snippet", snippet)
	if utf8.RuneCountInString(snippet) > 100 {
		t.Error("the snippet is too long")
	}
	for _, a := range m.Attachments() {
		valid("attachment", a.Name+a.Type+a.ContentID)
		if a.Size < 0 {
			t.Error("negative size")
		}
	}
}

// checkMessage checks that ranges nest: a part's header and body follow each
// other, children lie in their parent's body in order, and between two of them
// is nothing but one boundary line.
func checkMessage(t *testing.T, m *Message, depth int, parts, fields *int) {
	t.Helper()
	raw := m.Raw()
	var walk func(p *Part, depth int)
	walk = func(p *Part, depth int) {
		*parts++
		*fields += len(p.Header.Fields)
		if depth > MaxDepth+1 {
			t.Fatalf("depth %d", depth)
		}
		if p.HeaderStart < 0 || p.HeaderStart > p.BodyStart || p.BodyStart > p.End || p.End > len(raw) {
			t.Fatalf("part %d %d %d of %d", p.HeaderStart, p.BodyStart, p.End, len(raw))
		}
		at := p.HeaderStart
		for _, f := range p.Header.Fields {
			if f.Start != at || f.Value < f.Start || f.End < f.Value || f.End > p.BodyStart {
				t.Fatalf("field %d %d %d, expected at %d", f.Start, f.Value, f.End, at)
			}
			at = f.End
			if s := f.Text(); !utf8.ValidString(s) || !utf8.ValidString(f.Name) {
				t.Error("a field is not UTF-8")
			}
		}
		if rest := string(raw[at:p.BodyStart]); rest != "" && rest != "\n" && rest != "\r\n" {
			t.Fatalf("%d bytes between header and body", len(rest))
		}
		if !utf8.ValidString(p.Type+p.Subtype+p.Encoding+p.Disposition+p.Filename()) || p.Type == "" {
			t.Error("a type is not UTF-8")
		}
		for _, param := range p.Params {
			if !utf8.ValidString(param.Name + param.Value) {
				t.Error("a parameter is not UTF-8")
			}
		}
		for i, child := range p.Children {
			if child.HeaderStart < p.BodyStart || child.End > p.End {
				t.Fatalf("child %d..%d outside of %d..%d", child.HeaderStart, child.End, p.BodyStart, p.End)
			}
			if i > 0 {
				checkGap(t, raw[p.Children[i-1].End:child.HeaderStart])
			}
			walk(child, depth+1)
		}
		if p.Nested != nil {
			if root := p.Nested.Root; len(raw) > 0 && len(p.Nested.Raw()) > 0 && &p.Nested.Raw()[0] == &raw[0] &&
				(root.HeaderStart != p.BodyStart || root.End != p.End) {
				t.Fatalf("message %d..%d in %d..%d", root.HeaderStart, root.End, p.BodyStart, p.End)
			}
			checkMessage(t, p.Nested, depth+1, parts, fields)
		}
	}
	walk(m.Root, depth)
}

func checkGap(t *testing.T, gap []byte) {
	t.Helper()
	line := bytes.TrimPrefix(bytes.TrimPrefix(gap, []byte("\r")), []byte("\n"))
	if !bytes.HasPrefix(line, []byte("--")) || bytes.ContainsRune(bytes.TrimSuffix(line, []byte("\n")), '\n') {
		t.Fatalf("between parts: %q", gap)
	}
}

// checkReader checks that Reader gives what Decoded does.
func checkReader(t *testing.T, p *Part) {
	t.Helper()
	got, err := io.ReadAll(iotest.OneByteReader(p.Reader()))
	if err != nil || !bytes.Equal(got, p.Decoded()) {
		t.Errorf("Reader gives %d bytes, Decoded %d: %v", len(got), len(p.Decoded()), err)
	}
}
