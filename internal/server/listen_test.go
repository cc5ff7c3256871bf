package server

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sijill/internal/config"
	"sijill/internal/office"
)

// socketAt makes a socket as a server does, and leaves its file when it closes.
func socketAt(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	t.Cleanup(func() { l.Close() })
	return l
}

// binding binds the doors of settings, and gives them back when the test ends.
func binding(t *testing.T, c config.Config) (*Server, error) {
	t.Helper()
	s := &Server{o: &office.Office{Config: c}, listeners: map[string]net.Listener{}}
	t.Cleanup(func() { s.closeListeners() })
	return s, s.listenAll()
}

// A socket at which a server answers is not taken away from it; one that a killed
// server left is, and what is no socket never.
func TestSocketOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp")
	c := config.Config{}
	c.LMTP.Listen = "unix:" + path
	first := socketAt(t, path)
	_, err := binding(t, c)
	if err == nil || !strings.Contains(err.Error(), "lmtp door: another server answers at "+path) {
		t.Errorf("a second server: %v", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first server has lost its socket: %v", err)
	}
	conn.Close()

	first.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	if _, err := binding(t, c); err != nil {
		t.Errorf("after a server was killed: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.LMTP.Listen = "unix:" + file
	if _, err := binding(t, c); err == nil {
		t.Error("a door is where a file is")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "kept" {
		t.Errorf("the file: %q, %v", b, err)
	}
}

// A server whose first door is taken touches none of those after it.
func TestDoorsAreBoundInOrder(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path := filepath.Join(t.TempDir(), "lmtp")
	socketAt(t, path).Close()
	c := config.Config{}
	c.SMTP.Listen, c.LMTP.Listen, c.HTTP.Listen = taken.Addr().String(), "unix:"+path, "127.0.0.1:0"
	for range 20 { // No order by chance.
		s, err := binding(t, c)
		if err == nil || !strings.Contains(err.Error(), "the smtp door") || len(s.listeners) != 0 {
			t.Fatalf("%d doors are open: %v", len(s.listeners), err)
		}
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			t.Fatal("the socket is gone")
		}
	}
}
