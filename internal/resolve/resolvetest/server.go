// Package resolvetest serves a zone over real DNS on loopback, UDP and TCP, so
// that whoever asks DNS can be tested without a network.
//
// The server behaves as a recursive one: it follows aliases within its zone,
// expands wildcards, tells a name without such records (NODATA) from no name
// (NXDOMAIN) and sends a SOA with both. It can fail, be silent, cut answers
// that come over UDP, and set the AD bit.
package resolvetest

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sijill/internal/resolve"
)

// Server serves one zone text until its test ends.
type Server struct {
	// Addr is address:port, the same for UDP and TCP.
	Addr string

	mu        sync.Mutex // guards what follows
	records   map[string][]dns.RR
	rcodes    map[string]int
	silent    map[string]bool
	cut       map[string]bool
	authentic bool
	asked     map[string]int
}

// New serves the zone, which is in master file format (RFC 1035 section 5)
// with names relative to the root; $ORIGIN and $TTL work.
func New(t testing.TB, zone string) *Server {
	t.Helper()
	s := &Server{records: map[string][]dns.RR{}, rcodes: map[string]int{}, silent: map[string]bool{},
		cut: map[string]bool{}, asked: map[string]int{}}
	s.Add(t, zone)
	udp, tcp, err := listen()
	if err != nil {
		t.Fatal("serving a zone:", err)
	}
	s.Addr = udp.LocalAddr().String()
	for _, d := range []*dns.Server{{PacketConn: udp, Handler: s}, {Listener: tcp, Handler: s}} {
		up := make(chan struct{})
		d.NotifyStartedFunc = func() { close(up) }
		go d.ActivateAndServe()
		<-up
		t.Cleanup(func() { d.Shutdown() })
	}
	return s
}

// listen opens the same port for both.
func listen() (udp net.PacketConn, tcp net.Listener, err error) {
	for range 20 {
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, nil, fmt.Errorf("listening: %w", err)
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return udp, tcp, nil
		}
		tcp.Close()
	}
	return nil, nil, fmt.Errorf("listening: %w", err)
}

// Add adds the zone's records.
func (s *Server) Add(t testing.TB, zone string) {
	t.Helper()
	p := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	p.SetDefaultTTL(300)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		s.AddRR(rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal("reading a zone:", err)
	}
}

// AddRR adds one record.
func (s *Server) AddRR(rr dns.RR) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fold(rr.Header().Name)
	s.records[name] = append(s.records[name], rr)
}

// Remove removes all records under the name.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, fold(name))
}

// Fail answers questions about the name with the rcode; 0 ends it.
func (s *Server) Fail(name string, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcodes[fold(name)] = rcode
}

// Silence leaves questions about the name without an answer, or ends that.
func (s *Server) Silence(name string, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent[fold(name)] = silent
}

// Cut gives answers about the name over TCP only.
func (s *Server) Cut(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut[fold(name)] = true
}

// Authentic sets the AD bit in every answer from now on, or no longer.
func (s *Server) Authentic(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authentic = on
}

// Asked returns how often the name has been asked for.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[fold(name)]
}

// Client returns a client of this server alone, with short time limits.
func (s *Server) Client(t testing.TB) *resolve.Client {
	t.Helper()
	c, err := resolve.New(resolve.Options{Servers: []string{s.Addr}, Timeout: 2 * time.Second, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fold returns the name as questions have it.
func fold(name string) string {
	if folded, err := resolve.Name(strings.TrimSuffix(name, ".")); err == nil && !strings.ContainsRune(name, '\\') {
		return folded
	}
	return strings.ToLower(dns.Fqdn(name))
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if len(q.Question) != 1 {
		return
	}
	s.mu.Lock()
	m := s.answer(q)
	cut := m != nil && s.cut[fold(q.Question[0].Name)]
	s.mu.Unlock()
	if m == nil {
		return
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		if m.Truncate(size); cut {
			m.Answer, m.Truncated = nil, true
		}
	}
	w.WriteMsg(m) // the client has gone, or will ask again
}

// answer is called with mu held; nil means silence.
func (s *Server) answer(q *dns.Msg) *dns.Msg {
	name := fold(q.Question[0].Name)
	s.asked[name]++
	if s.silent[name] {
		return nil
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable, m.AuthenticatedData, m.Compress = true, s.authentic, true
	if q.IsEdns0() != nil {
		m.SetEdns0(1232, true)
	}
	m.Rcode = s.rcodes[name]
	if m.Rcode == dns.RcodeSuccess {
		s.fill(m, name, q.Question[0].Qtype)
	}
	return m
}

// fill answers by the records, following aliases.
func (s *Server) fill(m *dns.Msg, name string, qtype uint16) {
	for range 10 {
		rrs, exists := s.find(name)
		next := ""
		for _, rr := range rrs {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
				m.Answer = append(m.Answer, rr)
				next = fold(c.Target)
			} else if rr.Header().Rrtype == qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		if next == "" {
			break
		}
		name = next
	}
	if n := len(m.Answer); n == 0 || m.Answer[n-1].Header().Rrtype != qtype {
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
			Ns: "ns.invalid.", Mbox: "nobody.invalid.", Minttl: 60}}
	}
}

// find returns the name's records, a wildcard's if it has none of its own,
// and whether the name exists.
func (s *Server) find(name string) (rrs []dns.RR, exists bool) {
	if rrs, ok := s.records[name]; ok {
		return rrs, true
	}
	for other := range s.records {
		if strings.HasSuffix(other, "."+name) {
			return nil, true // an empty name between others
		}
	}
	labels := dns.SplitDomainName(name)
	for i := 1; i < len(labels); i++ {
		if rrs, ok := s.records[dns.Fqdn("*."+strings.Join(labels[i:], "."))]; ok {
			return slices.Clone(rrs), true
		}
	}
	return nil, false
}
