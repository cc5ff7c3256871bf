package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sender is a session of SMTP or LMTP.
type sender struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialSMTP(address string, lmtp bool) (*sender, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	hello := "EHLO mail.d0.example"
	if lmtp {
		hello = "LHLO mail.d0.example"
	}
	return greet(conn, hello)
}

// dialSubmission signs in over TLS.
func dialSubmission(address, user, secret string) (*sender, error) {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	s, err := greet(conn, "EHLO [127.0.0.1]")
	if err != nil {
		return nil, err
	}
	return s, s.ask("235", "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+secret)))
}

func greet(conn net.Conn, hello string) (*sender, error) {
	s := &sender{conn, bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Minute))
	if err := s.expect("220"); err != nil {
		return nil, err
	}
	return s, s.ask("250", hello)
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
			return strings.TrimSpace(line), nil
		}
	}
}

func (s *sender) expect(code string) error {
	line, err := s.reply()
	if err == nil && !strings.HasPrefix(line, code) {
		err = fmt.Errorf("%q instead of %s", line, code)
	}
	return err
}

func (s *sender) ask(code, what string) error {
	if _, err := s.conn.Write([]byte(what + "\r\n")); err != nil {
		return err
	}
	return s.expect(code)
}

// begin sends an envelope in one go (RFC 2920), as mail servers do, and returns
// when the message may come.
func (s *sender) begin(from, to string) error {
	if _, err := s.conn.Write([]byte("MAIL FROM:<" + from + ">\r\nRCPT TO:<" + to + ">\r\nDATA\r\n")); err != nil {
		return err
	}
	for _, code := range []string{"250", "250", "354"} {
		if err := s.expect(code); err != nil {
			return err
		}
	}
	return nil
}

// finish sends the message and returns the reply, and how long it took to come.
func (s *sender) finish(raw []byte) (string, time.Duration, error) { return s.hand(stuffed(raw)) }

// hand sends what is stuffed already.
func (s *sender) hand(wire []byte) (string, time.Duration, error) {
	began := time.Now()
	if _, err := s.conn.Write(wire); err != nil {
		return "", 0, err
	}
	line, err := s.reply()
	return line, time.Since(began), err
}

func (s *sender) send(l letter) error {
	if err := s.begin(l.from, l.to); err != nil {
		return err
	}
	if l.wire == nil {
		l.wire = stuffed(l.raw)
	}
	line, _, err := s.hand(l.wire)
	if err == nil && !strings.HasPrefix(line, "250") {
		err = fmt.Errorf("a message was refused: %s", line)
	}
	return err
}

// stuffed is a message as it goes over the wire (RFC 5321 section 4.5.2).
func stuffed(msg []byte) []byte {
	b := bytes.ReplaceAll(msg, []byte("\r\n."), []byte("\r\n.."))
	return append(b[:len(b):len(b)], ".\r\n"...)
}

// load sends letters through so many sessions at once and tells how long it
// took.
func load(address string, lmtp bool, sessions int, letters []letter) (time.Duration, error) {
	open := make([]*sender, sessions)
	for i := range open {
		var err error
		if open[i], err = dialSMTP(address, lmtp); err != nil {
			return 0, err
		}
		defer open[i].close()
	}
	return loadOver(open, letters)
}

// loadOver sends letters over sessions that are open.
func loadOver(open []*sender, letters []letter) (time.Duration, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, len(open))
	began := time.Now()
	for _, s := range open {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(letters)); i = next.Add(1) - 1 {
				if err := s.send(letters[i]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	select {
	case err := <-errs:
		return took, err
	default:
		return took, nil
	}
}
