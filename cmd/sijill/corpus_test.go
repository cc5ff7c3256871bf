package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// What of mime-edge can't come by SMTP, once its line ends are CR LF: files that
// hold a NUL or a bare CR (RFC 5321 section 2.3.8), and one with a longer line
// than we take.
const (
	edgeFiles   = 1986
	edgeBare    = 133
	edgeLong    = 1
	listMail    = 2000
	longestLine = 128 << 10
)

// corpus opens a file of the shared test data, unpacked, or skips the test.
func corpus(t testing.TB, name string) io.Reader {
	t.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("skipped without %s: set SIJILL_DATA to the folder that has it", name)
	}
	t.Cleanup(func() { f.Close() })
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

// wired gives a message the line ends of SMTP, the last line included.
func wired(b []byte) []byte {
	b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b, "\r\n"...)
	}
	return b
}

// edgeMail reads mime-edge.
func edgeMail(t testing.TB) (mail [][]byte) {
	t.Helper()
	for archive := tar.NewReader(corpus(t, "mime-edge.tar.zst")); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return mail
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			mail = append(mail, wired(b))
		}
	}
}

// listsMail reads the first n messages of lists-dkim, an mboxrd.
func listsMail(t testing.TB, n int) (mail [][]byte) {
	t.Helper()
	in := bufio.NewReader(corpus(t, "lists-dkim.mbox.zst"))
	quoted := regexp.MustCompile(`^>+From `)
	var msg []byte
	for {
		line, err := in.ReadBytes('\n')
		if begins := bytes.HasPrefix(line, []byte("From ")); begins || err != nil {
			if len(msg) > 0 {
				mail = append(mail, wired(bytes.TrimSuffix(msg, []byte("\n"))))
			}
			if msg = nil; len(mail) == n || err != nil {
				return mail
			}
			continue
		}
		if quoted.Match(line) {
			line = line[1:]
		}
		msg = append(msg, line...)
	}
}

var bareCR = regexp.MustCompile(`\r([^\n]|$)`)

func longest(b []byte) (n int) {
	for line := range bytes.Lines(b) {
		n = max(n, len(line))
	}
	return n
}

// Real mail goes in by SMTP and comes out byte for byte; what SMTP does not
// allow is refused, and the session goes on.
func TestCorpusBySMTP(t *testing.T) {
	edge, lists := edgeMail(t), listsMail(t, listMail)
	if len(edge) != edgeFiles || len(lists) != listMail {
		t.Fatalf("%d files of mime-edge and %d messages of lists-dkim", len(edge), len(lists))
	}
	h, acknowledged := newHome(t), newLedger()
	server := h.serve()
	session := connect(t, server.smtp)
	refused := map[string]int{}
	for i, msg := range append(edge, lists...) {
		if i%500 == 499 { // The server wants a new connection now and then.
			session = connect(t, server.smtp)
		}
		reply, err := session.send(msg, laila)
		if err != nil {
			t.Fatal(err)
		}
		why := reason(msg)
		entry, ok := entryOf(reply)
		switch {
		case ok && why == "":
			acknowledged.add(entry, msg)
		case !ok && why != "" && strings.HasPrefix(reply, "550 5.6.0 message holds a "+why):
			refused[why]++
		default:
			t.Errorf("message %d (%q): %s", i, why, reply)
		}
	}
	if refused["NUL"]+refused["bare CR"] != edgeBare || refused["line longer"] != edgeLong {
		t.Errorf("refused: %v", refused)
	}
	if n := acknowledged.size(); n != edgeFiles-edgeBare-edgeLong+listMail {
		t.Errorf("%d accepted", n)
	}
	server.stop()
	h.sound()
	acknowledged.check(h)
	t.Logf("%d accepted, refused %v", acknowledged.size(), refused)
}

// reason tells why a message must be refused; "" if it must not.
func reason(msg []byte) string {
	switch {
	case bytes.IndexByte(msg, 0) >= 0:
		return "NUL"
	case longest(msg) > longestLine:
		return "line longer"
	case bareCR.Match(msg):
		return "bare CR"
	}
	return ""
}

// endings are taken for the end of a message by some server somewhere.
var endings = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r\n\x00.\r\n",
}

// No ending but the standard one lets a second message slip in behind the first
// (SMTP smuggling).
func TestSmuggling(t *testing.T) {
	h := newHome(t)
	server := h.serve()
	for _, ending := range endings {
		t.Run(fmt.Sprintf("%q", ending), func(t *testing.T) {
			s := connect(t, server.smtp)
			if err := s.begin(laila); err != nil {
				t.Fatal(err)
			}
			reply, err := s.ask("Subject: one\r\n\r\nfirst" + ending + "MAIL FROM:<forged@abroad.example>\r\nRCPT TO:<" + laila +
				">\r\nDATA\r\nSubject: two\r\n\r\nsecond\r\n.\r\n")
			if err != nil || !strings.HasPrefix(reply, "550 5.6.0 ") {
				t.Errorf("reply %q, %v", reply, err)
			}
			if reply, err := s.ask("NOOP\r\n"); err != nil || !strings.HasPrefix(reply, "250 ") {
				t.Errorf("the session is out of step: %q, %v", reply, err)
			}
		})
	}
	s := connect(t, server.smtp)
	if n := s.deliver(t, []byte("Subject: plain\r\n\r\nfirst\r\n.dot\r\n"), laila); n != 0 {
		t.Errorf("the first honest message is entry %d: something was smuggled in", n)
	}
	for i, msg := range []string{"", "\r\n", ".\r\n", "\r\n.\r\n.\r\n..\r\n"} {
		n := s.deliver(t, []byte(msg), laila)
		if n != int64(i+1) {
			t.Errorf("%q is entry %d", msg, n)
		}
		if raw := h.must("show", "--raw", fmt.Sprint(n)); sha256.Sum256([]byte(raw)) != sha256.Sum256([]byte(msg)) {
			t.Errorf("%q became %q", msg, raw)
		}
	}
	server.stop()
	h.sound()
}
