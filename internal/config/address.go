package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ServerName is what the server calls itself towards others: Hostname, or else
// "mail." and the domain.
func (c Config) ServerName() string {
	if c.Hostname != "" {
		return c.Hostname
	}
	return "mail." + c.Domain
}

// URL is how browsers reach the pages, without a slash at its end; empty where they
// are closed.
func (c Config) URL() string {
	switch {
	case c.HTTP.URL != "":
		return strings.TrimSuffix(c.HTTP.URL, "/")
	case c.HTTP.TLSListen != "":
		return "https://" + c.ServerName() + portSuffix(c.HTTP.TLSListen, 443)
	case len(c.HTTP.Proxies) > 0:
		return "https://" + c.ServerName()
	case c.HTTP.Listen != "":
		return "http://" + Localhost(c.HTTP.Listen)
	}
	return ""
}

// Localhost writes the "address:port" of a listener on loopback with the name that
// browsers take for safe, since passkeys need a name; another stays as it is.
func Localhost(address string) string {
	host, p, err := net.SplitHostPort(address)
	if ip, e := netip.ParseAddr(host); err == nil && e == nil && ip.IsLoopback() {
		return net.JoinHostPort("localhost", p)
	}
	return address
}

func portSuffix(address string, usual int) string {
	if p := Port(address); p != usual && p != 0 {
		return fmt.Sprintf(":%d", p)
	}
	return ""
}

// Port is that of "address:port"; 0 for none.
func Port(address string) int {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := net.LookupPort("tcp", p)
	if err != nil {
		return 0
	}
	return n
}
