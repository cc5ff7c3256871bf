package imapd

import (
	"log/slog"
	"net"
	"sync"
)

// admitting is a listener that gives only the connections within the limits.
type admitting struct {
	net.Listener
	srv  *Server
	wrap func(net.Conn) net.Conn
}

func (l *admitting) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := l.srv.admit(c, l.wrap); g != nil {
			return g, nil
		}
	}
}

// handoff is a listener that gives the connections pushed into it.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), done: make(chan struct{})}
}

// push reports whether the connection was taken.
func (h *handoff) push(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handoff) Addr() net.Addr { return &net.UnixAddr{Name: "starttls"} }

// quietLog keeps the arguments of the library's log lines, which quote what
// clients sent, out of the log: what happened is in the format.
type quietLog struct{ log *slog.Logger }

func (q quietLog) Printf(format string, _ ...any) {
	q.log.Debug("imap library reports", "event", format)
}
