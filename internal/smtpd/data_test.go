package smtpd

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Endings that some server somewhere takes for the end of a message. None may
// end it here: what follows must not be run as commands.
var endings = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r\n\x00.\r\n",
}

func TestSmuggling(t *testing.T) {
	s := start(t, false, nil)
	for _, ending := range endings {
		t.Run(fmt.Sprintf("%q", ending), func(t *testing.T) {
			p := s.greeted(t)
			p.begin("hind@diwan.example")
			p.data("Subject: one\r\n\r\nfirst"+ending+
				"MAIL FROM:<forged@abroad.example>\r\nRCPT TO:<hind@diwan.example>\r\nDATA\r\nSubject: two\r\n\r\nsecond\r\n.\r\n",
				"550 5.6.0 ")
			p.ask("NOOP", "250 2.0.0 ") // the one reply was all, and the session is in step
			if n := len(s.sealed()); n != 0 {
				t.Errorf("%d messages were sealed", n)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for msg, want := range map[string]reply{
		"":                    nil,
		"a":                   nil,
		"\r\n":                nil,
		"a\r\nb\r\n":          nil,
		"a\r\nb":              nil,
		"a\nb\r\n":            replyBareLF,
		"a\r\nb\n":            replyBareLF,
		"\n":                  replyBareLF,
		"a\rb\r\n":            replyBareCR,
		"a\r":                 replyBareCR,
		"a\r\r\n":             replyBareCR,
		"a\x00\r\n":           replyNUL,
		long:                  nil,
		long + "x":            replyLongData,
		long[2:] + "\r\n":     nil,
		long[1:] + "\r\n":     replyLongData,
		"a\r\n" + long + "xx": replyLongData,
	} {
		if got := inspect([]byte(msg)); got != want {
			t.Errorf("inspect(%.20q…) = %v, want %v", msg, got, want)
		}
	}
}

// plainFraming is framing octet by octet, as the standard tells it.
func plainFraming(in []byte) (msg []byte, rest []byte, done bool) {
	for start := true; len(in) > 0; {
		if start && bytes.HasPrefix(in, []byte(".\r\n")) {
			return msg, in[3:], true
		}
		if start && in[0] == '.' {
			in, start = in[1:], false
			continue
		}
		start = bytes.HasPrefix(in, []byte("\r\n"))
		n := 1
		if start {
			n = 2
		}
		msg, in = append(msg, in[:n]...), in[n:]
	}
	return msg, nil, false
}

// FuzzFraming checks that framing, fed in pieces of any size, gives what the
// plain reading gives.
func FuzzFraming(f *testing.F) {
	for _, e := range endings {
		f.Add([]byte("a"+e+"b\r\n.\r\nQUIT\r\n"), uint8(3))
	}
	f.Add([]byte(".\r\n"), uint8(1))
	f.Add([]byte("..\r\n...x\r\n.\r.\r\n.\r\n"), uint8(2))
	f.Add([]byte("\r\r\n.\r\n\r\n.\r\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		want, rest, ends := plainFraming(in)
		var fr framing
		var got []byte
		used, done := 0, false
		for used < len(in) && !done {
			piece := in[used:min(len(in), used+int(step)+1)]
			before := len(got)
			var n int
			got, n, done = fr.feed(got, piece)
			if len(got)-before > len(piece)+1 {
				t.Fatal("more octets than promised")
			}
			if n != len(piece) && !done {
				t.Fatal("input was left")
			}
			used += n
		}
		if done != ends {
			t.Fatalf("done = %v, want %v", done, ends)
		}
		if done && (!bytes.Equal(got, want) || !bytes.Equal(in[used:], rest)) {
			t.Fatalf("message %q and rest %q, want %q and %q", got, in[used:], want, rest)
		}
	})
}

// FuzzInspect checks inspect against the plain rules.
func FuzzInspect(f *testing.F) {
	f.Add([]byte("a\r\nb\n\r\x00"))
	f.Add([]byte("a\r\nb"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		plain := bytes.ReplaceAll(msg, []byte("\r\n"), nil)
		bad := bytes.ContainsAny(plain, "\r\n\x00")
		if len(msg) < maxLine && (inspect(msg) != nil) != bad {
			t.Fatalf("inspect(%q) = %v", msg, inspect(msg))
		}
	})
}
