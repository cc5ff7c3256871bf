package mbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

const fromLine = "From scribe@diwan.example Sat Nov 21 08:30:00 2026\n"

// read returns copies of all spans with their messages, and checks the tiling.
func read(t testing.TB, src io.Reader, size int64, o Options) (spans []Span, messages []string, r *Reader) {
	t.Helper()
	r = NewReader(src, o)
	at := int64(0)
	for {
		s, err := r.Next()
		if err != nil {
			if size >= 0 && (err != io.EOF || at != size) {
				t.Fatalf("ended at %d of %d: %v", at, size, err)
			}
			return spans, messages, r
		}
		if s.Offset != at || s.Length <= 0 {
			t.Fatalf("span at %d, %d bytes; the one before ended at %d", s.Offset, s.Length, at)
		}
		at += s.Length
		if s.Kind == Message {
			m, _ := s.Message()
			messages = append(messages, string(m))
		} else if s.Raw != nil {
			t.Fatalf("a span of kind %d has bytes", s.Kind)
		}
		c := *s
		c.Raw = bytes.Clone(s.Raw)
		spans = append(spans, c)
	}
}

func readString(t testing.TB, mbox string, o Options) ([]Span, []string, *Reader) {
	t.Helper()
	return read(t, strings.NewReader(mbox), int64(len(mbox)), o)
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestMessages(t *testing.T) {
	for _, c := range []struct {
		name, mbox string
		want       []string
	}{
		{"one", fromLine + "Subject: a\n\ntext\n\n", []string{"Subject: a\r\n\r\ntext\r\n"}},
		{"no empty line at the end", fromLine + "Subject: a\n\ntext\n", []string{"Subject: a\r\n\r\ntext\r\n"}},
		{"no line end at the end", fromLine + "Subject: a\n\ntext", []string{"Subject: a\r\n\r\ntext"}},
		{"two", fromLine + "A: 1\n\nx\n\n" + fromLine + "B: 2\n\ny\n\n", []string{"A: 1\r\n\r\nx\r\n", "B: 2\r\n\r\ny\r\n"}},
		{"empty body", fromLine + "A: 1\n\n\n" + fromLine + "B: 2\n\n\n", []string{"A: 1\r\n\r\n", "B: 2\r\n\r\n"}},
		{"header alone", fromLine + "A: 1\n\n" + fromLine + "B: 2\n\n", []string{"A: 1\r\n", "B: 2\r\n"}},
		{"no bytes", fromLine + "\n" + fromLine + "B: 2\n\n", []string{"", "B: 2\r\n"}},
		{"From_ line alone", fromLine, []string{""}},
		{"empty lines kept", fromLine + "A: 1\n\n\n\n\n\n" + fromLine + "B: 2\n\n", []string{"A: 1\r\n\r\n\r\n\r\n\r\n", "B: 2\r\n"}},
		{"CRLF", crlf(fromLine + "A: 1\n\nx\n\n" + fromLine + "B: 2\n\n>From y\n\n"), []string{"A: 1\r\n\r\nx\r\n", "B: 2\r\n\r\nFrom y\r\n"}},
		{"quoted", fromLine + "A: 1\n\n>From a\n>>From b\n>Fromage\n> From c\n\n", []string{crlf("A: 1\n\nFrom a\n>From b\n>Fromage\n> From c\n")}},
		{"prose", fromLine + "A: 1\n\nhello\n\nFrom here on\nFrom Monday at 10:00 we rest\n\n", []string{crlf("A: 1\n\nhello\n\nFrom here on\nFrom Monday at 10:00 we rest\n")}},
		{"prose keeps quoting", fromLine + "A: 1\n\nFrom here on\n>From there\n\n", []string{crlf("A: 1\n\nFrom here on\n>From there\n")}},
		{"From line first", fromLine + "From x\n>From y\n\n", []string{"From x\r\n>From y\r\n"}},
		{"no empty line before", fromLine + "A: 1\n\nhello\n" + fromLine + "more\n\n", []string{crlf("A: 1\n\nhello\n" + fromLine + "more\n")}},
		{"thunderbird", "From \nA: 1\n\nx\n\nFrom \nB: 2\n\nFrom \n\nFrom\n\nFrom - \nC: 3\n\n", []string{crlf("A: 1\n\nx\n"), crlf("B: 2\n\nFrom \n\nFrom\n"), "C: 3\r\n"}},
		{"stray CR", fromLine + "A: 1\n\none\r\ntwo\nthree\n\n", []string{"A: 1\r\n\r\none\r\r\ntwo\r\nthree\r\n"}},
		{"CRLF header, LF body", fromLine + "A: 1\r\n\r\none\ntwo\n\n", []string{"A: 1\r\n\r\none\ntwo\n"}},
		{"no line end", fromLine + "A: 1", []string{"A: 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got, _ := readString(t, c.mbox, Options{})
			if !equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func equal(a, b []string) bool {
	return len(a) == len(b) && strings.Join(a, "\x00") == strings.Join(b, "\x00")
}

func TestStart(t *testing.T) {
	for _, c := range []struct {
		name, before string
		kind         Kind
	}{
		{"empty lines", "\n\r\n", Blank},
		{"byte order mark", "\xef\xbb\xbf", Blank},
		{"prose", "not mail\nat all\n\n", Garbage},
		{"prose without empty line", "not mail\n", Garbage},
		{"headless message", "Subject: lost its From_ line\n\ntext\n\n", Garbage},
		{"long", strings.Repeat("not mail\n", 400_000), Garbage},
	} {
		t.Run(c.name, func(t *testing.T) {
			spans, got, _ := readString(t, c.before+fromLine+"A: 1\n\n", Options{})
			if len(spans) != 2 || spans[0].Kind != c.kind || spans[0].Length != int64(len(c.before)) {
				t.Errorf("first span %+v", spans[0])
			}
			if !equal(got, []string{"A: 1\r\n"}) {
				t.Errorf("messages %q", got)
			}
		})
	}
	spans, _, _ := readString(t, "never\nany mail\n", Options{})
	if len(spans) != 1 || spans[0].Kind != Garbage {
		t.Errorf("no separator: %+v", spans)
	}
	if spans, _, _ := readString(t, "", Options{}); len(spans) != 0 {
		t.Errorf("empty: %+v", spans)
	}
}

func TestTooLarge(t *testing.T) {
	const max = 100_000
	big := fromLine + "A: big\n\n" + strings.Repeat("0123456789\nFrom x\n\n", 200_000) + "\n"
	exact := fromLine + "A: 1\n\n" + strings.Repeat("x", max-7) + "\n\n"
	over := fromLine + "A: 1\n\n" + strings.Repeat("x", max-6) + "\n\n"
	r := NewReader(strings.NewReader(big+exact+over+fromLine+"B: 2\n\n"), Options{MaxMessage: max})
	for i, want := range []struct {
		kind   Kind
		length int
	}{{TooLarge, len(big)}, {Message, len(exact)}, {TooLarge, len(over)}, {Message, len(fromLine) + 6}} {
		s, err := r.Next()
		if err != nil || s.Kind != want.kind || s.Length != int64(want.length) {
			t.Fatalf("span %d: %+v %v, want %+v", i, s, err, want)
		}
		if cap(r.buf) > 2<<20 {
			t.Errorf("span %d: the buffer grew to %d bytes", i, cap(r.buf))
		}
	}
}

func TestReadFails(t *testing.T) {
	broken := errors.New("broken")
	good := fromLine + "A: 1\n\nx\n\n"
	src := io.MultiReader(strings.NewReader(good+fromLine+"B: 2\n\ncut he"), iotest.ErrReader(broken))
	spans, got, r := read(t, src, -1, Options{})
	if len(spans) != 2 || spans[1].Kind != Cut || spans[1].Offset != int64(len(good)) || !equal(got, []string{"A: 1\r\n\r\nx\r\n"}) {
		t.Errorf("spans %+v", spans)
	}
	if _, err := r.Next(); !errors.Is(err, broken) {
		t.Errorf("then %v", err)
	}
}

// The writers are the formats' definitions turned round.

type writer struct {
	variant Variant
	ends    string // line end of the container
}

func (w writer) write(messages []string) string {
	var b strings.Builder
	for i, m := range messages {
		body := strings.ReplaceAll(m, "\r\n", w.ends)
		b.WriteString(fmt.Sprintf("From scribe%d@diwan.example Sat Nov 21 08:30:%02d 2026", i, i%60) + w.ends)
		if w.variant == CL2 {
			h := strings.Index(body, w.ends+w.ends) + len(w.ends)
			fmt.Fprintf(&b, "%sContent-Length: %d%s%s", body[:h], len(body)-h-len(w.ends), w.ends, body[h:])
			b.WriteString(w.ends)
			continue
		}
		for line := range strings.Lines(body) {
			if w.variant == RD && strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") || w.variant == O && strings.HasPrefix(line, "From ") {
				b.WriteString(">")
			}
			b.WriteString(line)
		}
		b.WriteString(w.ends)
	}
	return b.String()
}

// randomMessage makes a message of lines that have hurt mbox readers.
func randomMessage(rnd *rand.Rand, quotedLines bool) string {
	lines := []string{"", "", "text", "From here", fromLine[:len(fromLine)-1], "From ", "From - ", ".", "\t", "Content-Length: 12", "سجل", "a\rb", "A: b"}
	if quotedLines {
		lines = append(lines, ">From x", ">>From x", ">>>>From ", "> From", ">")
	}
	var b strings.Builder
	b.WriteString("Subject: " + fmt.Sprint(rnd.Uint32()) + "\r\n")
	for range rnd.IntN(3) {
		b.WriteString("X-Field: value\r\n")
	}
	b.WriteString("\r\n")
	for range rnd.IntN(12) {
		b.WriteString(lines[rnd.IntN(len(lines))] + "\r\n")
	}
	if rnd.IntN(40) == 0 {
		b.WriteString(strings.Repeat("a long text, over and over\r\n", 60_000))
	}
	return b.String()
}

func TestRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, variant := range []Variant{RD, O, CL2} {
		for _, ends := range []string{"\n", "\r\n"} {
			for round := range 60 {
				messages := make([]string, 1+rnd.IntN(12))
				for i := range messages {
					messages[i] = randomMessage(rnd, variant != O)
				}
				mbox := writer{variant, ends}.write(messages)
				spans, got, r := readString(t, mbox, Options{})
				if variant == CL2 {
					for i := range got {
						got[i] = withoutLength(t, got[i])
					}
				}
				if !equal(got, messages) {
					t.Fatalf("%v %q round %d: %d spans of %d messages, variant %v", variant, ends, round, len(spans), len(messages), r.Variant())
				}
				if want := map[Variant]Variant{RD: RD, O: RD, CL2: CL2}[variant]; r.Variant() != want {
					t.Errorf("variant %v, want %v", r.Variant(), want)
				}
			}
		}
	}
}

// withoutLength takes off the field that the mboxcl2 writer put in, the last of
// the header.
func withoutLength(t *testing.T, m string) string {
	h := strings.Index(m, "\r\n\r\n") + 2
	at := strings.LastIndex(m[:h], "Content-Length:")
	if at < 0 {
		t.Fatal("the writer's Content-Length is gone")
	}
	return m[:at] + m[h:]
}

// What an mboxo writer loses can't be had back: ">From " was not marked.
func TestMboxoLoses(t *testing.T) {
	m := []string{"A: 1\r\n\r\nFrom a\r\n>From b\r\n>>From c\r\n"}
	mbox := writer{O, "\n"}.write(m)
	_, got, _ := readString(t, mbox, Options{Variant: O})
	if want := []string{"A: 1\r\n\r\nFrom a\r\nFrom b\r\n>>From c\r\n"}; !equal(got, want) {
		t.Errorf("told mboxo: %q", got)
	}
	_, got, _ = readString(t, mbox, Options{})
	if want := []string{"A: 1\r\n\r\nFrom a\r\nFrom b\r\n>From c\r\n"}; !equal(got, want) {
		t.Errorf("not told: %q", got)
	}
}

// A length in an mboxrd file, true or forged, must not swallow what follows.
func TestForgedLength(t *testing.T) {
	second := fromLine + "B: 2\n\n>From y\n\n"
	forged := fmt.Sprintf("%sA: 1\nContent-Length: %d\n\nx\n\n", fromLine, len("x\n\n")+len(second))
	plain := fromLine + "P: 0\n\nx\n\n"
	_, got, r := readString(t, plain+forged+second+second, Options{})
	if len(got) != 4 || r.Variant() != RD {
		t.Errorf("%d messages, %v", len(got), r.Variant())
	}
	// False lengths are passed over even where lengths are used.
	true1 := fromLine + "A: 1\nContent-Length: 2\n\nx\n\n"
	lie := fromLine + "A: 1\nContent-Length: 7\n\nx\n\n"
	_, got, r = readString(t, strings.Repeat(true1, 60_000)+lie+true1, Options{})
	if len(got) != 60_002 || r.Stats().BadLengths != 1 || r.Stats().ByLength != 60_001 {
		t.Errorf("%d messages, %+v", len(got), r.Stats())
	}
}

func TestFromLines(t *testing.T) {
	for line, want := range map[string]string{
		"From a@b.example Thu Jan  1 00:00:01 1970":                      "a@b.example|1970-01-01T00:00:01Z",
		"From a@b.example  Sat Jan  3 01:05:34 1996":                     "a@b.example|1996-01-03T01:05:34Z",
		"From 1488@xxx Thu Jan 04 10:43:28 +0000 2018":                   "1488@xxx|2018-01-04T10:43:28Z",
		"From a@b.example Mon Nov 23 10:00:00 2026 +0300":                "a@b.example|2026-11-23T07:00:00Z",
		"From a@b.example Mon Nov 23 10:00:00 EST 2026":                  "a@b.example|2026-11-23T15:00:00Z",
		"From a@b.example Mon, 23 Nov 2026 10:00:00 -0500 (EST)":         "a@b.example|2026-11-23T15:00:00Z",
		"From a@b.example 2026-11-23T10:00:00Z":                          "a@b.example|2026-11-23T10:00:00Z",
		"From a@b.example 2026-11-23 10:00:00 +03:00":                    "a@b.example|2026-11-23T07:00:00Z",
		"From a@b.example 23-Nov-2026 10:00:00 +0000":                    "a@b.example|2026-11-23T10:00:00Z",
		"From a at b.example  Mon Nov 23 10:00 2026":                     "a at b.example|2026-11-23T10:00:00Z",
		"From ???@??? Mon Nov 23 10:00:00 2026":                          "???@???|2026-11-23T10:00:00Z",
		"From - Mon Nov 23 10:00:00 2026":                                "-|2026-11-23T10:00:00Z",
		"From a Mon Nov 23 10:00:00 96 remote from host":                 "a|1996-11-23T10:00:00Z",
		"From Mon Nov 23 10:00:00 2026":                                  "|2026-11-23T10:00:00Z",
		"From a Mon Nov 23 10:00:00 2026 PST8PDT":                        "a|2026-11-23T10:00:00Z",
		"From MAILER-DAEMON mon nov 23 10:00:00 2026\r":                  "MAILER-DAEMON|2026-11-23T10:00:00Z",
		"From Monday May 3 2021 at 10:00 we rest":                        "",
		"From May 3 10:00 2021 we decided":                               "",
		"From a Mon Feb 31 10:00:00 2026":                                "",
		"From a Mon Nov 23 25:00:00 2026":                                "",
		"From here on":                                                   "",
		"From ":                                                          "",
		"from a@b.example Thu Jan  1 00:00:00 1970":                      "",
		"From a@b.example Thu Jan  1 1970":                               "",
		"From " + strings.Repeat("x", 1100) + " Thu Jan 1 00:00:00 1970": "",
	} {
		f, n, ok := separator([]byte(line + "\nx"))
		got := ""
		if ok {
			got = f.Sender + "|" + f.Date.UTC().Format("2006-01-02T15:04:05Z07:00")
			if n != len(line)+1 {
				t.Errorf("%q: length %d", line, n)
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}
