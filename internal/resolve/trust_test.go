package resolve

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTrust believes what a server says about DNSSEC where nobody can change
// it on the way.
func TestTrust(t *testing.T) {
	for _, test := range []struct {
		server  string
		trusted bool
		addr    string
		want    bool
	}{
		{"127.0.0.1", false, "127.0.0.1:53", true},
		{"::1", false, "[::1]:53", true},
		{"[::1]:5353", false, "[::1]:5353", true},
		{"192.0.2.53", false, "192.0.2.53:53", false},
		{"192.0.2.53:54", true, "192.0.2.53:54", true},
	} {
		c, err := New(Options{Servers: []string{test.server}, Trusted: test.trusted})
		if err != nil || c.servers[0] != (server{test.addr, test.want}) {
			t.Errorf("%s: %v, %v", test.server, c, err)
		}
	}
}

func TestSystemFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0 trust-ad\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	servers, trusted, err := system(file)
	if err != nil || len(servers) != 2 || servers[1] != "2001:db8::1" || !trusted {
		t.Errorf("%v, %v, %v", servers, trusted, err)
	}
	if err := os.WriteFile(file, []byte("options edns0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := system(file); err == nil {
		t.Error("no server was enough")
	}
}

// TestCacheBounds keeps to its room, whatever is put in.
func TestCacheBounds(t *testing.T) {
	c := newCache(10_000)
	now := time.Now()
	for i := range 1000 {
		c.put(string(rune('a'+i%26))+time.Duration(i).String(), &entry{wire: make([]byte, 100), at: now, until: now.Add(time.Minute)})
		if c.used > 10_000 || c.order.Len() != len(c.items) {
			t.Fatalf("after %d: %d bytes, %d of %d", i, c.used, c.order.Len(), len(c.items))
		}
	}
	if len(c.items) < 5 {
		t.Errorf("only %d kept", len(c.items))
	}
	c.put("big", &entry{wire: make([]byte, 65535), at: now, until: now.Add(time.Minute)})
	if c.get("big", now) != nil {
		t.Error("what is larger than the room was kept")
	}
	c.put("late", &entry{at: now, until: now.Add(time.Second)})
	if c.get("late", now.Add(time.Second)) != nil {
		t.Error("given after its time")
	}
}
