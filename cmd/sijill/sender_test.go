package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sender is an SMTP session that sends octets as they are given. A library
// would mend what these tests want broken.
type sender struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*sender, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	s := &sender{conn, bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	if _, err := s.reply(); err != nil {
		return nil, err
	}
	_, err = s.ask("EHLO sender.example\r\n")
	return s, err
}

// connect is dial for a server that must be there.
func connect(t testing.TB, address string) *sender {
	t.Helper()
	s, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func (s *sender) close() { _ = s.conn.Close() }

// reply reads one reply and returns its last line.
func (s *sender) reply() (string, error) {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(line) > 3 && line[3] != '-' {
			return strings.TrimRight(line, "\r\n"), nil
		}
	}
}

func (s *sender) ask(what string) (string, error) {
	if _, err := s.conn.Write([]byte(what)); err != nil {
		return "", err
	}
	return s.reply()
}

// begin opens a message and returns at the 354.
func (s *sender) begin(to ...string) error {
	var b strings.Builder
	b.WriteString("MAIL FROM:<sender@abroad.example>\r\n")
	for _, a := range to {
		b.WriteString("RCPT TO:<" + a + ">\r\n")
	}
	b.WriteString("DATA\r\n")
	if _, err := s.conn.Write([]byte(b.String())); err != nil {
		return err
	}
	for i := range len(to) + 2 {
		line, err := s.reply()
		if err != nil {
			return err
		}
		if want := map[bool]string{true: "354", false: "250"}[i == len(to)+1]; !strings.HasPrefix(line, want) {
			return fmt.Errorf("%s instead of %s", line, want)
		}
	}
	return nil
}

// send sends a message that ends with CR LF, or is empty, and returns the reply.
func (s *sender) send(msg []byte, to ...string) (string, error) {
	if err := s.begin(to...); err != nil {
		return "", err
	}
	return s.ask(string(stuffed(msg)))
}

// stuffed is a message as it goes over the wire (RFC 5321 section 4.5.2).
func stuffed(msg []byte) []byte {
	b := bytes.ReplaceAll(msg, []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(b, []byte(".")) {
		b = append([]byte("."), b...)
	}
	return append(b[:len(b):len(b)], ".\r\n"...)
}

// entryOf reads the entry's number in a reply, or tells that there is none.
func entryOf(reply string) (int64, bool) {
	number, ok := strings.CutPrefix(reply, "250 2.0.0 sealed as entry ")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, ok && err == nil
}

// deliver sends a message that must be sealed, and returns its entry.
func (s *sender) deliver(t testing.TB, msg []byte, to ...string) int64 {
	t.Helper()
	reply, err := s.send(msg, to...)
	n, ok := entryOf(reply)
	if err != nil || !ok {
		t.Fatalf("reply %q, %v", reply, err)
	}
	return n
}

// letter is message number n of a series, different from all others, of some
// hundred bytes to some thousand.
func letter(series string, n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Scribe <scribe@abroad.example>\r\nTo: %s\r\nSubject: %s letter %d\r\nMessage-ID: <%s.%d@abroad.example>\r\n"+
		"Date: Sat, 21 Nov 2026 08:30:00 +0300\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", laila, series, n, series, n)
	for i := range 3 + n%40 {
		fmt.Fprintf(&b, "%d. ختم هذا الكتاب في الديوان، letter %d of %s\r\n.\r\n", i, n, series)
	}
	return b.Bytes()
}

// ledger remembers what a server acknowledged.
type ledger struct {
	mu     sync.Mutex // Guards what follows.
	sealed map[int64][32]byte
	twice  []int64 // Entries that were named to two senders.
}

func newLedger() *ledger { return &ledger{sealed: map[int64][32]byte{}} }

func (l *ledger) add(entry int64, msg []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.sealed[entry]; ok {
		l.twice = append(l.twice, entry)
	}
	l.sealed[entry] = sha256.Sum256(msg)
}

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sealed)
}

// load sends letters from many sessions until their server goes away, and notes
// what was acknowledged. It returns what waits for all of them.
func load(address, series string, sessions int, to *ledger) (wait func()) {
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			s, err := dial(address)
			if err != nil {
				return
			}
			defer s.close()
			for n := 0; ; n++ {
				msg := letter(fmt.Sprintf("%s-%d", series, i), n)
				reply, err := s.send(msg, laila)
				if err != nil {
					return
				}
				if entry, ok := entryOf(reply); ok {
					to.add(entry, msg)
				}
			}
		})
	}
	return wg.Wait
}

// check wants every message that was acknowledged to be in the register, byte
// for byte: all of them read in this process, some by the program.
func (l *ledger) check(h *home) {
	h.Helper()
	if len(l.twice) > 0 {
		h.Errorf("entries acknowledged to two senders: %v", l.twice)
	}
	o := h.open()
	sample := 0
	for entry, want := range l.sealed {
		it, err := o.Register.Item(h.Context(), entry)
		if err != nil {
			h.Errorf("an acknowledged message is lost: %v", err)
			continue
		}
		c, err := it.Content()
		if err != nil {
			h.Errorf("entry %d: %v", entry, err)
			continue
		}
		if sha256.Sum256(c.Message) != want {
			h.Errorf("entry %d is not what was acknowledged", entry)
		}
		if sample < 20 {
			sample++
			if sha256.Sum256([]byte(h.must("show", "--raw", fmt.Sprint(entry)))) != want {
				h.Errorf("show --raw %d is not what was acknowledged", entry)
			}
		}
	}
}
