package door

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestPeers(t *testing.T) {
	p := NewPeers(Limits{PerAddress: 2, ConnectRate: 3, MessageRate: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	a, neighbour, far := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff"), netip.MustParseAddr("2001:db8:0:1::1")
	for i, c := range []struct {
		from netip.Addr
		want bool
	}{{a, true}, {neighbour, true}, {a, false}, {far, true}} {
		if got := p.Enter(c.from, now); got != c.want {
			t.Errorf("connection %d: %v", i, got)
		}
	}
	p.Leave(a)
	if !p.Enter(a, now) || p.Enter(a, now) {
		t.Error("the third in a minute may come, the fourth not")
	}
	p.Leave(a)
	p.Leave(a)
	if p.Enter(a, now.Add(59*time.Second)) || !p.Enter(a, now.Add(time.Minute)) {
		t.Error("a minute later it may come again")
	}
	if !p.Message(a, now.Add(time.Minute)) || p.Message(neighbour, now.Add(time.Minute)) {
		t.Error("one message a minute")
	}
	friend := netip.MustParseAddr("192.0.2.9")
	for range 10 {
		if !p.Enter(friend, now) || !p.Message(friend, now) {
			t.Fatal("an exempt peer was refused")
		}
	}
	p.Leave(friend)
	p.Leave(a)
	p.Leave(far)
	p.Enter(netip.MustParseAddr("198.51.100.1"), now.Add(5*time.Minute))
	if len(p.seen) != 1 {
		t.Errorf("%d addresses are remembered", len(p.seen))
	}
}

func TestHandoff(t *testing.T) {
	h := NewHandoff()
	one, _ := net.Pipe()
	go h.Push(one)
	if c, err := h.Accept(); c != one || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
	if _, err := h.Accept(); !errors.Is(err, net.ErrClosed) || h.Push(one) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAddr(t *testing.T) {
	for _, test := range []struct {
		peer net.Addr
		want string
		free bool
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, "192.0.2.1", false},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.9"), Port: 1}, "127.0.0.9", true},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::1", false},
		{&net.TCPAddr{IP: net.IPv6loopback}, "::1", true},
		{&net.UnixAddr{Name: "socket"}, "invalid IP", true},
	} {
		got := Addr(test.peer)
		if got.String() != test.want || (Limits{Exempt: Loopback()}).Exempts(got) != test.free {
			t.Errorf("%v: %v, want %s, exempt %v", test.peer, got, test.want, test.free)
		}
	}
}
