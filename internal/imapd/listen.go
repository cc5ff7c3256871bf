package imapd

import (
	"log/slog"
	"net"
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

// quietLog keeps the arguments of the library's log lines, which quote what
// clients sent, out of the log: what happened is in the format.
type quietLog struct{ log *slog.Logger }

func (q quietLog) Printf(format string, _ ...any) {
	q.log.Debug("imap library reports", "event", format)
}
