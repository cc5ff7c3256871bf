package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// sink is a mail server on this machine that takes everything, and offers TLS
// as every server in the world does.
type sink struct {
	listener net.Listener
	tls      *tls.Config
	open     chan struct{} // Closed when it begins to greet.
	taken    atomic.Int64
	conns    atomic.Int64
	last     atomic.Int64 // When the last message was taken, in ns.
}

// newSink starts one. A closed one lets connections come but doesn't greet
// before its open is closed.
func (b *bench) newSink(closed bool) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if err := selfSigned(b.path("sink.pem"), b.path("sink.key")); err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(b.path("sink.pem"), b.path("sink.key"))
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, tls: &tls.Config{Certificates: []tls.Certificate{cert}}, open: make(chan struct{})}
	if !closed {
		close(s.open)
	}
	b.atEnd(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go s.serve(c)
		}
	}()
	return s, nil
}

func (s *sink) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

func (s *sink) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	<-s.open
	_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
	in := bufio.NewReaderSize(c, 32<<10)
	say := func(text string) { _, _ = c.Write([]byte(text + "\r\n")) } // What fails shows at the next read.
	say("220 sink.example ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(line[:min(4, len(line))]); verb {
		case "EHLO":
			say("250-sink.example\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-STARTTLS\r\n250 DSN")
		case "STAR":
			say("220 go ahead")
			t := tls.Server(c, s.tls)
			c, in = t, bufio.NewReaderSize(t, 32<<10)
		case "DATA":
			say("354 end with a dot")
			if !toDot(in) {
				return
			}
			say(fmt.Sprintf("250 2.0.0 taken as %d", s.taken.Add(1)))
			s.last.Store(time.Now().UnixNano())
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 2.0.0 well")
		}
	}
}

// toDot reads a message to its end.
func toDot(in *bufio.Reader) bool {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return false
		}
		if bytes.Equal(line, []byte(".\r\n")) {
			return true
		}
	}
}

// sending makes an office whose mail to d0.example and so on goes to a sink.
func (b *bench) sending(name string, s *sink, domains int) (*office, error) {
	var records []string
	for i := range domains {
		records = append(records, exchange(fmt.Sprintf("d%d.example", i))...)
	}
	dns, err := b.serveDNS(records)
	if err != nil {
		return nil, err
	}
	return b.newOffice(name, map[string]string{"dns": fmt.Sprintf("servers = [%q]", dns.address), "delivery": fmt.Sprintf("port = %d", s.port())})
}
