package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"sijill/internal/config"
)

// doors are the names of all doors, in the order in which they are bound and told.
// One that is taken keeps those after it from being touched.
var doors = []string{"smtp", "submission", "submissions", "imap", "imaps", "lmtp", "http", "https", "metrics"}

// listenOf are the addresses of the doors.
func listenOf(c config.Config) map[string]string {
	return map[string]string{
		"smtp": c.SMTP.Listen, "submission": c.Submission.Listen, "submissions": c.Submission.TLSListen,
		"imap": c.IMAP.Listen, "imaps": c.IMAP.TLSListen, "lmtp": c.LMTP.Listen,
		"http": c.HTTP.Listen, "https": c.HTTP.TLSListen, "metrics": c.Metrics.Listen,
	}
}

// listenAll binds the addresses of all doors.
func (s *Server) listenAll() error {
	addresses := listenOf(s.o.Config)
	for _, door := range doors {
		if err := s.listen(door, addresses[door]); err != nil {
			return fmt.Errorf("opening the %s door: %w", door, err)
		}
	}
	return nil
}

func (s *Server) listen(door, address string) error {
	if address == "" {
		return nil
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if err := removeSocket(path); err != nil {
			return err
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	s.listeners[door] = l
	return nil
}

// askSocket is how long a server that has a socket may take to be connected to.
const askSocket = time.Second

// removeSocket removes a socket that a killed server left, and nothing else: one that
// is somebody's is an error. Only a refusal says that it is nobody's. A server whose
// backlog is full doesn't refuse.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil
	}
	c, err := net.DialTimeout("unix", path, askSocket)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("another server answers at %s", path), c.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("another server may be at %s: %w", path, err)
}

// opened is the address of a door that is open on the network; empty for one
// that isn't.
func (s *Server) opened(door string) string {
	if l, ok := s.listeners[door]; ok && l.Addr().Network() == "tcp" {
		return l.Addr().String()
	}
	return ""
}

// Addr is the address of a door ("smtp", "submission", "submissions", "imap", "imaps",
// "lmtp", "http", "https" or "metrics"), nil for one that is closed.
func (s *Server) Addr(door string) net.Addr {
	if l, ok := s.listeners[door]; ok {
		return l.Addr()
	}
	return nil
}

func (s *Server) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
