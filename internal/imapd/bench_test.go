package imapd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/mailbox"
	"sijill/internal/record"
)

// stock puts n messages of about size octets into the office's inbox of a real
// register and waits until they are placed.
func (d *diwan) stock(t testing.TB, n, size int) {
	t.Helper()
	ctx := context.Background()
	var last record.Receipt
	for part := range slices.Chunk(sequenceTo(n), 500) {
		drafts := make([]record.Draft, len(part))
		for i, k := range part {
			raw := letter(k) + strings.Repeat(fmt.Sprintf("The quick brown fox of %d jumps over the lazy dog, and again.\r\n", k), max(size-170, 0)/65)
			drafts[i] = d.draft(sijill.Office, &Mail{Message: []byte(raw)}, mailbox.Arrival{})
			drafts[i].With = nil
		}
		rs, err := d.Register.AppendAll(ctx, drafts)
		if err != nil {
			t.Fatal(err)
		}
		last = rs[len(rs)-1]
	}
	if _, err := d.mail.Placed(ctx, account, last.Entry); err != nil {
		t.Fatal(err)
	}
}

func sequenceTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// drain reads responses up to the tagged one and returns how many octets came.
func (c *client) drain() (n int64) {
	c.t.Helper()
	prefix := []byte(c.tag + " ")
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			c.t.Fatal(err)
		}
		n += int64(len(line))
		if bytes.HasPrefix(line, prefix) {
			if !bytes.HasPrefix(line, []byte(c.tag+" OK")) {
				c.t.Fatalf("%s", line)
			}
			return n
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 && line[len(line)-1] == '}' {
			size, _ := strconv.ParseInt(string(line[bytes.LastIndexByte(line, '{')+1:len(line)-1]), 10, 64)
			if _, err := io.CopyN(io.Discard, c.in, size); err != nil {
				c.t.Fatal(err)
			}
			n += size
		}
	}
}

func benchFetch(b *testing.B, messages, size int, items ...string) {
	h, d := serveReal(b)
	d.stock(b, messages, size)
	c := h.sign(b, officePassword)
	c.SetDeadline(time.Now().Add(10 * time.Minute))
	c.in = bufio.NewReaderSize(c.Conn, 64<<10)
	c.ok("SELECT INBOX")
	for _, item := range items {
		b.Run(strings.ReplaceAll(item, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				c.start(item)
				b.SetBytes(c.drain())
			}
			b.ReportMetric(float64(messages*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func BenchmarkFetchWhole(b *testing.B) {
	benchFetch(b, 10_000, 10_000, "SELECT INBOX", "FETCH 1:* (UID BODY.PEEK[])", "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (From Subject)])", "FETCH 1:* (BODYSTRUCTURE)")
}

func BenchmarkFetchList(b *testing.B) {
	benchFetch(b, 50_000, 200, "SELECT INBOX", "FETCH 1:* (ENVELOPE FLAGS)", "UID FETCH 1:* (FLAGS)", "SEARCH UNSEEN", "SEARCH SUBJECT letter")
}

// BenchmarkPeer times another server with the same client. SIJILL_IMAP_PEER is
// its address for TLS; user and password are "whole" and "x".
func BenchmarkPeer(b *testing.B) {
	addr := os.Getenv("SIJILL_IMAP_PEER")
	if addr == "" {
		b.Skip("SIJILL_IMAP_PEER names no server")
	}
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		b.Fatal(err)
	}
	c := newClient(b, conn)
	c.ok("LOGIN whole x")
	c.ok("SELECT INBOX")
	c.SetDeadline(time.Now().Add(10 * time.Minute))
	c.in = bufio.NewReaderSize(c.Conn, 64<<10)
	for b.Loop() {
		c.start("FETCH 1:* (UID BODY.PEEK[])")
		b.SetBytes(c.drain())
	}
}

// BenchmarkIdle reports the memory of the process with 1,000 connections that
// idle in a folder of 10,000 messages, clients and all.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		h := serve(b, func(o *Options) { o.Limits.Connections = 2000 })
		h.fill(10_000)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 100 {
					c := h.selected(b, officePassword, "INBOX")
					c.start("IDLE")
					c.line()
				}
			})
		}
		wg.Wait()
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapInuse+m.StackInuse)/1e6, "MB-heap-and-stacks")
		if status, err := os.ReadFile("/proc/self/status"); err == nil {
			_, rss, _ := strings.Cut(string(status), "VmRSS:")
			kb, _ := strconv.Atoi(strings.Fields(rss)[0])
			b.ReportMetric(float64(kb)/1e3, "MB-RSS")
		}
	}
}
