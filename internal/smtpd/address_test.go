package smtpd

import (
	"net/netip"
	"testing"
)

// Only where nobody knows which address is ours is any taken for it, and only for
// those who are the server's own.
func TestReserved(t *testing.T) {
	public, inside := netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("10.0.0.5")
	for _, c := range []struct {
		address string
		local   netip.Addr
		want    bool
	}{
		{"PostMaster@MX.diwan.example.", public, true},
		{"abuse@mx.diwan.example", public, true},
		{"MAILER-DAEMON@mx.diwan.example", public, true},
		{"hind@mx.diwan.example", public, false},
		{"postmaster@elsewhere.example", public, false},
		{"postmaster", public, false},
		{"postmaster@[192.0.2.25]", public, true},
		{"postmaster@[ipv6:::ffff:192.0.2.25]", public, true},
		{"postmaster@[192.0.2.26]", public, false},
		{"postmaster@[192.0.2.26]", inside, true},
		{"postmaster@[192.0.2.26]", netip.Addr{}, true},
		{"hind@[192.0.2.26]", inside, false},
		{"postmaster@[mx.diwan.example]", inside, false},
		{"postmaster@[", inside, false},
	} {
		if got := reserved(c.address, "mx.diwan.example", c.local); got != c.want {
			t.Errorf("%s at %v: %v", c.address, c.local, got)
		}
	}
}
