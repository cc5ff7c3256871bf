package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a disk of 20 MiB, or skips the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=20m"); err != nil {
		t.Skipf("skipped: a small disk can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// bulky is a message of about n bytes that hardly compresses.
func bulky(n int) []byte {
	b := make([]byte, n*3/4)
	_, _ = rand.Read(b) // It never fails.
	var msg strings.Builder
	msg.WriteString("Subject: bulky\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for text := base64.StdEncoding.EncodeToString(b); text != ""; {
		line := text[:min(76, len(text))]
		text = text[len(line):]
		msg.WriteString(line + "\r\n")
	}
	return []byte(msg.String())
}

// fill sends messages of a size until none is accepted any more, and wants each
// refusal to say that the disk is full.
func (r *running) fill(size int, to *ledger) (refused int) {
	r.Helper()
	s := connect(r, r.smtp)
	for refused < 20 {
		msg := bulky(size)
		reply, err := s.send(msg, laila)
		if err != nil {
			r.Fatalf("with the disk full the session ends: %v\n%s", err, r.log)
		}
		if entry, ok := entryOf(reply); ok {
			to.add(entry, msg)
			continue
		}
		refused++
		if !strings.HasPrefix(reply, "452 4.3.1 ") {
			r.Errorf("with the disk full the reply is %q", reply)
			return refused
		}
	}
	return refused
}

// When the disk is full, senders are told to come back, nothing is lost, and
// with space again mail is taken again, by the same process.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t)
	h, acknowledged := &home{t, filepath.Join(dir, "office")}, newLedger()
	h.put(blank)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	server := h.serve()
	refused := 0
	for round := range 3 {
		for _, size := range []int{400 << 10, 4 << 10, 200} { // The segment can't grow, then the database can't.
			refused += server.fill(size, acknowledged)
		}
		if err := os.Truncate(ballast, int64(2-round)<<22); err != nil {
			t.Fatal(err)
		}
		entry := connect(t, server.smtp).deliver(t, letter("after", round), laila)
		acknowledged.add(entry, letter("after", round))
		await(t, "the new message is found", func() bool {
			out, _, _ := h.sijill("search", "--account", laila, fmt.Sprintf("subject:\"after letter %d\"", round))
			return strings.Contains(out, "1 found")
		})
	}
	server.stop()
	h.sound()
	acknowledged.check(h)
	t.Logf("%d accepted, %d refused", acknowledged.size(), refused)
}
